"""Features of a file: made whole or in chunks, kept under a key, never half, never out of a damaged folder."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.data_files import open_labelled, stream_records
from pipelines.preprocess import features_of_file
from shared.errors import InputError
from shared.text import Tokenizer, Vocabulary
from tasks.recipe import FeatureSettings
from tasks.registry import get_task

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"
SETTINGS = FeatureSettings(window=24, overlap=8)


@dataclass(frozen=True)
class Encoder:
    """What features need of an encoder."""

    vocabulary: Vocabulary
    lower_case: bool = True
    max_length: int = 64

    @property
    def backbone(self):
        return SimpleNamespace(config=SimpleNamespace(max_length=self.max_length))

    @property
    def tokenizer(self):
        return Tokenizer(self.vocabulary, lower_case=self.lower_case)


@dataclass
class Place:
    """A working folder with a train file of the event sample; ``features()`` asks for its features."""

    folder: Path
    encoder: Encoder
    track: str = "event"

    def __post_init__(self):
        self.task, self.path = get_task(self.track), self.folder / "train.json"
        self.schema = self.task.read_schema(SAMPLES / self.track / "schema.json")
        lines = (SAMPLES / self.track / "train.json").read_bytes().splitlines()[:60]
        self.path.write_bytes(b"\n".join(lines) + b"\n")

    def features(self, **options):
        options = {"skip_bad": False, "workers": 1, **options}
        return features_of_file(self.task, self.path, self.schema, self.encoder, SETTINGS, **options)

    def spoil(self, number):
        lines = self.path.read_bytes().splitlines()
        lines[number] = b"{broken"
        self.path.write_bytes(b"\n".join(lines) + b"\n")

    @property
    def kept(self):
        return sorted(self.folder.glob("data/cache/*/*")) + sorted(self.folder.glob("data/cache/*/.*"))


@pytest.fixture(scope="module")
def encoder():
    texts = [json.loads(line)["text"] for line in (SAMPLES / "event" / "train.json").read_bytes().splitlines()]
    return Encoder(Vocabulary.build(texts, max_size=500))


@pytest.fixture(params=["whole", "in chunks"])
def place(request, tmp_path, monkeypatch, encoder):
    monkeypatch.chdir(tmp_path)
    if request.param == "in chunks":
        monkeypatch.setattr("tasks.chunks.CHUNK_BYTES", 2000)
    return Place(tmp_path, encoder)


def arrays(features):
    return {name: (array.values, array.offsets) if hasattr(array, "offsets") else array for name, array in features.arrays().items()}


def check_equal(mine, theirs):
    np.testing.assert_equal(arrays(mine), arrays(theirs))


def test_features_are_made_once_and_mapped(place, capfd):
    found = place.features()
    assert (found.records, found.in_file, found.problems, found.skipped) == (60, 60, 0, 0) and place.kept == [found.folder.resolve()]
    rows = place.task.read_records(place.path, place.schema, labelled=True).records
    check_equal(found.features, place.task.make_features(rows, place.schema, place.encoder.tokenizer, SETTINGS))
    assert isinstance(found.features.ids.values, np.memmap)
    assert found.features.record_index.tolist() == found.features.windows[:, 0].tolist()
    times = [path.stat().st_mtime_ns for path in found.folder.iterdir()]
    assert "60 records in" in capfd.readouterr().err
    again = place.features()
    check_equal(again.features, found.features)
    assert [path.stat().st_mtime_ns for path in found.folder.iterdir()] == times and capfd.readouterr().err == ""


def test_what_decides_the_features_decides_the_folder(place):
    folders = {place.features().folder, place.features(limit=9).folder}
    other = Place(place.folder, Encoder(place.encoder.vocabulary, lower_case=False))
    folders.add(other.features().folder)
    place.path.write_bytes(place.path.read_bytes().replace(b"\n", b" \n", 1))
    folders.add(place.features().folder)
    assert len(folders) == len(place.kept) == 4


def test_bad_lines_stop_it_and_leave_nothing(place):
    place.spoil(3)
    place.spoil(50)
    with pytest.raises(InputError) as caught:
        place.features()
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [("LIC-D008", 4), ("LIC-D008", 51)]
    assert {path.name for path in place.folder.iterdir()} == {"train.json"}


def test_what_was_left_out_is_said_each_time(place, capfd):
    place.spoil(3)
    found = place.features(skip_bad=True)
    assert (found.records, found.problems, found.skipped) == (59, 1, 1)
    err = capfd.readouterr().err
    assert "train.json:4: [LIC-D008]" in err and "went on without 1 bad records; 59 are left." in err
    check_equal(place.features(skip_bad=True).features, found.features)
    err = capfd.readouterr().err
    assert "1 problems; lic data check event" in err and "went on without 1 bad records; 59 are left." in err
    with pytest.raises(InputError, match="LIC-D008"):
        place.features()  # the cache does not hide them
    assert place.kept == [found.folder.resolve()]


def test_a_file_without_a_sound_record(place):
    place.path.write_bytes(b"{}\n" * 2000)
    with pytest.raises(InputError, match="LIC-D031"):
        place.features(skip_bad=True)
    assert place.kept == []


def test_the_first_records_only(place, capfd):
    found, whole = place.features(limit=7), place.features()
    assert (found.records, found.in_file) == (7, 60) and found.features.record_index.max() == 6
    count = int((whole.features.record_index < 7).sum())
    np.testing.assert_array_equal(found.features.ids.values, whole.features.ids.values[: whole.features.ids.offsets[count]])
    capfd.readouterr()
    place.features(limit=7)
    assert "the first 7 of 60 records of train.json are used" in capfd.readouterr().err


def test_a_window_longer_than_the_encoder_reads(place):
    short = Encoder(place.encoder.vocabulary, max_length=20)
    with pytest.raises(InputError, match="LIC-E002"):
        Place(place.folder, short).features()


# -- the cache -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "flipped", "manifest", "gone"])
def test_a_damaged_folder_is_named_passed_over_and_left_alone(place, capfd, damage):
    first = place.features()
    sound = arrays(first.features)
    expected = {name: np.array(pair[0] if isinstance(pair, tuple) else pair) for name, pair in sound.items()}
    victim = first.folder / ("manifest.json" if damage == "manifest" else "ids.values.npy")
    data = victim.read_bytes()
    victim.unlink()  # the arrays above are mapped
    if damage != "gone":
        victim.write_bytes(data[:-7] if damage in ("cut", "manifest") else data[:-1] + bytes([data[-1] ^ 1]))
    left = {path: path.read_bytes() for path in first.folder.iterdir()}
    capfd.readouterr()
    second = place.features()
    err = capfd.readouterr().err
    assert f"{first.folder}: [LIC-A001]" in err and f"passed over; its features are made again in {second.folder}" in err
    assert second.folder == first.folder.with_name(first.folder.name + "-2")
    assert {path: path.read_bytes() for path in first.folder.iterdir()} == left
    for name, pair in arrays(second.features).items():
        np.testing.assert_array_equal(pair[0] if isinstance(pair, tuple) else pair, expected[name])
    assert place.features().folder == second.folder and capfd.readouterr().err == ""


def test_what_a_killed_process_left_is_ignored(place):
    folder = place.features().folder
    half = folder.with_name(f".{folder.name}.abcd.part")
    shutil.move(folder, half / "new")
    assert place.features().folder == folder and (half / "new" / "manifest.json").is_file()


TOGETHER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace

import tasks.chunks
from pipelines.preprocess import features_of_file
from shared.text import Vocabulary
from tasks.recipe import FeatureSettings
from tasks.registry import get_task

task, vocabulary = get_task("event"), Vocabulary.from_file("vocab.txt")
tasks.chunks.CHUNK_BYTES = int(sys.argv[1])
encoder = SimpleNamespace(vocabulary=vocabulary, lower_case=True, backbone=SimpleNamespace(config=SimpleNamespace(max_length=64)))
schema = task.read_schema(Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
settings = FeatureSettings(window=24, overlap=8)
print(features_of_file(task, Path("train.json"), schema, encoder, settings, skip_bad=False, workers=1).folder)
"""


def test_processes_at_once_all_end_well(tmp_path, encoder):
    place = Place(tmp_path, encoder)
    encoder.vocabulary.save(tmp_path / "vocab.txt")
    command = [sys.executable, "-c", TOGETHER, "1000", str(SAMPLES / "event" / "schema.json")]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    several = [subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options) for _ in range(3)]
    for process in several:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in several:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], said
    rows = place.task.read_records(place.path, place.schema, labelled=True).records
    expected = place.task.make_features(rows, place.schema, encoder.tokenizer, SETTINGS)
    for out, _ in said:
        check_equal(place.task.load_features(tmp_path / out.strip()), expected)
    assert not [path for path in place.kept if path.name.startswith(".")]


# -- data that is not held -----------------------------------------------------------------------------------------


def opened(folder, track="event", *overrides, skip_bad=False):
    return open_labelled(track, data=folder, recipe="quick", overrides=overrides, skip_bad=skip_bad, workers=1)


@pytest.mark.parametrize("track", ["relation", "event", "reading"])
def test_training_texts_and_records_are_read_when_asked_for(track):
    data, task = opened(SAMPLES / track, track), get_task(track)
    rows = task.read_records(data.paths["train"], data.schema, labelled=True).records
    assert list(data.texts) == list(data.texts) == [task.text_of(row) for row in rows]
    assert data.dev == task.read_records(data.paths["dev"], data.schema, labelled=True).records
    assert data.train_records([0, 5, 17]) == [rows[0], rows[5], rows[17]] and data.train_records([]) == []
    limited = opened(SAMPLES / track, track, "training.max_records=4")
    assert list(limited.texts) == [task.text_of(row) for row in rows[:4]]


def test_texts_of_a_bad_file_stop_it_or_leave_out_what_is_bad(tmp_path):
    shutil.copytree(SAMPLES / "event", tmp_path / "event")
    lines = (tmp_path / "event" / "train.json").read_bytes().splitlines()
    (tmp_path / "event" / "train.json").write_bytes(b"\n".join([lines[0], b"{}", lines[1], b"[]"]) + b"\n")
    with pytest.raises(InputError) as caught:
        list(opened(tmp_path / "event").texts)
    assert {problem.line for problem in caught.value.problems} == {2, 4}
    assert list(opened(tmp_path / "event", skip_bad=True).texts) == [json.loads(line)["text"] for line in lines[:2]]


def test_streamed_records_say_what_is_left_out(tmp_path, capfd):
    path = tmp_path / "f.json"
    path.write_bytes(b'{"text": "a"}\n{}\n{"text": "b"}\n')
    task = get_task("relation")
    records = stream_records(task, path, None, labelled=None, skip_bad=True)
    assert [record.text for record in records] == ["a", "b"] and "went on without 1 bad records; 2 are left." in capfd.readouterr().err
    assert len(list(stream_records(task, path, None, labelled=None, skip_bad=False, limit=1))) == 1
    with pytest.raises(InputError, match="LIC-D010"):
        list(stream_records(task, path, None, labelled=None, skip_bad=False))
    path.write_bytes(b"{}\n")
    with pytest.raises(InputError, match="LIC-D031"):
        list(stream_records(task, path, None, labelled=None, skip_bad=True))
