import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.bench import app
from pipelines.bench_predict import aims, predicting, thin
from pipelines.bench_predict_child import Watched
from pipelines.bench_predict_peer import Peer
from shared.errors import InputError, WorkError

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
QUICK = {"texts": 4, "few": 2, "repeats": 1, "latencies": 2}


def run_of(trained, track):
    (folder,) = (trained(track) / "runs" / track).iterdir()
    return folder


def test_our_own_reading_is_measured_and_a_peer_that_is_not_installed_has_a_note(trained, tmp_path):
    run, bare = run_of(trained, "event"), tmp_path / "bare.py"  # this Python without torch
    bare.write_text(f"#!{sys.executable}\nimport os, sys\nos.execv({sys.executable!r}, [{sys.executable!r}, '-c', {WITHOUT!r}, *sys.argv[1:]])\n")
    bare.chmod(0o755)
    options = [f"--{name}={value}" for name, value in {**QUICK, "torch-python": bare, "run": run}.items()]
    done = CliRunner().invoke(app, ["predict", "event", *options, "--engine", "onnx", "--peer", "torch", "--peer", "onnxruntime", "--json"])
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    assert report["texts"] == 4 and report["few"] == 2 and report["design"] == "crf"
    eager, onnx, exported, torch, runtime = report["rows"]
    assert [row["name"] for row in report["rows"][:3]] == ["lic, eager", "lic, onnx", "lic export, onnx"]
    assert torch["note"].startswith("not installed (") and "PyTorch is not there to export" in runtime["note"]
    for row in (eager, onnx, exported):
        assert row["texts"] == 4 and 0 < row["slowest"] <= row["texts_per_second"] <= row["fastest"]
        assert row["latency_ms"]["texts"] == 2 and 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
    for row in (eager, onnx):
        assert 0 < row["text_share"] < 1 and row["largest_difference"] <= 1e-3
        assert row["model"]["padded_tokens_per_real_one"] >= 1
        assert 0 < row["share_of_peak"]["real"] <= row["share_of_peak"]["padded"] < 1
    assert "model" not in exported
    (aim,) = report["aims"]
    assert aim["found"] == onnx["text_share"] and aim["reached"] == (aim["found"] <= 0.15)


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="trains another run; beside the real data's tests")
def test_a_model_that_is_no_tagger_has_no_peers(trained):
    report = predicting("reading", run=run_of(trained, "reading"), input=SAMPLES / "reading" / "dev.json", engines=(), **QUICK)
    ours, *others = report["rows"]
    assert ours["name"] == "lic, eager" and ours["texts_per_second"] > 0
    assert [row["name"] for row in others] == ["paddlenlp", "torch", "onnxruntime"]
    assert all("only for the tagger" in row["note"] for row in others)


WITHOUT = """
import runpy, sys
sys.modules["torch"] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_peer_that_computes_something_else_is_not_timed(trained, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(f"#!{sys.executable}\n{OTHER}")
    other.chmod(0o755)
    with pytest.raises(WorkError) as caught:
        predicting("event", run=run_of(trained, "event"), engines=(), peers=("torch",), torch_python=str(other), **QUICK)
    (problem,) = caught.value.problems
    assert problem.code == "LIC-B010" and problem.found.startswith("PyTorch, sdpa: scores that differ by up to 0.5")


OTHER = """
import json, sys
import numpy as np
print(json.dumps({"version": "another model"}), flush=True)
for line in sys.stdin:
    command, number = line.split()
    ours = np.load(f"{sys.argv[3]}/check-0.npy")
    np.save(f"{sys.argv[3]}/check-{number}.npy", ours + np.float32(0.5) * (np.arange(ours.size).reshape(ours.shape) == 0))
    print("{}", flush=True)
"""


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="two imports of paddlenlp take most of a minute; runs beside the real data's tests")
def test_paddlenlp_computes_the_same_and_is_timed(trained):
    pytest.importorskip("paddlenlp")
    report = predicting("event", run=run_of(trained, "event"), engines=(), peers=("paddlenlp",), **QUICK)
    ours, event, relation, tuned = report["rows"]
    assert all(row["largest_difference"] <= 1e-3 for row in report["rows"])
    assert event["texts"] == relation["texts"] == 2 and tuned["texts"] == ours["texts"] == 4
    assert relation["model"]["padded_tokens_per_real_one"] > event["model"]["padded_tokens_per_real_one"] >= 1
    ratios = [aim["found"] for aim in report["aims"][:2]]
    assert ratios == pytest.approx([ours["texts_per_second"] / row["texts_per_second"] for row in (event, relation)])


def peer(folder, scores=None):
    """A peer over a vocabulary of its own, whose network gives ``scores``."""
    (folder / "encoder").mkdir()
    (folder / "encoder" / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    (folder / "encoder" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"星海杯创办于年"]))
    return Peer(folder, lambda ids: scores[: len(ids)])


def test_peers_take_batches_by_length_and_read_every_text_once(tmp_path):
    pytest.importorskip("tokenizers")
    reader = peer(tmp_path, np.zeros((9, 1, 1, 3)))
    rows = reader.tokenise(["星海", "年", "星海杯创办于年", ""])
    assert rows == [[2, 5, 6, 3], [2, 11, 3], [2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 3]]
    reader.budget = 9
    assert list(reader.batches(rows)) == [[2], [0, 1], [3]]
    assert reader.ids([rows[0], rows[3]]).tolist() == [[2, 5, 6, 3], [2, 3, 0, 0]]
    assert reader.read(["星海", "年"]) == [[], []]


def test_peers_decode_the_best_tag_of_every_token(tmp_path):
    tags = np.array([[[1, 0], [2, 1], [2, 0], [0, 2]], [[1, 1], [0, 1], [1, 1], [2, 2]]])  # [b, l, r]
    scores = np.eye(3)[tags]  # [b, l, r, k]
    # the second row has two tokens of its own; what begins behind them is padding, and what goes on into them ends with the text
    assert peer(tmp_path).decode(scores, [6, 4]) == [[(0, 0, 2), (1, 1, 1)], [(0, 0, 0), (1, 0, 0), (1, 1, 1)]]


class Slow:
    """Stands for an engine: answers with its inputs."""

    name, together, constants, facts = "slow", 1, {}, {}

    def run(self, graph, inputs, *, keep=()):
        return dict(inputs)


def test_the_time_of_a_network_is_counted_once_where_two_calls_overlap():
    watched, asked = Watched(Slow(), 0), {"ids": np.array([[2, 7, 3], [2, 3, 0]])}  # [b, l]
    watched.hold()
    assert watched.run("read", asked) == asked and watched.release() == [("read", asked, ())]
    assert watched.counts == {"tokens": 5, "squares": 13, "padded_tokens": 6, "padded_squares": 18}
    watched.times = [(4.0, 6.0), (1.0, 3.0), (2.0, 3.5), (2.5, 2.75)]
    assert watched.busy() == 4.5
    watched.clear()
    assert watched.busy() == 0.0 and not any(watched.counts.values())


def test_thinned_files_keep_their_order_and_span_all_lengths(tmp_path):
    source, target = tmp_path / "all.json", tmp_path / "few.json"
    sizes = [5, 90, 20, 40, 60, 10, 80, 30, 70, 50]
    rows = [{"text": "字" * size, "labels": "长" * (200 - 2 * size)} for size in sizes]  # whose lines are the longer the shorter their texts
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert thin(source, target, 5) == 5
    assert [len(json.loads(line)["text"]) for line in target.read_text(encoding="utf-8").splitlines()] == [90, 10, 30, 70, 50]
    assert thin(source, target, 0) == thin(source, target, 50) == 10
    assert target.read_text(encoding="utf-8") == source.read_text(encoding="utf-8")


def test_aims_compare_what_lic_takes_by_itself_with_the_best_of_the_others():
    def row(name, group, speed, p50, **more):
        return {"name": name, "group": group, "texts_per_second": speed, "latency_ms": {"p50": p50, "p99": 2 * p50}, **more}

    rows = [
        row("lic, eager", "lic", 99.0, 1.0, text_share=0.5),
        row("lic, onnx", "lic", 80.0, 9.0, text_share=0.1),
        row("lic export, onnx", "export", 70.0, 4.0),
        row("an example", "example", 1.0, 50.0),
        row("another", "example", 4.0, 50.0),
        row("first", "peer", 79.0, 5.0),
        row("second", "peer", 40.0, 3.0),
        {"name": "third", "note": "not installed"},
    ]
    found = aims(rows)
    assert [(aim["found"], aim["reached"]) for aim in found] == [
        (80.0, True),
        (20.0, False),
        (80 / 79, False),
        (4 / 3, False),
        (4 / 3, False),
        (0.1, True),
    ]
    assert "first" in found[2]["aim"] and "second" in found[3]["aim"]
    assert aims(rows[3:]) == []


def test_bad_flags_and_files_give_one_line(trained, tmp_path):
    def refused(*arguments):
        done = CliRunner().invoke(app, ["predict", *map(str, arguments)])
        assert isinstance(done.exception, InputError), done.output
        return done.exception.problems[0]

    run = run_of(trained, "event")
    assert refused("event", "--run", run, "--peer", "jax").code == "LIC-B005"
    assert refused("event", "--run", run, "--engine", "jax").code == "LIC-I004"
    assert refused("relation", "--run", run).code == "LIC-U005"
    (tmp_path / "empty.json").write_text("")
    assert refused("event", "--run", run, "--input", tmp_path / "empty.json").code == "LIC-D003"
    (tmp_path / "ensemble.toml").write_text("")
    assert refused("event", "--run", tmp_path).code == "LIC-B011"
    with pytest.raises(ValueError, match="above 0"):
        predicting("event", run=run, repeats=0)
    with pytest.raises(ValueError, match="unknown peers"):
        predicting("event", run=run, peers=("jax",))
