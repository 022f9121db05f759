"""An exported model reads texts by itself, and finds what the run finds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from pipelines.candidates import predict_run
from pipelines.cli import run
from pipelines.export_sources import copy_sources
from pipelines.run_folder import load_run
from shared.backbone import Backbone, BackboneConfig
from shared.training.checkpoint import save_weights
from tasks.recipe import Recipe, parse_settings, tomllib
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
LOOSE = {
    "event": {"outside_shift": 4.0},
    "relation": {"subject_threshold": 0.02, "object_threshold": 0.002, "link_threshold": 0.1},
    "reading": {"n_best": 2},
}
"""With these a barely trained model finds something."""
ALONE = """
import runpy, sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {barred}:
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Barred())
sys.path[:] = [place for place in sys.path if place != {repository!r}]
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def texts(track, count=12):
    task = get_task(track)
    schema = task.read_schema(SAMPLES / track / "schema.json") if track != "reading" else None
    records = task.read_records(SAMPLES / track / "dev.json", schema, labelled=False).records[:count]
    return records, [{"text": row.text, **({"question": row.question} if track == "reading" else {})} for row in records]


@pytest.fixture(scope="module")
def loose(trained, tmp_path_factory):
    """A copy of a barely trained run that finds something: ``loose(track)``."""
    made = {}

    def give(track):
        if track not in made:
            (folder,) = (trained(track) / "runs" / track).iterdir()
            made[track] = tmp_path_factory.mktemp("loose") / track
            shutil.copytree(folder, made[track], ignore=shutil.ignore_patterns("checkpoints"))
            config = tomllib.loads((made[track] / "config.toml").read_text(encoding="utf-8"))
            config["recipe"]["decode"] = LOOSE[track]
            (made[track] / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
        return made[track]

    return give


def alone(folder, *arguments, barred=("paddle", "paddlenlp", "pydantic", "pandas", "safetensors", "typer", "rich", "pipelines"), **options):
    """``predict.py`` in a process that has neither this repository nor the packages ``barred``."""
    repository = str(Path(__file__).parents[2])
    code = ALONE.format(barred=set(barred), repository=repository, arguments=[str(folder / "predict.py"), *map(str, arguments)])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder.parent, encoding="utf-8", **options)


@pytest.mark.parametrize("kind", ["onnx", "static"])
@pytest.mark.parametrize("track", LOOSE)
def test_an_export_finds_what_the_run_finds(loose, tmp_path, track, kind):
    out = tmp_path / "model"
    assert run(["export", track, "--run", str(loose(track)), "--format", kind, "--out", str(out)]) == 0
    records, rows = texts(track)
    loaded = load_run(loose(track))
    expected = [loaded.task.as_rows(found) for found in predict_run(loaded, records)]
    assert any(expected), "nothing is found, so nothing is compared"
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    barred = {} if kind == "onnx" else {"barred": ("onnxruntime", "pydantic", "pipelines")}
    done = alone(out, "--input", tmp_path / "texts.jsonl", "--output", tmp_path / "found.jsonl", **barred)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [{name: row[name] for name in given} for row, given in zip(found, rows, strict=True)] == rows
    for row, other in zip(found, expected, strict=True):
        assert [without(one) for one in row["found"]] == [without(one) for one in json.loads(json.dumps(other))]
        assert [one["probability"] for one in row["found"]] == pytest.approx([one["probability"] for one in other], abs=1e-4)


WRITES = {
    "event": {"beam": 3, "length_penalty": "mean", "max_target": 24},
    "relation": {"search": "mbr", "samples": 3, "max_target": 24},
    "reading": {"beam": 2, "max_target": 10, "n_best": 2},
}


@pytest.fixture
def writer(loose, tmp_path):
    """A run whose model writes, with random weights: ``writer(track)``."""

    def give(track):
        folder = tmp_path / "writer"
        shutil.copytree(loose(track), folder, ignore=shutil.ignore_patterns("engines"))
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
        config["recipe"].update(model={"name": "generate"}, decode=WRITES[track])
        (folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
        sizes = {**json.loads((folder / "encoder.json").read_text(encoding="utf-8")), "convolution_width": 0}
        (folder / "encoder.json").write_text(json.dumps(sizes), encoding="utf-8")
        del sizes["lower_case"]
        task = get_task(track)
        schema = task.read_schema(folder / "schema.json") if track != "reading" else None
        model = task.build_model(Backbone(BackboneConfig.from_dict(sizes)), schema, parse_settings(Recipe, config["recipe"]))
        rng = np.random.default_rng(0)
        for parameter in model.parameters():
            parameter.set_value(rng.normal(0.0, 0.2, parameter.shape).astype(np.float32))
        save_weights(model, folder / "weights.safetensors")
        return folder

    return give


@pytest.mark.parametrize("track", WRITES)
def test_an_exported_model_writes_what_the_run_writes(writer, tmp_path, track):
    folder, out = writer(track), tmp_path / "model"
    assert run(["export", track, "--run", str(folder), "--out", str(out)]) == 0
    records, rows = texts(track, 6)
    loaded = load_run(folder)
    expected = [loaded.task.as_rows(found) for found in predict_run(loaded, records)]
    assert any(expected), "nothing is found, so nothing is compared"
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    done = alone(out, "--input", tmp_path / "texts.jsonl")
    assert done.returncode == 0, done.stderr
    for line, other in zip(done.stdout.splitlines(), expected, strict=True):
        found = json.loads(line)["found"]
        assert [without(one) for one in found] == [without(one) for one in json.loads(json.dumps(other))]
        assert [one["probability"] for one in found] == pytest.approx([one["probability"] for one in other], abs=1e-4)


def without(row):
    return {name: value for name, value in row.items() if name != "probability"}


def test_one_text_and_what_is_wrong_with_input(loose, tmp_path):
    out = tmp_path / "model"
    assert run(["export", "reading", "--run", str(loose("reading")), "--out", str(out)]) == 0
    done = alone(out, "星海杯创办于一九八七年。", "--question", "星海杯是哪一年创办的")
    assert done.returncode == 0 and json.loads(done.stdout)["found"], done.stderr
    asked = '{"text": "甲", "question": "乙"}\n'.encode()
    unasked = b'{"text": "a"}\n'
    for given, said in [(unasked, "no question for 'a'"), (b'{"text": 3}\n', "line 1"), (b"\xff\n", "line 1"), (asked + b"\xff", "line 2")]:
        (tmp_path / "bad").write_bytes(given)
        done = alone(out, "--input", tmp_path / "bad", "--output", tmp_path / "found.jsonl")
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
        assert [path.name for path in tmp_path.iterdir() if "found" in path.name] == []
    assert "FileNotFound" not in alone(out, "--input", tmp_path / "none").stderr


def test_a_damaged_export_says_so(loose, tmp_path):
    out = tmp_path / "model"
    assert run(["export", "event", "--run", str(loose("event")), "--out", str(out)]) == 0
    model = out / "emissions.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    done = alone(out, "text")
    assert done.returncode == 2 and "LIC-I003" in done.stderr and "emissions.onnx" in done.stderr and "Traceback" not in done.stderr
    model.unlink()
    assert "no such file" in alone(out, "text").stderr
    (out / "model.json").write_text('{"version": 7}', encoding="utf-8")
    assert "LIC-I002" in alone(out, "text").stderr


def test_eight_bits_are_smaller_and_say_what_they_cost(loose, tmp_path, report):
    sizes = {}
    for name, flags in (("whole", []), ("int8", ["--int8"])):
        made = report("export", "event", "--run", loose("event"), "--out", tmp_path / name, *flags)
        sizes[name] = (tmp_path / name / "emissions.onnx").stat().st_size
    assert sizes["int8"] < 0.6 * sizes["whole"]
    assert set(made["scores"]) == {"float32", "int8"} and set(made["scores"]["int8"]) == {"precision", "recall", "f1"}
    done = alone(tmp_path / "int8", "昨天，星海科技裁员三百人。")
    assert done.returncode == 0 and json.loads(done.stdout)["text"], done.stderr


def test_an_encoder_that_paddlenlp_loads(loose, tmp_path):
    import numpy as np
    import paddle
    from paddlenlp.transformers import AutoModel

    assert run(["export", "event", "--run", str(loose("event")), "--format", "safetensors", "--out", str(tmp_path / "encoder")]) == 0
    theirs, ours = AutoModel.from_pretrained(str(tmp_path / "encoder")), load_run(loose("event")).model.backbone
    theirs.eval()
    ids = paddle.to_tensor([[2, 5, 6, 7, 3]])
    np.testing.assert_allclose(theirs(ids)[0].numpy(), ours(ids).hidden.numpy(), atol=1e-4)


def test_a_decision_stays_behind_and_is_named(loose, tmp_path, capfd):
    shutil.copytree(loose("event"), tmp_path / "run")
    (tmp_path / "run" / "decision.json").write_text("{}", encoding="utf-8")
    assert run(["export", "event", "--run", str(tmp_path / "run"), "--format", "safetensors", "--out", str(tmp_path / "model")]) == 0
    assert "decision.json stays behind" in capfd.readouterr().err


def test_what_cannot_be_exported(fault, loose, trained, tmp_path):
    out = ["--out", tmp_path / "model", "--run", loose("event")]
    assert fault("export", "event", *out, "--format", "pickle")[1] == ["LIC-I007"]
    assert fault("export", "event", *out, "--format", "static", "--int8")[1] == ["LIC-I007"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    assert fault("export", "event", "--out", tmp_path / "full", "--run", loose("event"))[1] == ["LIC-I007"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert fault("export", "event", "--out", tmp_path / "file", "--run", loose("event"))[1] == ["LIC-I007"]


def test_sources_may_import_only_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match=r"imports .*pydantic"):
        copy_sources(["tasks.recipe"], tmp_path, allowed={"numpy"})
    names = copy_sources(["shared.text.tokenizer"], tmp_path, allowed={"numpy"})
    assert "shared.text.vocabulary" in names and (tmp_path / "shared" / "text" / "normalize.py").is_file()
