"""Chunks of a file, put together, are the file: every array, every problem, whatever the size of a chunk and the number of processes."""

import itertools
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.ragged import load_arrays
from shared.text import Tokenizer, Vocabulary
from tasks.chunks import Source, make_features_in_chunks, stream
from tasks.json_lines import LineFacts, cut_chunks, parse_chunk, parse_json_lines
from tasks.recipe import FeatureSettings
from tasks.registry import get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
REAL = os.environ.get("LIC_REAL_DATA")
SETTINGS = FeatureSettings(window=12, overlap=4)
TRACKS = ("relation", "event")


def schema_of(track):
    return get_task(track).read_schema(SAMPLES / track / "schema.json")


VOCABULARY = {
    track: Vocabulary.build(
        [record.text for record in get_task(track).read_records(SAMPLES / track / "train.json", schema_of(track)).records], max_size=600
    )
    for track in TRACKS
}


def rows(track, count=30):
    return (SAMPLES / track / "train.json").read_bytes().splitlines()[:count]


# -- lines -----------------------------------------------------------------------------------------------------------

PIECES = [
    b'{"a": 1}',
    b'{"a": "\xe6\xb5\xb7"}',
    "海螺湾".encode("gbk"),
    b"\xff\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"",
    b" ",
    b"[1]",
    b"{broken",
    b"\r",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(1, 40))
def test_lines_of_chunks_are_those_of_the_file(tmp_path_factory, pieces, size):
    data = b"".join(pieces)
    path = tmp_path_factory.mktemp("lines") / "f.json"
    path.write_bytes(data)
    whole = parse_json_lines(data, "f")
    chunks = cut_chunks(path, size)
    assert b"".join(data[chunk.begin : chunk.begin + chunk.size] for chunk in chunks) == data
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True] * bool(chunks)
    facts, problems, found, skipped = LineFacts(), [], [], 0
    for chunk in chunks:
        parsed, its = parse_chunk(data[chunk.begin : chunk.begin + chunk.size], "f", first=chunk.first, last=chunk.last)
        facts.add(its)
        problems += parsed.problems
        found += parsed.rows
        skipped += parsed.skipped
    assert (found, facts.whole_file(problems, "f"), skipped) == (whole.rows, whole.problems, whole.skipped)


# -- records and features --------------------------------------------------------------------------------------------


def faulty(track):
    """Files with every kind of fault that is more than one line's matter, by name."""
    sound = rows(track, 12)
    again = [json.dumps({**json.loads(sound[0]), "id": f"again {number % 3}"}).encode() for number in range(9)]
    gbk = [line.decode().encode("gb18030") for line in sound]
    return {
        "sound": b"\n".join(sound),
        "byte order mark, CRLF, blank lines": b"\xef\xbb\xbf" + b"\r\n".join([*sound, b"", sound[3][:-1] + b', "b": 1}', b""]) + b"\n \n",
        "GBK": b"\n".join(gbk) + b"\n",
        "a GBK line": b"\n".join([*sound[:5], gbk[5], *sound[6:]]) + b"\n",
        "UTF-16": b"\n".join(sound).decode().encode("utf-16"),
        "ids again": b"\n".join([again[0], *sound, *again[1:5], b"[", *again[5:], b'{"id": "again 1"}', sound[2]]) + b"\n",
        "records": b"\n".join([sound[0], b"{}", b'{"text": 1}', sound[1], b'{"text": " ", "id": ""}', b"3", sound[2]]) + b"\n",
        "none sound": b"{}\n{}\n{}\n",
        "one list": b"[\n" + b",\n".join(sound) + b"]\n",
    }


CASES = list(itertools.product(TRACKS, faulty("relation")))


def written(folder, data):
    path = folder / "f.json"
    path.write_bytes(data)
    return path


def drained(records):
    found = []
    while True:
        try:
            found.append(next(records))
        except StopIteration as end:
            return found, end.value


@pytest.mark.parametrize(("track", "case"), CASES)
@pytest.mark.parametrize("labelled", [True, None])
def test_streamed_records_and_problems_are_those_of_the_file(tmp_path, track, case, labelled):
    task, path, schema = get_task(track), written(tmp_path, faulty(track)[case]), schema_of(track)
    whole = task.read_records(path, schema, labelled=labelled)
    for size in (1, 150, 1000, 10**6):
        found, rest = drained(stream(Source(task, path, schema, labelled), chunk_bytes=size))
        assert found == whole.records
        assert (rest.problems, rest.skipped) == (whole.problems, whole.skipped)


@pytest.mark.parametrize("name", ["missing.json", "empty.json", "folder"])
def test_a_file_that_is_none(tmp_path, name):
    (tmp_path / "empty.json").touch()
    (tmp_path / "folder").mkdir()
    task = get_task("event")
    found, rest = drained(stream(Source(task, tmp_path / name, None, True)))
    assert found == [] and rest.problems == task.read_records(tmp_path / name, None, labelled=True).problems != []


def in_chunks(place, track, path, **options):
    """What came of the chunks, and the arrays (None where nothing was written)."""
    (place / "new").mkdir()
    source = Source(get_task(track), path, schema_of(track), True)
    made = make_features_in_chunks(source, VOCABULARY[track], True, SETTINGS, place / "new", place / "parts", **options)
    return made, load_arrays(place / "new") if any((place / "new").iterdir()) else None


def check_same(place, track, path, *, limit=None, **options):
    task, schema = get_task(track), schema_of(track)
    whole = task.read_records(path, schema, labelled=True)
    wanted = task.make_features(whole.records[:limit], schema, Tokenizer(VOCABULARY[track]), SETTINGS)
    made, loaded = in_chunks(place, track, path, limit=limit, skip_bad=True, **options)
    records = len(whole.records[:limit])
    assert (made.problems, made.skipped, made.in_file, made.records) == (whole.problems, whole.skipped, len(whole.records), records)
    if not records:
        assert loaded is None
        return
    arrays, meta = loaded
    assert meta == {**made.as_meta(), **wanted.counts()}
    assert arrays.keys() == wanted.arrays().keys()
    for name, array in wanted.arrays().items():
        for part in ("values", "offsets") if hasattr(array, "offsets") else (None,):
            mine, theirs = (arrays[name], array) if part is None else (getattr(arrays[name], part), getattr(array, part))
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CASES), st.integers(1, 4000), st.none() | st.integers(1, 15))
def test_features_of_chunks_are_those_of_the_whole_file(tmp_path_factory, case, size, limit):
    place = tmp_path_factory.mktemp("features")
    check_same(place, case[0], written(place, faulty(case[0])[case[1]]), chunk_bytes=size, limit=limit)


@pytest.mark.parametrize(("track", "case", "limit"), [("relation", "records", None), ("event", "ids again", 13)])
def test_however_many_processes(tmp_path, track, case, limit):
    progress = []
    path = written(tmp_path, faulty(track)[case])
    check_same(tmp_path, track, path, chunk_bytes=100, workers=3, limit=limit, progress=lambda done, total: progress.append((done, total)))
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert {total for _, total in progress} == {progress[-1][0]} and len(progress) >= 3


def test_a_file_with_faults_gives_its_problems_and_no_arrays(tmp_path):
    path = written(tmp_path, faulty("event")["ids again"])
    whole = get_task("event").read_records(path, schema_of("event"), labelled=True)
    made, loaded = in_chunks(tmp_path, "event", path, chunk_bytes=300, skip_bad=False)
    assert made.problems == whole.problems and loaded is None


def peak_bytes(place, track, times):
    path = written(place, b"".join(line + b"\n" for line in rows(track, 20)) * times)
    tracemalloc.start()
    try:
        made, loaded = in_chunks(place, track, path, chunk_bytes=5000)
        assert made.records == 20 * times and loaded is not None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for times in (2, 2, 20):  # the first one pays for tables that stay
        place = tmp_path / str(len(peaks))
        place.mkdir()
        peaks.append(peak_bytes(place, "relation", times))
    assert peaks[2] < 1.3 * peaks[1]


@pytest.mark.skipif(not REAL, reason="LIC_REAL_DATA does not name the folder of official data")
@pytest.mark.parametrize("track", TRACKS)
def test_real_files(tmp_path, track):
    check_same(tmp_path, track, Path(REAL) / track / "dev.json", chunk_bytes=1 << 16)
