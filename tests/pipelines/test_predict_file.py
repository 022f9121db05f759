"""Large files are predicted in parts: interrupted, shared out and merged, the zip is that of one go."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines import predict_file, predict_parts
from pipelines.cli import run
from tasks import chunks

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A working folder with a barely trained event run, where files above some kilobytes are large and seven records are a part."""
    shutil.copytree(trained() / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(predict_file, "SIZE", 7)
    return tmp_path


TEST = str(SAMPLES / "event" / "test1.json")


def predict(*more, out):
    return run(["predict", "event", "--input", TEST, "--out", out, "--set", "decode.outside_shift=4", *more])


@pytest.fixture
def whole(place, monkeypatch):
    """The zip of one go."""
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", 1 << 30)
        assert predict(out="whole.zip") == 0
    assert not Path("whole.zip.parts").exists()
    return Path("whole.zip").read_bytes()


def test_parts_give_the_same_zip_and_go(whole, report):
    result = report("predict", "event", "--input", TEST, "--out", "parts.zip", "--set", "decode.outside_shift=4")
    assert Path("parts.zip").read_bytes() == whole and not Path("parts.zip.parts").exists()
    assert result["records"] == len(Path(TEST).read_text(encoding="utf-8").splitlines()) and result["predictions"] > 0


def test_several_processes_give_the_same_zip(whole, report):
    result = report("predict", "event", "--input", TEST, "--out", "many.zip", "--set", "decode.outside_shift=4", "--workers", "2")
    assert Path("many.zip").read_bytes() == whole and not Path("many.zip.parts").exists()
    assert result["records"] == len(Path(TEST).read_text(encoding="utf-8").splitlines())


def test_a_fault_in_one_of_several_processes_is_told(whole, fault):
    Path("runs/event/quick/vocab.txt").write_text("", encoding="utf-8")
    assert fault("predict", "event", "--input", TEST, "--out", "many.zip", "--workers", "2")[1]
    assert not Path("many.zip").exists()


def test_an_interrupted_prediction_goes_on(whole, monkeypatch, capfd):
    written = predict_file.write_part

    def stop(folder, number, *given):
        if number == 3:
            raise KeyboardInterrupt
        written(folder, number, *given)

    with monkeypatch.context() as patch:
        patch.setattr(predict_file, "write_part", stop)
        assert predict(out="again.zip") == 130
    assert predict_parts.parts_there(Path("again.zip.parts")) == {0, 1, 2} and not Path("again.zip").exists()
    kept = [predict_parts.part_path(Path("again.zip.parts"), number).stat().st_mtime_ns for number in range(3)]
    seen = []
    monkeypatch.setattr(predict_file, "write_part", lambda folder, number, *given: (seen.append(number), written(folder, number, *given)))
    assert predict("--resume", out="again.zip") == 0
    assert seen == list(range(3, max(seen) + 1)) and len(kept) == 3 and "3 of" in capfd.readouterr().err
    assert Path("again.zip").read_bytes() == whole and not Path("again.zip.parts").exists()


def test_going_on_with_other_settings_is_refused(place, fault, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(predict_file, "write_part", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        assert predict(out="again.zip") == 130
    _, found, err = fault("predict", "event", "--input", TEST, "--out", "again.zip", "--resume")
    assert found == ["LIC-X027"] and "settings" in err and not Path("again.zip").exists()


def test_shards_merge_to_the_same_zip(whole, fault):
    for number in (1, 2, 3):
        assert predict("--shard", f"{number}/3", out=f"m{number}.zip") == 0
        assert not Path(f"m{number}.zip").exists()
    folders = [word for number in (1, 2, 3) for word in ("--merge", f"m{number}.zip.parts")]
    assert fault("predict", "event", "--input", TEST, "--out", "m.zip", *folders[:4], "--set", "decode.outside_shift=4")[1] == ["LIC-X031"]
    again = [*folders, "--merge", "m3.zip.parts"]
    assert set(fault("predict", "event", "--input", TEST, "--out", "m.zip", *again, "--set", "decode.outside_shift=4")[1]) == {"LIC-X030"}
    assert fault("predict", "event", "--input", TEST, "--out", "m.zip", *folders)[1] == ["LIC-X027"]
    assert not Path("m.zip").exists()
    assert predict(*folders, out="m.zip") == 0
    assert Path("m.zip").read_bytes() == whole and all(Path(f"m{number}.zip.parts").is_dir() for number in (1, 2, 3))


def test_a_damaged_part_stops_the_merge(place, fault):
    assert predict("--shard", "1/1", out="one.zip") == 0
    part = predict_parts.part_path(Path("one.zip.parts"), 1)
    lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
    part.write_text("".join(reversed(lines)), encoding="utf-8")
    found = fault("predict", "event", "--input", TEST, "--out", "m.zip", "--set", "decode.outside_shift=4", "--merge", "one.zip.parts")
    assert found[1] == ["LIC-X029"] and not Path("m.zip").exists()


@pytest.mark.parametrize("shard", ["0/3", "4/3", "a/b", "2", "1/0", "-1/2"])
def test_shards_that_are_none(place, fault, shard):
    assert fault("predict", "event", "--input", TEST, f"--shard={shard}")[1] == ["LIC-X032"]


def test_bad_records_are_said_before_anything_is_predicted(place, fault, monkeypatch):
    lines = Path(TEST).read_text(encoding="utf-8").splitlines()
    Path("bad.json").write_text("\n".join([*lines, '{"text": 3}']) + "\n", encoding="utf-8")
    monkeypatch.setattr(predict_file, "write_part", lambda *given: pytest.fail("a part was written"))
    code, _, err = fault("predict", "event", "--input", "bad.json", "--out", "x.zip")
    assert code == 2 and f":{len(lines) + 1}" in err and not Path("x.zip.parts").exists()


def test_an_earlier_prediction_that_did_not_end_is_begun_anew(whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(predict_file, "write_part", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(["predict", "event", "--input", TEST, "--out", "again.zip"]) == 130
    assert predict(out="again.zip") == 0 and Path("again.zip").read_bytes() == whole
    with Path("whole.json").open(encoding="utf-8") as file:
        assert sum(len(json.loads(line)["event_list"]) for line in file) > 0
