"""The command from outside: what it loads, what it says to wrong words, and its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import run
from shared import __version__

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "event"
HEAVY = {"paddle", "paddlenlp", "pandas", "numpy", "scipy", "sklearn", "safetensors", "tokenizers"}


def lic(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "check", "--help"], ["--version"], ["lab"]])
def test_help_loads_nothing_heavy(arguments, tmp_path):
    code = f"""
import sys
from pipelines.cli import run
code = run({arguments!r})
print(code, sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_help_names_every_verb(capfd):
    assert run(["--help"]) == 0
    said = capfd.readouterr().out
    verbs = "data preprocess train pretrain evaluate predict candidates tune ensemble submit score extract doctor explain lab"
    for verb in verbs.split():
        assert f" {verb} " in said
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"lic {__version__}\n"


WRONG = {
    "no such verb": (["trian"], "trian"),
    "no verb in a group": (["data", "chekc", "event", "x"], "chekc"),
    "no such flag": (["train", "event", "--recipie", "quick"], "--recipie"),
    "a missing argument": (["score", "event"], "GOLD"),
    "no such track": (["train", "evnt", "--recipe", "quick"], "evnt"),
    "no such track to evaluate": (["evaluate", "evnt"], "evnt"),
    "no such track to check": (["data", "check", "evnt", str(SAMPLES)], "evnt"),
    "no such track to score": (["score", "evnt", "a.json", "b.json"], "evnt"),
    "no such recipe": (["train", "event", "--recipe", "quik", "--data", str(SAMPLES)], "Did you mean 'quick'?"),
    "a misspelt key": (["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--set", "training.epoch=3"], "'epochs'"),
    "no value to a key": (
        ["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--set", "training.epochs"],
        "--set training.epochs",
    ),
    "no such device": (["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--device", "tpu"], "tpu"),
    "no such data": (["train", "event", "--recipe", "quick", "--data", "nowhere"], "nowhere"),
    "no data at all": (["train", "event", "--recipe", "quick"], "lic data import event"),
    "no run": (["evaluate", "event"], "lic train event"),
    "no run of any track": (["predict"], "lic train"),
    "no run in that folder": (["predict", "event", "--run", "."], "config.toml"),
    "no zip to write": (["predict", "event", "--out", "out.json"], "out.json"),
    "nothing to read": (["extract", "event", "  "], "blanks"),
    "no such file": (["submit", "check", "event", "none.zip"], "none.zip"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_give_2_and_one_clear_line(case, tmp_path, monkeypatch, capfd):
    arguments, said = WRONG[case]
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith(("Usage:", "note: "))]
    assert len(lines) == 2 and said.lower() in lines[0].lower() and "[LIC-" in lines[0], err
    assert lines[1].startswith("  中文：")
    assert "Traceback" not in err and "{" not in out
    assert not list(tmp_path.glob("**/*.safetensors")) and not (tmp_path / "runs").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="counts GPUs through paddle as built for this platform")
def test_a_gpu_that_is_not_there(tmp_path, monkeypatch, capfd):
    import paddle

    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    monkeypatch.chdir(tmp_path)
    assert run(["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--device", f"gpu:{count}"]) == 2
    assert f"sees {count} GPUs" in capfd.readouterr().err


def test_exit_codes_of_the_process(tmp_path):
    assert lic("submit", "check", "event", "none.zip", cwd=tmp_path).returncode == 2
    assert lic("score", "event", str(SAMPLES / "dev.json"), str(SAMPLES / "dev.json"), cwd=tmp_path).returncode == 0
    threads = lic("train", "event", "--recipe", "quick", cwd=tmp_path, LIC_THREADS="several")
    assert threads.returncode == 2 and "LIC_THREADS" in threads.stderr and "Traceback" not in threads.stderr
    assert len(threads.stderr.splitlines()) == 2 and "LIC-G003" in threads.stderr


def test_a_disk_that_does_not_take_the_run_gives_1(tmp_path, monkeypatch, capfd):
    (tmp_path / "runs").write_text("a file where the folder should be")
    monkeypatch.chdir(tmp_path)
    assert run(["train", "event", "--recipe", "quick", "--data", str(SAMPLES), "--set", "training.max_records=5"]) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err and err.splitlines()[-2].startswith("runs") and "LIC-O003" in err.splitlines()[-2]


@pytest.mark.parametrize("config", ["a = 1\n", "run = 3\n", "[run]\ntrack = 'event'\n", "[run\n", "\xff"])
def test_a_config_of_something_else(config, tmp_path, monkeypatch, capfd):
    (tmp_path / "config.toml").write_bytes(config.encode("latin-1"))
    (tmp_path / "weights.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    for arguments in (["predict", "event", "--run", "."], ["evaluate", "--run", "."]):
        assert run(arguments) == 2
        err = capfd.readouterr().err
        assert "LIC-U004" in err and "Traceback" not in err and len(err.splitlines()) == 2


def test_a_loss_that_diverges_gives_1(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    settings = ["training.learning_rate=1e30", "training.head_learning_rate=1e30", "training.epochs=1", "training.max_records=40"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    assert run(["train", "event", "--recipe", "quick", "--data", str(SAMPLES), *overrides]) == 1
    err = capfd.readouterr().err
    assert "[LIC-N00" in err and "training.learning_rate" in err and "Traceback" not in err
