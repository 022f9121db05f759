import importlib.util
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.similarity import RetrievalIndex

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("faiss", "hnswlib", "sklearn")
]


def random_vectors(count, size=16, seed=0):
    return np.random.default_rng(seed).normal(size=(count, size)) * 3.0  # [n, d]


def exact(vectors, queries, k):
    """Ids and cosines of a full comparison in float64."""
    unit, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, queries))
    scores = asked @ unit.T  # [q, n]
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # [q, k]
    return ids, np.take_along_axis(scores, ids, axis=1)


def names(count):
    return [f"text {number}" for number in range(count)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_finds_what_a_full_comparison_finds(backend):
    vectors, queries = random_vectors(400), random_vectors(30, seed=1)
    index = RetrievalIndex(vectors, names(400), backend=backend)
    ids, scores = index.search(queries, 10)
    wanted, cosines = exact(vectors, queries, 10)
    assert ids.shape == scores.shape == (30, 10) and ids.dtype == np.int64 and scores.dtype == np.float32
    if backend == "hnswlib":
        found = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)])
        assert found > 0.99
    else:
        np.testing.assert_array_equal(ids, wanted)
        np.testing.assert_allclose(scores, cosines, atol=2e-6)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", asked, units[ids]), atol=2e-6)
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_added_texts_are_found_and_all_of_them_can_be_asked_for(backend):
    vectors = random_vectors(60)
    index = RetrievalIndex(vectors[:25], names(25), backend=backend)
    index.add(vectors[25:26], ["text 25"])
    index.add(vectors[26:], names(60)[26:])
    assert len(index) == 60 and index.texts == names(60)
    np.testing.assert_array_equal(index.search(vectors, 1)[0][:, 0], np.arange(60))
    assert sorted(index.search(vectors[:1], 60)[0][0].tolist()) == list(range(60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_saved_index_answers_as_before(backend, tmp_path):
    vectors, queries = random_vectors(80), random_vectors(5, seed=2)
    index = RetrievalIndex(vectors, [f"题目 {number}" for number in range(80)], backend=backend)
    index.save(tmp_path / "index")
    again = RetrievalIndex.load(tmp_path / "index")
    assert again.texts == index.texts and again.backend == backend
    for before, after in zip(index.search(queries, 7), again.search(queries, 7), strict=True):
        np.testing.assert_array_equal(before, after)
    again.add(queries, names(5))
    assert again.search(queries, 1)[0][:, 0].tolist() == [80, 81, 82, 83, 84]
    again.save(tmp_path / "index")  # an older index is replaced
    assert len(RetrievalIndex.load(tmp_path / "index")) == 85
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_index_grows_and_is_saved(backend, tmp_path):
    index = RetrievalIndex(np.zeros((0, 4)), [], backend=backend)
    with pytest.raises(ValueError, match="k is 1, but the index holds 0 texts"):
        index.search(np.ones((1, 4)), 1)
    index.save(tmp_path / "empty")
    again = RetrievalIndex.load(tmp_path / "empty")
    again.add(np.eye(4), names(4))
    assert again.search(np.eye(4)[2:3], 1)[0].tolist() == [[2]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_vectors_stand_by_id(backend):
    index = RetrievalIndex(np.ones((5, 3)), names(5), backend=backend)
    ids, scores = index.search(np.ones((1, 3)), 5)
    assert ids.tolist() == [[0, 1, 2, 3, 4]]
    np.testing.assert_allclose(scores, 1.0, atol=1e-6)
    assert index.search(np.zeros((0, 3)), 2)[0].shape == (0, 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 1000), st.data())
def test_the_exact_backends_agree_for_any_size(count, size, seed, data):
    k = data.draw(st.integers(1, count))
    vectors, queries = random_vectors(count, size, seed), random_vectors(3, size, seed + 1)
    cosines = exact(vectors, queries, k)[1]
    for backend in ("faiss", "sklearn"):
        if importlib.util.find_spec(backend):
            found = RetrievalIndex(vectors, names(count), backend=backend).search(queries, k)[1]
            np.testing.assert_allclose(found, cosines, atol=2e-6)


def test_bad_vectors_and_numbers_are_refused():
    index = RetrievalIndex(random_vectors(4, 3), names(4), backend="sklearn")
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k is {k}, but the index holds 4 texts"):
            index.search(np.ones((1, 3)), k)
    with pytest.raises(ValueError, match=r"\[n, 3\], found shape \[1, 2\]"):
        index.search(np.ones((1, 2)), 1)
    with pytest.raises(ValueError, match=r"vector 1 has length 0\.0"):
        index.add(np.array([[1.0, 0, 0], [0, 0, 0]]), ["a", "b"])
    with pytest.raises(ValueError, match="vector 0 has length nan"):
        index.search(np.array([[np.nan, 0, 0]]), 1)
    with pytest.raises(ValueError, match="2 vectors and 1 texts"):
        index.add(np.ones((2, 3)), ["a"])
    with pytest.raises(ValueError, match="one string"):
        index.add(np.ones((2, 3)), "ab")
    with pytest.raises(ValueError, match="found shape"):
        RetrievalIndex(np.ones(3), ["a"])
    with pytest.raises(ValueError, match="backend is 'annoy'"):
        RetrievalIndex(np.ones((1, 3)), ["a"], backend="annoy")
    assert len(index) == 4


def test_auto_takes_the_next_backend_where_one_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    assert RetrievalIndex(np.ones((1, 3)), ["a"]).backend == "sklearn"
    with pytest.raises(ImportError, match="install faiss-cpu"):
        RetrievalIndex(np.ones((1, 3)), ["a"], backend="faiss")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="none is installed"):
        RetrievalIndex(np.ones((1, 3)), ["a"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_damaged_and_foreign_folders_are_refused(backend, tmp_path):
    folder = tmp_path / "index"
    RetrievalIndex(random_vectors(9, 4), names(9), backend=backend).save(folder)
    manifest = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    file = next(path for path in folder.iterdir() if path.name != "index.json")
    whole = file.read_bytes()
    for damaged in (whole[:-5], whole + b"0", b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="no whole index"):
            RetrievalIndex.load(folder)
    file.write_bytes(whole)
    for change in ({"texts": names(8)}, {"backend": "annoy"}, {"format": 9}):
        (folder / "index.json").write_text(json.dumps({**manifest, **change}), encoding="utf-8")
        with pytest.raises(ValueError, match="no whole index"):
            RetrievalIndex.load(folder)
    with pytest.raises(ValueError, match="no whole index"):
        RetrievalIndex.load(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("rain", encoding="utf-8")
    with pytest.raises(ValueError, match="is left alone"):
        RetrievalIndex(np.ones((1, 3)), ["a"], backend="sklearn").save(tmp_path / "diary")
    assert (tmp_path / "diary" / "monday.txt").read_text(encoding="utf-8") == "rain"
    assert [path.name for path in tmp_path.iterdir()] == ["diary"]
