"""Runs, recipes, encoders, devices and outputs that do not fit what is asked; and that nothing of the user's is overwritten."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import run

DATA = Path(__file__).parents[2] / "data" / "samples" / "event"
QUICK = ["--recipe", "quick", "--data", str(DATA), "--set", "training.max_records=40", "--set", "training.epochs=1"]


@pytest.fixture
def place(tmp_path, trained, monkeypatch):
    """A working folder of its own with a copy of a run."""
    shutil.copytree(trained() / "runs", tmp_path / "runs")
    shutil.copytree(trained() / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = Path("runs") / "event" / "quick"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# -- runs and vocabularies -----------------------------------------------------------------------------------------


def test_a_vocabulary_of_another_run(place, fault):
    file = RUN / "vocab.txt"
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[10], lines[11] = lines[11], lines[10]  # the very same size
    file.write_text("\n".join(lines), encoding="utf-8")
    code, codes, err = fault("extract", "event", "温青禾")
    assert (code, codes) == (2, ["LIC-U011"]) and str(file) in err


def test_a_vocabulary_larger_than_the_weights(place, fault):
    config = RUN / "config.toml"
    config.write_text("".join(line for line in config.read_text(encoding="utf-8").splitlines(True) if not line.startswith("vocabulary =")))
    with open(RUN / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("温青禾出任\n")
    code, codes, err = fault("extract", "event", "温青禾出任")
    assert (code, codes) == (2, ["LIC-W006"]) and "vocab.txt" in err


def shortened(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(f"{line}\n" for line in lines[: len(lines) // 2]), encoding="utf-8")


def doubled(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(f"{line}\n" for line in [*lines[:-1], lines[-2]]), encoding="utf-8")


def unspecial(file):
    file.write_text(file.read_text(encoding="utf-8").replace("[CLS]\n", "[CLZ]\n"), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (shortened, "LIC-W006"),
        (doubled, "LIC-V006"),
        (unspecial, "LIC-V007"),
        (lambda file: file.write_bytes("温".encode("gbk") * 9), "LIC-W008"),
        (lambda file: file.unlink(), "LIC-W008"),
    ],
)
def test_an_encoder_with_a_vocabulary_that_does_not_fit(damage, wanted, place, fault):
    shutil.copytree(RUN, place / "encoder")
    damage(place / "encoder" / "vocab.txt")
    code, codes, err = fault("train", "event", *QUICK, "--set", "encoder.source=encoder")
    assert (code, codes) == (2, [wanted]) and "vocab.txt" in err
    assert [path.name for path in (place / "runs" / "event").iterdir()] == ["quick"]


def test_more_layers_than_the_encoder_has(place, fault):
    code, codes, err = fault("train", "event", *QUICK, "--set", f"encoder.source={RUN}", "--set", "encoder.num_layers=99")
    assert (code, codes) == (2, ["LIC-E003"]) and "99" in err and not (place / "runs" / "event" / "quick-2").exists()


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_run_of_another_track(verb, place, fault):
    assert fault(verb, "relation", "--run", RUN)[:2] == (2, ["LIC-U005"])
    assert fault("extract", "reading", "温青禾", "--question", "谁", "--run", RUN)[:2] == (2, ["LIC-U005"])


# -- recipes and devices -------------------------------------------------------------------------------------------


def test_a_misspelt_key_is_placed_where_it_stands(place, fault):
    code, codes, err = fault("train", "event", *QUICK, "--set", "training.epoch=3")
    assert (code, codes) == (2, ["LIC-R004"]) and err.startswith("--set training.epoch=3: [LIC-R004]") and "'epochs'" in err
    own = place / "own.toml"
    own.write_text('[encoder]\nsource = "scratch"\n[model]\nname = "crf"\n[training]\nepoch = 1\nepochs = 1\n', encoding="utf-8")
    code, codes, err = fault("train", "event", "--recipe", own, "--data", DATA, "--set", "training.warmup=0")
    assert (code, codes) == (2, ["LIC-R004"]) and err.startswith(f"{own}: [LIC-R004]") and "'epochs'" in err
    own.write_text('[encoder]\nsource = "scratch"\n\n[model\n', encoding="utf-8")
    code, codes, err = fault("train", "event", "--recipe", own, "--data", DATA)
    assert (code, codes) == (2, ["LIC-R002"]) and err.startswith(f"{own}:4: ")


@pytest.mark.parametrize("verb", [["train", "event", *QUICK], ["predict", "event"], ["evaluate", "event"], ["extract", "event", "温青禾"]])
@pytest.mark.parametrize(("device", "wanted"), [("tpu", "G001"), ("gpu:x", "G001"), ("GPU", "G001"), ("", "G001"), ("gpu:99", "G002")])
def test_a_device_that_is_none(verb, device, wanted, place, fault):
    assert fault(*verb, "--device", device)[:2] == (2, [f"LIC-{wanted}"])
    assert [path.name for path in (place / "runs" / "event").iterdir()] == ["quick"] and not (place / "submissions").exists()


# -- nothing of the user's is overwritten --------------------------------------------------------------------------


def test_train_takes_no_folder_that_holds_anything(place, fault):
    mine = place / "mine"
    mine.mkdir()
    (mine / "schema.json").write_text("my own", encoding="utf-8")
    code, codes, err = fault("train", "event", *QUICK, "--run", mine)
    assert (code, codes) == (2, ["LIC-U001"]) and "schema.json" in err
    assert contents(mine) == {Path("schema.json"): b"my own"}
    (place / "new").mkdir()
    assert run(["train", "event", *QUICK, "--run", "new"]) == 0 and (place / "new" / "weights.safetensors").is_file()


def test_train_that_fails_before_its_first_step_leaves_no_run(place, fault):
    from safetensors.numpy import load_file, save_file

    shutil.copytree(RUN, place / "encoder")
    weights = load_file(place / "encoder" / "weights.safetensors")
    save_file({name: value * float("nan") for name, value in weights.items()}, place / "encoder" / "weights.safetensors")
    (place / "empty").mkdir()
    for more in ([], ["--run", "a/b/c"], ["--run", "empty"]):
        code, codes, err = fault("train", "event", *QUICK, "--set", "encoder.source=encoder", *more)
        assert (code, codes) == (1, ["LIC-N001"]) and "at step 1;" in err and "kept" not in err
    assert [path.name for path in (place / "runs" / "event").iterdir()] == ["quick"]
    assert not (place / "a").exists() and list((place / "empty").iterdir()) == []
    for more in (["--set", "features.window=511"], ["--set", "encoder.source=./none"], ["--device", "tpu"]):
        assert fault("train", "event", *QUICK, "--run", "d/e", *more)[0] == 2
    assert not (place / "d").exists()


def predict(*more):
    return run(["predict", "event", "--input", str(DATA / "test1.json"), *more])


def test_an_earlier_submission_is_kept_under_the_next_free_name(place, capfd):
    assert predict() == 0
    made = contents("submissions")
    assert set(made) == {Path("duee.zip"), Path("duee.json")} and "kept" not in capfd.readouterr().err
    stamps = {path: path.stat().st_mtime_ns for path in Path("submissions").iterdir()}
    assert predict() == 0  # the same again
    assert {path: path.stat().st_mtime_ns for path in Path("submissions").iterdir()} == stamps and "kept" not in capfd.readouterr().err
    for number in (1, 2):
        Path("submissions/duee.zip").write_bytes(b"mine %d" % number)
        assert predict() == 0
        assert f"kept as duee-{number}.json and duee-{number}.zip" in capfd.readouterr().err
    assert contents("submissions") == {
        **made,
        Path("duee-1.zip"): b"mine 1",
        Path("duee-2.zip"): b"mine 2",
        **{Path(f"duee-{number}.json"): made[Path("duee.json")] for number in (1, 2)},
    }


def test_out_is_replaced_and_nothing_else(place, fault):
    Path("b.zip").write_bytes(b"to be replaced")
    assert predict("--out", "b.zip") == 0
    with zipfile.ZipFile("b.zip") as archive:
        assert archive.read("duee.json") == Path("b.json").read_bytes()
    with zipfile.ZipFile("b.zip", "w") as archive:  # another prediction, and the same bare
        archive.writestr("duee.json", "old")
    Path("b.json").write_text("old", encoding="utf-8")
    assert predict("--out", "b.zip") == 0 and Path("b.json").read_text(encoding="utf-8") != "old"
    assert not list(Path(".").glob("b-*"))


def test_out_beside_a_file_that_is_not_its_own(place, fault):
    Path("test1.json").write_bytes((DATA / "test1.json").read_bytes())
    before = contents(".")
    for out in ("test1.zip", "./test1.ZIP"):
        code, codes, err = fault("predict", "event", "--input", "test1.json", "--out", out)
        assert (code, codes) == (2, ["LIC-U012"]) and "test1.json" in err
    Path("folder.zip").mkdir()
    assert fault("predict", "event", "--input", "test1.json", "--out", "folder.zip")[:2] == (2, ["LIC-U008"])
    assert contents(".") == before


def test_a_predict_that_fails_leaves_the_earlier_submission(place, fault):
    assert predict() == 0
    before = contents("submissions")
    bad = place / "bad.json"
    bad.write_text(json.dumps({"text": "温青禾"}) + "\n", encoding="utf-8")
    assert fault("predict", "event", "--input", bad)[:2] == (2, ["LIC-D010"])
    assert contents("submissions") == before


def test_preprocess_again_leaves_the_cache(place):
    before = {path: path.stat().st_mtime_ns for path in Path("data/cache").rglob("*")}
    assert run(["preprocess", "event", *QUICK]) == 0
    assert {path: path.stat().st_mtime_ns for path in Path("data/cache").rglob("*")} == before
