"""A disk that is full or read-only, for true: small tmpfs mounts in a mount namespace of their own (see small_disk.py)."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import run
from shared.features.ragged import Ragged, load_arrays, save_arrays
from shared.files import LineLog, atomic_write

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "samples" / "event"
QUICK = ["--recipe", "quick", "--data", str(DATA), "--set", "training.max_records=40"]
WEIGHTS_KIB, CHECKPOINT_KIB = 2540, 7600
"""Of the quick recipe with these records: a little more than its weights, and than a checkpoint."""


def namespace():
    if sys.platform != "linux" or not shutil.which("unshare"):
        return "needs Linux and unshare"
    done = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "lic", "/mnt"], capture_output=True, text=True)
    return f"no mounts in a namespace here: {done.stderr.strip()}" if done.returncode else ""


@pytest.fixture(scope="module")
def disks(tmp_path_factory, trained):
    """Name of a case to its result; all cases in one process, since paddle takes seconds to start."""
    if reason := namespace():
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("disks")
    for name in ("empty", "place", "predicted"):
        (base / name).mkdir()
    shutil.copytree(trained(), base / "begun")
    (base / "begun" / "runs" / "event" / "quick" / "finished.json").unlink()
    shutil.copytree(trained() / "data", base / "cached" / "data")
    shutil.copytree(trained() / "runs", base / "predicted" / "runs")
    (base / "predicted" / "submissions").mkdir()
    (base / "predicted" / "submissions" / "duee.zip").write_bytes(b"what was there before")
    with zipfile.ZipFile(base / "DuEE.zip", "w") as archive:
        archive.writestr("train.json", '{"text": "温青禾", "id": "a"}\n' * 10)
        archive.writestr("dev.json", '{"text": "海螺湾", "id": "b"}\n' * 20000)
    train = ["train", "event", *QUICK, "--set", "training.epochs=1"]
    longer = ["train", "event", *QUICK, "--set", "training.epochs=2"]
    resume = [*longer, "--resume"]
    predict = ["predict", "event"]
    cases = {
        "full: preprocess": {"copy": "empty", "free": 16, "arguments": ["preprocess", "event", *QUICK]},
        "full: train, no room for features": {"copy": "empty", "free": 16, "arguments": train},
        "full: train, no room for the settings": {"copy": "cached", "free": 20, "arguments": train},
        "full: train, no room for figures": {"copy": "cached", "free": 36, "arguments": train},
        "full: train, no room for weights": {"copy": "cached", "free": 500, "arguments": longer, "then": resume},
        "full: train, no room for a checkpoint": {"copy": "cached", "free": WEIGHTS_KIB + 4000, "arguments": longer, "then": resume},
        "full: train, no room for a second one": {
            "copy": "cached",
            "free": WEIGHTS_KIB + CHECKPOINT_KIB + 4000,
            "arguments": longer,
            "then": resume,
        },
        "room enough: train": {"copy": "cached", "free": 40000, "arguments": longer},
        "full: predict": {"copy": "predicted", "free": 0, "arguments": predict},
        "full: predict to a folder": {"copy": "predicted", "free": 4, "arguments": [*predict, "--out", "new/mine.zip"]},
        "full: import": {"copy": "empty", "free": 100, "arguments": ["data", "import", "event", str(base / "DuEE.zip")]},
        "read-only: preprocess": {"copy": "empty", "read_only": True, "arguments": ["preprocess", "event", *QUICK]},
        "read-only: train": {"copy": "cached", "read_only": True, "arguments": train},
        "read-only: resume": {"copy": "begun", "read_only": True, "arguments": [*train, "--resume"]},
        "read-only: predict": {"copy": "predicted", "read_only": True, "arguments": predict},
        "read-only: import": {"copy": "empty", "read_only": True, "arguments": ["data", "import", "event", str(base / "DuEE.zip")]},
    }
    asked = {"place": str(base / "place"), "cases": [{**case, "copy": str(base / case["copy"])} for case in cases.values()]}
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, str(Path(__file__).with_name("small_disk.py"))],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))


def before(folder, *inside):
    return {str(path.relative_to(folder)) for path in Path(folder, *inside).rglob("*")}


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("full: preprocess", "LIC-O001"),
        ("full: train, no room for features", "LIC-O001"),
        ("full: train, no room for the settings", "LIC-O001"),
        ("full: train, no room for figures", "LIC-O001"),
        ("full: import", "LIC-O001"),
        ("read-only: preprocess", "LIC-O002"),
        ("read-only: train", "LIC-O002"),
        ("read-only: import", "LIC-O002"),
    ],
)
def test_nothing_is_left(case, code, disks, trained):
    result = disks[case]
    assert result["code"] == 1 and result["err"].count("[LIC-") == 1 and code in result["err"]
    *_, message, chinese = result["err"].splitlines()
    assert code in message and not message.startswith("[") and chinese.startswith("  中文：")  # it names the file
    assert "Traceback" not in result["err"]
    started_with = {"data", *before(trained(), "data")} if "data/cache/event" in result["files"] else set()
    assert set(result["files"]) == started_with


SETTINGS = {"config.toml", "encoder.json", "vocab.txt", "schema.json", "environment.json"}


def run_files(files):
    return {name.removeprefix("runs/event/quick/"): sum_ for name, sum_ in files.items() if name.startswith("runs/event/quick/")}


@pytest.mark.parametrize(
    ("case", "file", "kept", "said"),
    [
        ("weights", "weights.safetensors", set(), "no checkpoint and no weights yet"),
        (
            "a checkpoint",
            "checkpoints/0000001-step-5",
            {"weights.safetensors", "best.json"},
            "no checkpoint and the weights that were best on dev so far",
        ),
        (
            "a second one",
            "checkpoints/0000002-step-10",
            {"weights.safetensors", "best.json", "checkpoints", "checkpoints/0000001-step-5"},
            "its checkpoints and the weights that were best on dev so far",
        ),
    ],
)
def test_a_train_on_a_disk_that_fills_up_keeps_what_it_had_and_goes_on_when_there_is_room(case, file, kept, said, disks):
    result, wanted = disks[f"full: train, no room for {case}"], disks["room enough: train"]
    assert result["code"] == 1 and result["err"].count("[LIC-") == 1 and "Traceback" not in result["err"]
    assert f"runs/event/quick/{file}: [LIC-O001]" in result["err"]
    assert f"kept in runs/event/quick: settings, figures, {said}; when the cause is mended, go on with --resume." in result["err"]
    inside = {"manifest.json", "metrics.jsonl", "optimizer.safetensors", "state.json", "weights.safetensors"}
    whole = {f"{folder}/{name}" for folder in kept if "step" in folder for name in inside}
    assert set(run_files(result["files"])) == SETTINGS | {"metrics.jsonl", "timing.jsonl"} | kept | whole
    assert wanted["code"] == 0 and result["then"]["code"] == 0, result["then"]["err"]
    found, same = run_files(result["then"]["files"]), run_files(wanted["files"])
    assert {name for name in found if "step" not in name} == {name for name in same if "step" not in name}
    for name in ("weights.safetensors", "best.json", "metrics.jsonl", "finished.json"):
        assert found[name] == same[name], name


def test_a_resume_on_a_disk_that_is_read_only_changes_nothing(disks, trained):
    result = disks["read-only: resume"]
    assert result["code"] == 1 and result["err"].count("[LIC-") == 1 and "LIC-O002" in result["err"] and "Traceback" not in result["err"]
    inside = Path("runs", "event", "quick")
    there = {name.removeprefix(f"{inside}/"): hashlib.sha256((trained() / name).read_bytes()).hexdigest() for name in before(trained(), inside)
             if (trained() / name).is_file() and not name.endswith("finished.json")}  # fmt: skip
    assert {name: sum_ for name, sum_ in run_files(result["files"]).items() if sum_ != "folder"} == there


@pytest.mark.parametrize(
    ("case", "code"), [("full: predict", "LIC-O001"), ("full: predict to a folder", "LIC-O001"), ("read-only: predict", "LIC-O002")]
)
def test_predict_leaves_the_earlier_submission(case, code, disks):
    result = disks[case]
    assert result["code"] == 1 and code in result["err"] and "Traceback" not in result["err"]
    others = {name: sum_ for name, sum_ in result["files"].items() if not name.startswith("runs")}
    assert others == {"submissions": "folder", "submissions/duee.zip": hashlib.sha256(b"what was there before").hexdigest()}


# -- what writes ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_line_log_says_which_file_was_full(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with LineLog(tmp_path / "log.jsonl") as log, pytest.raises(OSError, match=r"log\.jsonl"):
        log.write(step=1)


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_line_log_takes_a_half_line_back(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LineLog(tmp_path / "log.jsonl") as log:
        log.write(step=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30, limits[1]))
        try:
            with pytest.raises(OSError, match=r"log\.jsonl"):
                log.write(step=2, text="longer than what fits into thirty bytes")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.write(step=3)
    assert (tmp_path / "log.jsonl").read_text(encoding="utf-8") == '{"step": 1}\n{"step": 3}\n'


def test_a_line_log_is_lines_of_json(tmp_path):
    with LineLog(tmp_path / "log.jsonl") as log:
        log.write(step=1, text="温")
        assert (tmp_path / "log.jsonl").read_text(encoding="utf-8") == '{"step": 1, "text": "温"}\n'
        log.write(step=2)
    assert (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[1] == '{"step": 2}'


def test_what_fails_leaves_no_file_and_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a" / "b" / "c.txt", "w") as file:
        file.write("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="not ours"), atomic_write(tmp_path / "a" / "b.txt", "w"):
        raise ValueError("not ours")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"] and list((tmp_path / "a").iterdir()) == []


def test_features_that_cannot_be_written_leave_nothing(tmp_path):
    rows = Ragged.from_rows([[1, 2], [3]], dtype="int32")
    with pytest.raises(ValueError, match="object"):
        save_arrays(tmp_path / "cache" / "f", {"rows": rows, "bad": rows.values.astype(object)}, {})
    assert list(tmp_path.iterdir()) == []
    save_arrays(tmp_path / "cache" / "f", {"rows": rows, "turned": rows.values.reshape(3, 1).repeat(2, axis=1).T}, {"n": 1})
    arrays, meta = load_arrays(tmp_path / "cache" / "f")
    assert meta == {"n": 1} and arrays["rows"][0].tolist() == [1, 2] and arrays["turned"].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_a_file_where_a_folder_belongs(tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("no folder")
    code, codes, err = fault("preprocess", "event", *QUICK)
    assert (code, codes) == (1, ["LIC-O003"]) and "data" in err
    assert run(["data", "import", "event", str(DATA)]) == 1 and [path.name for path in tmp_path.iterdir()] == ["data"]
