"""Texts that are empty, endless or strange, in files and to lic extract."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import run
from tasks.json_lines import emptiness, visible
from tasks.registry import get_task

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
TRACKS = ("relation", "event", "reading")
LONG = ("温青禾昨天在海螺湾出任《纸鸢》的导演，星桥科技裁员三百人。" * 4000)[:100_000]
QUESTION = ("--question", "谁是导演")


def write(path, track, *texts, questions=None):
    """An unlabelled file of these texts (relation, event) or passages (reading); reading: one question on each."""
    if track == "reading":
        asked = questions or ["谁是导演"] * len(texts)
        qas = [[{"id": f"q{number}", "question": question}] for number, question in enumerate(asked)]
        value = {"data": [{"title": "", "paragraphs": [{"context": text, "qas": one} for text, one in zip(texts, qas, strict=True)]}]}
        path.write_text(json.dumps(value) + "\n", encoding="utf-8")
    else:
        rows = ({"text": text, **({"id": f"t{number}"} if track == "event" else {})} for number, text in enumerate(texts))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def given(monkeypatch):
    """Puts bytes on standard input."""
    return lambda data: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.fixture(params=TRACKS)
def track(request, trained, monkeypatch):
    """Each track, in a folder that has a run of it."""
    monkeypatch.chdir(trained(request.param))
    return request.param


# -- nothing to read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \t　\n", "\0\0", "\u200b\ufeff", "\ufffd\ufffd"])
def test_a_text_of_nothing_is_refused(text, track, tmp_path, fault, given):
    path = write(tmp_path / "test1.json", track, "温青禾出任导演", text)
    code, codes, err = fault("data", "check", track, path)
    assert (code, codes) == (2, ["LIC-D012"]) and ("empty" if not text else "only") in err
    assert fault("predict", track, "--input", path, "--out", tmp_path / "a.zip")[:2] == (2, ["LIC-D012"])
    assert not (tmp_path / "a.zip").exists()
    given(text.encode())
    assert fault("extract", track, "-", *QUESTION)[:2] == (2, ["LIC-X001"])


def test_what_can_be_seen():
    assert [visible(text) for text in ("", " ", "\0", "\u200d", "a", "温", "😀", "\0😀", "…", "\ue000")] == [False] * 4 + [True] * 6
    assert emptiness("温", "text") is None and emptiness("", "text") == "an empty “text”"
    assert emptiness(" ", "text") == "a “text” of blanks only" and emptiness("\0 ", "text") == "a “text” of control characters only"


@pytest.mark.parametrize("question", ["", "　", "\0"])
def test_a_question_of_nothing_is_refused(question, trained, monkeypatch, tmp_path, fault):
    monkeypatch.chdir(trained("reading"))
    path = write(tmp_path / "test1.json", "reading", "温青禾出任导演", questions=[question])
    assert fault("data", "check", "reading", path)[:2] == (2, ["LIC-D012"])
    assert fault("extract", "reading", "温青禾出任导演", "--question", question)[:2] == (2, ["LIC-X002"])


@pytest.mark.parametrize("track", ["relation", "event"])
def test_a_question_where_none_is_asked_is_refused(track, trained, monkeypatch, fault):
    monkeypatch.chdir(trained(track))
    assert fault("extract", track, "温青禾出任导演", "--question", "谁出任导演")[:2] == (2, ["LIC-X004"])


# -- strange, yet to be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["😀👩‍👩‍👧🎉", "温\0青禾\u200b出任\0导演", "a\u0301\u202e İ ﷽ 𠮷", "[/red] :smile: [温]", "x" * 3000])
def test_any_other_text_is_read(text, track, tmp_path, report, capfd, given):
    path = write(tmp_path / "test1.json", track, text, "温青禾出任导演" + text)
    told = report("predict", track, "--input", path, "--out", tmp_path / "a.zip")
    assert told["records"] == 2
    assert report("submit", "check", track, tmp_path / "a.zip", "--against", path)["ok"]
    given(text.encode())
    assert run(["extract", track, "-", *(QUESTION if track == "reading" else [])]) == 0
    out = capfd.readouterr().out
    assert text[:5] in out and ("(3,000" in out) == (len(text) == 3000) and len(out) < 10_000


@pytest.mark.parametrize("track", ["relation", "event"])
def test_a_text_of_100000_characters_is_predicted(track, trained, monkeypatch, tmp_path, report):
    monkeypatch.chdir(trained(track))
    path = write(tmp_path / "test1.json", track, LONG, "温青禾出任导演")
    assert report("predict", track, "--input", path, "--out", tmp_path / "a.zip")["records"] == 2
    assert report("submit", "check", track, tmp_path / "a.zip", "--against", path)["ok"]


def test_a_text_of_100000_characters_is_read_in_windows_of_little_memory(trained):
    """Attention over all of it at once would take 4 · 100,000² bytes and more."""
    code = """
import sys
from pipelines.cli import run
from pipelines.memory import peak_memory_mib
code = run(sys.argv[1:])
print(code, peak_memory_mib())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "extract", "reading", "-", *QUESTION, "--json"],
        cwd=trained("reading"),
        input=LONG,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    told, measured = done.stdout.splitlines()
    (found,) = json.loads(told)["found"]
    assert LONG[found["start"] : found["end"]] == found["text"] != ""
    assert measured.split()[0] == "0" and (measured.split()[1] == "None" or int(measured.split()[1]) < 3000)


def test_a_long_text_in_training(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "schema.json").write_bytes((SAMPLES / "event" / "schema.json").read_bytes())
    rows = [json.loads(line) for line in (SAMPLES / "event" / "train.json").read_text(encoding="utf-8").splitlines()[:10]]
    rows[3]["text"] += LONG[:5_000]
    for split in ("train", "dev"):
        (folder / f"{split}.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["train", "event", "--recipe", "quick", "--data", "data", "--set", "training.epochs=0.1"]) == 0
    err = capfd.readouterr().err
    assert "10 records in" in err and (tmp_path / "runs/event/quick/weights.safetensors").is_file()


# -- questions longer than the window ------------------------------------------------------------------------------


def test_a_question_longer_than_the_window_is_cut_and_counted(trained, monkeypatch, tmp_path, report, capfd):
    monkeypatch.chdir(trained("reading"))
    texts = ["温青禾出任导演"] * 3
    path = write(tmp_path / "test1.json", "reading", *texts, questions=["谁" * 1000, "谁是导演", "哪里" * 500])
    assert run(["predict", "reading", "--input", str(path), "--out", str(tmp_path / "a.zip")]) == 0
    assert "note: 2 questions are longer than 64 tokens or half of features.window: cut there." in capfd.readouterr().err
    assert run(["extract", "reading", texts[0], "--question", "谁" * 1000]) == 0
    assert "note: a question is longer than" in capfd.readouterr().err
    assert run(["extract", "reading", texts[0], "--question", "谁是导演"]) == 0
    assert "longer" not in capfd.readouterr().err


# -- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "said"), [("温青禾出任导演".encode("gbk"), "GBK"), (b"a\nb\xff\xffc", "standard input:2: ")])
def test_standard_input_is_utf8(data, said, track, fault, given):
    given(data)
    code, codes, err = fault("extract", track, "-", *QUESTION)
    assert (code, codes) == (2, ["LIC-X003"]) and said in err


def test_standard_input_loses_its_byte_order_mark_only(trained, monkeypatch, report, given):
    monkeypatch.chdir(trained("event"))
    given(b"\xef\xbb\xbf" + "　温青禾\n".encode())
    assert report("extract", "event", "-")["text"] == "　温青禾\n"


def test_half_a_surrogate_pair(trained, monkeypatch, tmp_path, fault):
    monkeypatch.chdir(trained("event"))
    assert fault("extract", "event", "温\udc80")[:2] == (2, ["LIC-X003"])
    rows = ['{"text": "\\ud83d温", "id": "a"}', '{"text": "温", "id": "b", "\\ud83d": 1}', '{"text": "\\ud83d\\ude00", "id": "c"}']
    (tmp_path / "test1.json").write_text("\n".join(rows) + "\n", encoding="utf-8")
    code, codes, err = fault("data", "check", "event", tmp_path / "test1.json")
    assert (code, codes) == (2, ["LIC-D019", "LIC-D019"]) and "test1.json:1: " in err and "test1.json:2: " in err


# -- ids and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("track", ["event", "reading"])
def test_ids_given_twice(track, tmp_path, fault):
    path = write(tmp_path / "test1.json", track, "温青禾", "海螺湾", "星桥科技")
    path.write_text(path.read_text(encoding="utf-8").replace("t2", "t0").replace("q2", "q0"), encoding="utf-8")
    code, codes, err = fault("data", "check", track, path)
    assert (code, codes) == (2, ["LIC-D016"]) and "again (first in" in err


def test_a_predicate_outside_the_schema(tmp_path, fault):
    (tmp_path / "schema.json").write_bytes((SAMPLES / "relation" / "schema.json").read_bytes())
    name = get_task("relation").read_schema(tmp_path / "schema.json").predicates[0]
    spos = [{"predicate": predicate, "subject": "温青禾", "object": {"@value": "纸鸢"}} for predicate in (name, name + "啊")]
    rows = [{"text": "温青禾《纸鸢》", "spo_list": [spo]} for spo in spos]
    (tmp_path / "train.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, codes, err = fault("data", "check", "relation", tmp_path / "train.json")
    assert (code, codes) == (2, ["LIC-D013"]) and "train.json:2: " in err and f"Did you mean “{name}”?" in err
