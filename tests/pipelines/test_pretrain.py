"""``lic pretrain`` from files of text to a folder that recipes open."""

import json
import shutil
import zlib  # noqa: F401  (before paddle: see shared/environment.py)

import numpy as np
import paddle
import pytest

from pipelines.cli import run
from shared.files import digest
from shared.pretrained import load_backbone
from shared.similarity import SimBERT

from .conftest import SAMPLES

SMALL = ["encoder.source=scratch", "encoder.num_layers=1", "encoder.hidden_size=32", "encoder.vocab_size=1000", "encoder.dropout=0.1"]
SET = [word for one in (*SMALL, "features.window=30") for word in ("--set", one)]


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Passages of the sample, some of them with nothing in them."""
    rows = lines_of(SAMPLES / "event" / "train.json")[:200]
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{row['text']}\n" for row in rows) + "\n \n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_encoder_from_text_to_a_track_and_a_run_that_goes_on(texts, place, capfd):
    given = ("epochs=3", "learning_rate=2e-3", "batch_tokens=512", "checkpoint_steps=5", "checkpoints_kept=99", "evaluations_per_epoch=1")
    settings = [word for one in given for word in ("--set", f"training.{one}")]
    assert run(["pretrain", str(texts), *SET, *settings, "--set", "model.held_out=0.1"]) == 0
    out, err = capfd.readouterr()
    folder = place / "runs" / "pretraining" / "mlm"
    assert out.split() == ["runs/pretraining/mlm"] and "left out: 2 lines without anything visible" in err
    evaluations = [row["dev"] for row in lines_of(folder / "metrics.jsonl") if "dev" in row]
    assert len(evaluations) == 3 and list(evaluations[0]) == ["loss", "perplexity", "accuracy"]
    assert evaluations[-1]["loss"] < evaluations[0]["loss"] - 0.1

    own, other = load_backbone(folder), load_backbone(folder / "backbone")
    ids = paddle.to_tensor([[2, 7, 8, 9, 3]])  # [1, 5]
    for found in (own, other):
        found.backbone.eval()
    np.testing.assert_array_equal(own.backbone(ids).hidden.numpy(), other.backbone(ids).hidden.numpy())
    assert own.vocabulary_tokens == other.vocabulary_tokens

    whole = digest(folder / "weights.safetensors")
    for path in sorted((folder / "checkpoints").iterdir())[2:]:
        shutil.rmtree(path)
    (folder / "finished.json").unlink()
    shutil.rmtree(folder / "backbone")
    assert run(["pretrain", "--resume", "--run", str(folder)]) == 0
    assert digest(folder / "weights.safetensors") == whole and (folder / "backbone" / "config.json").is_file()
    assert run(["pretrain", "--resume", "--run", str(folder)]) == 0
    assert "nothing is left to do" in capfd.readouterr().err

    shutil.copy(texts, place / "other.txt")
    with (place / "other.txt").open("a", encoding="utf-8") as file:
        file.write("又一行\n")
    (folder / "finished.json").unlink()
    assert run(["pretrain", str(place / "other.txt"), "--resume", "--run", str(folder)]) == 2
    assert "LIC-K005" in capfd.readouterr().err

    chosen = (f"encoder.source={folder}", "encoder.num_layers=1", "training.max_records=8")
    track = [word for one in chosen for word in ("--set", one)]
    assert run(["train", "event", "--recipe", "quick", "--data", str(SAMPLES / "event"), *track, "--dry-run"]) == 0


def test_pairs_give_a_simbert(place, report):
    rows = [{"text": f"{a}{b}多远", "pair": f"到{b}{a}的路有多长", "label": int(b != "卯")} for a in "甲乙丙丁戊己" for b in "子丑寅卯"]
    path = place / "pairs.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    given = ["--recipe", "simbert", *SET, "--set", "model.held_out=0.3", "--set", "training.batch_tokens=400"]
    planned = report("pretrain", path, *given, "--dry-run")
    assert planned["track"] == "pretraining" and planned["steps"] == planned["windows"] > 1 and not (place / "runs").exists()
    assert run(["pretrain", str(path), *given]) == 0
    folder = place / "runs" / "pretraining" / "simbert"
    steps = [row for row in lines_of(folder / "metrics.jsonl") if "loss" in row]
    assert len(steps) == planned["steps"] and steps[0]["loss"] == pytest.approx(planned["largest_step"]["loss"], rel=0.2)
    assert SimBERT.load(folder).encode(["甲子多远"]).shape == (1, 32)


NO_TEXT = {
    "no file": ([], None, "LIC-C001"),
    "no such file": (["none.txt"], None, "LIC-D001"),
    "an empty file": (["a.txt"], b"", "LIC-D003"),
    "nothing visible": (["a.txt"], b"\n \n\n", "LIC-M002"),
    "one line": (["a.txt"], "只有一行\n".encode(), "LIC-M002"),
    "not UTF-8": (["a.txt"], "甲\n乙\n丙\n".encode("gbk"), "LIC-D004"),
    "damaged": (["a.txt.xz"], b"no xz", "LIC-M001"),
    "no pair": (["a.jsonl", "--recipe", "simbert"], b'{"text": "a", "pair": "b", "label": 0}\n', "LIC-M004"),
    "no group": (["a.jsonl", "--recipe", "simbert"], b'{"text": "a"}\n', "LIC-M005"),
    "no JSON": (["a.jsonl", "--recipe", "simbert"], b"a b\n", "LIC-D008"),
    "a short budget": (["a.jsonl", "--recipe", "simbert", "--set", "training.batch_tokens=90"], b'{"text": "a", "pair": "b"}\n', "LIC-M004"),
    "a wrong key": (["a.txt", "--set", "model.mask=1"], b"a\nb\n", "LIC-R004"),
    "plan and resume": (["a.txt", "--dry-run", "--resume"], b"a\nb\n", "LIC-U023"),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_what_cannot_be_pretrained_on_is_one_clear_error_and_leaves_nothing(case, place, fault):
    arguments, data, expected = NO_TEXT[case]
    if data is not None:
        (place / arguments[0]).write_bytes(data)
    code, codes, _ = fault("pretrain", *arguments, *SET)
    assert code == 2 and expected in codes
    assert not (place / "runs").exists() and not list(place.rglob("*.part"))


def test_whole_words_need_jieba(place, fault, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jieba", None)
    (place / "a.txt").write_text("甲乙\n丙丁\n", encoding="utf-8")
    code, codes, err = fault("pretrain", "a.txt", *SET, "--recipe", "whole_word")
    assert (code, codes) == (2, ["LIC-M003"]) and "span" in err
