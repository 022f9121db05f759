"""The nearest texts by cosine. faiss, hnswlib or scikit-learn do the search; each is imported when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..files import digest, whole_folder, write_json

MANIFEST_FILE = "index.json"
_FORMAT = 1


class RetrievalIndex:
    """Texts by their vectors: ``vectors`` [n, d] of any length but 0, ``texts`` n strings; text i has the id i.

    ``backend``: ``faiss`` (exact), ``hnswlib`` (approximate, for millions of texts; nearly always the right ones), ``sklearn``
    (exact, the slowest), or ``auto``: the first of these that is installed. Vectors are scaled to length 1, so the scores are cosines.
    The same vectors in the same order give the same index.

    Raises ValueError for shapes that do not fit, numbers that are not finite, vectors of zeros and an unknown backend, ImportError for
    a backend that is not installed.
    """

    def __init__(self, vectors: np.ndarray, texts: Sequence[str], *, backend: str = "auto"):
        array = np.asarray(vectors)  # [n, d]
        if array.ndim != 2 or not array.shape[1]:
            raise ValueError(f"vectors must be [n, d], found shape {list(array.shape)}: give one row a text")
        self.size = array.shape[1]
        self.backend = choose_backend(backend)
        self.texts: list[str] = []
        self._engine = _ENGINES[self.backend](self.size)
        self.add(array, texts)

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, vectors: np.ndarray, texts: Sequence[str]) -> None:
        """Adds n texts, with the next n ids. Raises ValueError as the constructor does; then nothing is added."""
        if isinstance(texts, str):
            raise ValueError(f"texts is one string ({texts[:40]!r}): give a list of texts")
        rows = self._unit(vectors)  # [n, d]
        if len(rows) != len(texts):
            raise ValueError(f"there are {len(rows)} vectors and {len(texts)} texts: give one vector a text")
        if len(rows):
            self._engine.add(rows)
            self.texts.extend(texts)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` nearest texts of every query, the nearest first: ids [q, k] int64 and cosines [q, k] float32 of ``vectors`` [q, d].

        Equal scores stand by id. Raises ValueError for ``k`` below 1 or above the number of texts, and for bad vectors.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k is {k}, but the index holds {len(self)} texts: ask for 1 to {len(self)}")
        rows = self._unit(vectors)  # [q, d]
        if not len(rows):
            return np.zeros((0, k), dtype=np.int64), np.zeros((0, k), dtype=np.float32)
        ids, scores = self._engine.search(rows, k)  # [q, k], [q, k]
        order = np.lexsort((ids, -scores), axis=1)  # [q, k]
        return np.take_along_axis(ids, order, axis=1).astype(np.int64), np.take_along_axis(scores, order, axis=1).astype(np.float32)

    def save(self, folder: str | Path) -> None:
        """Writes a folder, whole or absent: the texts as JSON, the vectors in the backend's own file (no pickle). An older index of
        that name is replaced, anything else is left alone (ValueError)."""
        with whole_folder(folder, marker=MANIFEST_FILE) as aside:
            file = aside / self._engine.file
            self._engine.save(file)
            with open(file, "rb") as written:
                os.fsync(written.fileno())
            manifest = {"format": _FORMAT, "backend": self.backend, "size": self.size, "sha256": digest(file), "texts": self.texts}
            write_json(aside / MANIFEST_FILE, manifest)

    @classmethod
    def load(cls, folder: str | Path) -> RetrievalIndex:
        """What :meth:`save` wrote. Raises ValueError for a folder that is damaged or something else, ImportError without its backend."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
            if manifest["format"] != _FORMAT:
                raise ValueError(f"format {manifest['format']}, this version reads {_FORMAT}")
            backend, size, texts = manifest["backend"], int(manifest["size"]), list(manifest["texts"])
            index = cls(np.zeros((0, size), dtype=np.float32), [], backend=backend)
            file = folder / index._engine.file
            if digest(file) != manifest["sha256"]:
                raise ValueError(f"{file.name} is not the file that was saved")
            count = index._engine.load(file)
            if count != len(texts):
                raise ValueError(f"{count} vectors for {len(texts)} texts")
        except ImportError:
            raise
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{folder} is no whole index ({type(error).__name__}: {error}): give a folder that RetrievalIndex.save wrote, or save it again"
            ) from error
        index.texts = texts
        return index

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        rows = np.asarray(vectors, dtype=np.float32)  # [n, d]
        if rows.ndim != 2 or rows.shape[1] != self.size:
            raise ValueError(f"vectors must be [n, {self.size}], found shape {list(rows.shape)}: give one row a text or query")
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)  # [n, 1]
        bad = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
        if bad.size:
            raise ValueError(f"vector {bad[0]} has length {lengths[bad[0], 0]}: a cosine needs finite numbers that are not all 0")
        return np.ascontiguousarray(rows / lengths, dtype=np.float32)  # [n, d]


def choose_backend(name: str) -> str:
    """``auto`` as the first installed of faiss, hnswlib and sklearn; another name as it is, if it is one of them and installed."""
    if name == "auto":
        for backend in _ENGINES:
            if _installed(backend):
                return backend
        raise ImportError("a RetrievalIndex needs faiss, hnswlib or scikit-learn, and none is installed: install scikit-learn or faiss-cpu")
    if name not in _ENGINES:
        raise ValueError(f"backend is {name!r}: take 'auto', {', '.join(map(repr, _ENGINES))}")
    if not _installed(name):
        raise ImportError(f"backend {name!r} is not installed: install {_PACKAGES[name]}, or take backend='auto'")
    return name


def _installed(backend: str) -> bool:
    try:
        return importlib.util.find_spec(backend) is not None
    except ValueError:  # a module that was put aside
        return False


class _Engine(Protocol):
    file: str

    def __init__(self, size: int): ...
    def add(self, rows: np.ndarray) -> None: ...
    def search(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]: ...
    def save(self, path: Path) -> None: ...
    def load(self, path: Path) -> int: ...


class _Faiss:
    file = "index.faiss"

    def __init__(self, size: int):
        self._faiss: Any = importlib.import_module("faiss")
        self._index: Any = self._faiss.IndexFlatIP(size)

    def add(self, rows: np.ndarray) -> None:
        self._index.add(rows)

    def search(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores, ids = self._index.search(rows, k)  # [q, k], [q, k]
        return ids, scores

    def save(self, path: Path) -> None:
        path.write_bytes(self._faiss.serialize_index(self._index).tobytes())

    def load(self, path: Path) -> int:
        self._index = self._faiss.deserialize_index(np.fromfile(path, dtype=np.uint8))
        return int(self._index.ntotal)


class _Hnswlib:
    file = "index.hnsw"
    links, build_breadth, search_breadth = 32, 200, 128

    def __init__(self, size: int):
        self._index: Any = importlib.import_module("hnswlib").Index(space="ip", dim=size)
        self._ready = False

    def add(self, rows: np.ndarray) -> None:
        count = 0
        if self._ready:
            count = self._index.element_count
            if count + len(rows) > self._index.max_elements:
                self._index.resize_index(max(count + len(rows), 2 * self._index.max_elements))
        else:
            self._index.init_index(len(rows), M=self.links, ef_construction=self.build_breadth, random_seed=100)
            self._ready = True
        self._index.add_items(rows, np.arange(count, count + len(rows)), num_threads=1)  # several threads build another graph every time

    def search(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        count = self._index.element_count
        self._index.set_ef(min(count, max(self.search_breadth, 2 * k)))
        try:
            ids, distances = self._index.knn_query(rows, k=k)  # [q, k], [q, k]
        except RuntimeError:  # the graph led to fewer than k texts
            self._index.set_ef(count)
            ids, distances = self._index.knn_query(rows, k=k)  # [q, k], [q, k]
        return ids.astype(np.int64), 1.0 - distances

    def save(self, path: Path) -> None:
        if not self._ready:
            path.touch()
            return
        self._index.save_index(str(path))

    def load(self, path: Path) -> int:
        if not path.stat().st_size:
            return 0
        self._index.load_index(str(path))
        self._ready = True
        return int(self._index.element_count)


class _Sklearn:
    file = "vectors.npy"

    def __init__(self, size: int):
        self._neighbours: Any = importlib.import_module("sklearn.neighbors").NearestNeighbors(metric="cosine", algorithm="brute")
        self._rows = np.zeros((0, size), dtype=np.float32)  # [n, d]

    def add(self, rows: np.ndarray) -> None:
        self._rows = np.concatenate([self._rows, rows])  # [n, d]
        self._neighbours.fit(self._rows)

    def search(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, ids = self._neighbours.kneighbors(rows, n_neighbors=k)  # [q, k], [q, k]
        return ids, 1.0 - distances

    def save(self, path: Path) -> None:
        np.save(path, self._rows, allow_pickle=False)

    def load(self, path: Path) -> int:
        rows = np.load(path, allow_pickle=False)  # [n, d]
        if len(rows):
            self.add(rows)
        return len(rows)


_ENGINES: dict[str, type[_Engine]] = {"faiss": _Faiss, "hnswlib": _Hnswlib, "sklearn": _Sklearn}
_PACKAGES = {"faiss": "faiss-cpu", "hnswlib": "hnswlib", "sklearn": "scikit-learn"}
