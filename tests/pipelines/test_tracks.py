"""The three tracks side by side: the same verbs from official files to accepted zips, each on its sample with a tiny recipe."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import run
from tasks.registry import TRACKS, get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SETTINGS = {
    "relation": ("training.epochs=3", "training.max_records=400"),
    "event": ("training.epochs=3", "training.max_records=400"),
    "reading": ("training.epochs=1", "training.max_records=300"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a run of every track."""
    folder = tmp_path_factory.mktemp("tracks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for track, settings in SETTINGS.items():
            overrides = [word for setting in settings for word in ("--set", setting)]
            assert run(["train", track, "--recipe", "quick", "--data", str(SAMPLES / track), *overrides]) == 0
    return folder


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def schema_of(track):
    path = SAMPLES / track / "schema.json"
    return get_task(track).read_schema(path) if path.is_file() else None


def read(track, split):
    result = get_task(track).read_records(SAMPLES / track / f"{split}.json", schema_of(track))
    assert result.problems == []
    return result.records


def test_predict_without_a_track_writes_a_zip_for_each(report):
    told = report("predict", "--split", "test")
    assert list(told) == list(TRACKS)
    for track, one in told.items():
        member = get_task(track).member
        assert one["zip"] == str(Path("submissions") / member.replace(".json", ".zip"))
        with zipfile.ZipFile(one["zip"]) as archive:
            assert archive.namelist() == [member]
            assert archive.read(member) == Path(one["file"]).read_bytes()
        assert one["records"] == len(read(track, "test1"))
        checked = report("submit", "check", track, one["zip"], "--against", SAMPLES / track / "test1.json")
        assert checked["ok"] and checked["problems"] == []


def test_evaluate_without_a_track_scores_each(report):
    told = report("evaluate")
    assert list(told) == list(TRACKS)
    for track, one in told.items():
        best = json.loads((Path("runs") / track / "quick" / "best.json").read_text(encoding="utf-8"))["dev"]
        assert set(best) == set(get_task(track).shown_scores)
        assert {name: one[name] for name in best} == pytest.approx(best, abs=1e-6)
        assert one["records"] == len(read(track, "dev"))


@pytest.mark.parametrize("track", TRACKS)
def test_the_score_of_a_prediction_file_is_that_of_evaluate(track, report, capfd):
    report("predict", track, "--split", "dev", "--out", f"{track}-dev.zip")
    evaluated = report("evaluate", track)
    for file in (f"{track}-dev.zip", f"{track}-dev.json"):
        scored = report("score", track, SAMPLES / track / "dev.json", file)
        shown = get_task(track).shown_scores
        assert {name: scored[name] for name in shown} == pytest.approx({name: evaluated[name] for name in shown}, abs=1e-12)
    assert run(["score", track, str(SAMPLES / track / "dev.json"), f"{track}-dev.zip"]) == 0
    assert run(["evaluate", track]) == 0
    assert capfd.readouterr().out.count("by ") >= 2


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("other", TRACKS)
def test_a_run_refuses_another_track(track, other, capfd):
    code = run(["evaluate", other, "--run", f"runs/{track}/quick", "--data", str(SAMPLES / other)])
    said = capfd.readouterr().err
    assert (code == 0) if track == other else (code == 2 and "LIC-U005" in said and f"a run of track {track}" in said)


def test_one_tracks_missing_test_file_keeps_no_other_from_its_zip(tmp_path, monkeypatch, capfd):
    shutil.copytree("runs", tmp_path / "runs")
    shutil.copytree(SAMPLES / "relation", tmp_path / "relation")
    (tmp_path / "relation" / "test1.json").unlink()
    config = tmp_path / "runs" / "relation" / "quick" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace(str(SAMPLES / "relation"), str(tmp_path / "relation")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["predict"]) == 2
    said = capfd.readouterr().err
    assert "LIC-F004" in said and str(tmp_path / "relation") in said
    assert {path.name for path in Path("submissions").iterdir()} == {"duee.zip", "duee.json", "reading.zip", "reading.json"}


def test_extract_relation_gives_verbatim_mentions_with_offsets(report, capfd):
    found = 0
    for record in read("relation", "dev")[:20]:
        for made in report("extract", "relation", record.text)["found"]:
            start, end = made["subject_span"]
            assert record.text[start:end] == made["subject"] and 0 < made["probability"] <= 1
            assert all(record.text[slice(*made["object_spans"][slot])] == text for slot, text in made["object"].items())
            assert "@value" in made["object"]
            found += 1
    assert found > 0
    text = read("relation", "dev")[0].text
    assert run(["extract", "relation", text]) == 0
    assert text[:10] in capfd.readouterr().out


def test_extract_reading_answers_a_question_and_wants_one(report, capfd):
    record = read("reading", "dev")[0]
    (answer,) = report("extract", "reading", record.text, "--question", record.question)["found"]
    assert record.text[answer["start"] : answer["end"]] == answer["text"] == answer["text"].strip() != ""
    assert run(["extract", "reading", record.text]) == 2
    assert "--question" in capfd.readouterr().err


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_samples_come_back_through_the_decode(track, split, report):
    told = report("data", "roundtrip", track, SAMPLES / track / f"{split}.json", "--explain")
    assert told[get_task(track).shown_scores[-1]] >= 0.995
    assert told["not_exact"] == len(told["lost"])


@pytest.mark.parametrize("track", TRACKS)
def test_a_baseline_needs_no_run(track, report, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    best = get_task(track).shown_scores[-1]
    known, new = (report("evaluate", track, "--baseline", "--split", split, "--data", SAMPLES / track) for split in ("train", "dev"))
    assert known["run"] == new["run"] == "baseline"
    assert 0 <= new[best] < 1 and known[best] > 0, "what it remembers it finds"
    assert run(["evaluate", "--baseline"]) == 2
    assert "LIC-U010" in capfd.readouterr().err


@pytest.mark.parametrize("track", TRACKS)
def test_the_samples_are_sound(track, report):
    told = report("data", "check", track, SAMPLES / track)
    assert told["ok"] and told["complete"] and told["shared_ids"] == []


def test_a_schema_for_the_track_without_one(capfd):
    assert run(["data", "roundtrip", "reading", str(SAMPLES / "reading/dev.json"), "--schema", str(SAMPLES / "event/schema.json")]) == 2
    assert "LIC-D032" in capfd.readouterr().err
