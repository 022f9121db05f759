"""An exported model: texts in, what is found in them out, with numpy and an engine alone.

A folder of :func:`pipelines.export.export` holds ``model.json`` (track, design, window, decode settings), ``vocab.txt``, ``schema.json`` where the
track has one, and the recorded graphs of one engine.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shared.errors import input_error
from shared.inference.recorded import MANIFEST, check_files
from shared.text import Tokenizer, Vocabulary

from .decoding import decode_all

MODEL, VOCABULARY, SCHEMA = "model.json", "vocab.txt", "schema.json"
VERSION = 1
"""Of the folder's form; another one is refused."""
AT_ONCE = 1024
"""Texts that are read, batched by length and decoded together."""


class Extractor:
    """Opens the folder of an exported model. ``threads``: of the engine; None leaves it to the engine.

    Raises InputError for a folder that is none, is damaged or of another version.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None):
        folder = Path(folder)
        self.about = read_model(folder)
        self.track, self.design = self.about["track"], self.about["design"]
        self._track = importlib.import_module(f"tasks.{self.track}.extraction")
        self.engine = open_engine(folder, self.about["engine"], threads=threads)
        self.vocabulary = Vocabulary.from_file(folder / VOCABULARY)
        self.tokenizer = Tokenizer(self.vocabulary, lower_case=self.about["lower_case"])
        self.schema = self._track.read_schema(folder / SCHEMA)
        self.settings = SimpleNamespace(**self.about["decode"])

    @property
    def asks(self) -> bool:
        """Whether a text comes with a question."""
        return bool(self.track == "reading")

    @property
    def finding(self) -> dict[str, Any]:
        """What one finding looks like, as JSON Schema."""
        found: dict[str, Any] = self._track.FINDING
        return found

    @property
    def example(self) -> dict[str, str]:
        """A text to try the model with, and a question for a model that asks."""
        given: dict[str, str] = self._track.EXAMPLE
        return given

    def cut_questions(self, questions: Sequence[str]) -> list[int]:
        """Numbers of the questions that are longer than the model reads: it reads their beginning."""
        longest = self._track.question_tokens(self.about["window"])
        return [number for number, one in enumerate(self.tokenizer.encode_batch(questions)) if len(one.ids) > longest]

    def __call__(self, texts: Sequence[str], questions: Sequence[str] | None = None) -> list[list[dict[str, Any]]]:
        """For every text what is found in it, as plain JSON values with character offsets and probabilities.

        ``questions``: one for every text, for a model that asks. Raises ValueError where they are missing or are not asked for.
        """
        if (questions is not None) is not self.asks or (questions is not None and len(questions) != len(texts)):
            wanted = f"{len(texts)} questions, one for every text" if self.asks else "no questions"
            raise ValueError(f"a {self.track} model takes {wanted}, found {'none' if questions is None else len(questions)}")
        if not len(texts):
            return []
        asked = questions if questions is not None else [None] * len(texts)
        records = [self._track.record_of(text, question, number) for number, (text, question) in enumerate(zip(texts, asked, strict=True))]
        window, overlap, tokens = (self.about[name] for name in ("window", "overlap", "padded_tokens"))
        features = self._track.features_of(records, self.schema, self.tokenizer, window=window, overlap=overlap)
        decoder = self._track.decoder(
            self.design, self.engine, features, records, self.schema, self.vocabulary, self.settings, padded_tokens=tokens
        )
        found = self._track.predictions_of(decode_all(decoder, features, tokens=tokens, engine=self.engine), features, records, self.schema)
        return [self._track.as_rows(row) for row in found]

    def stream(self, rows: Iterable[tuple[str, str | None]]) -> Iterator[list[dict[str, Any]]]:
        """The same for any number of (text, question), :data:`AT_ONCE` at a time."""
        rows = iter(rows)
        while part := list(islice(rows, AT_ONCE)):
            texts = [text for text, _ in part]
            yield from self(texts, [question or "" for _, question in part] if self.asks else None)


def open_engine(folder: Path, kind: str, *, threads: int | None) -> Any:
    """The engine over the graphs of ``folder``. Raises InputError: LIC-I005 where its package is not installed, and for a damaged folder."""
    package = "onnxruntime" if kind == "onnx" else "paddle"
    if find_spec(package) is None:
        remedy = f"Install it (pip install {'onnxruntime' if kind == 'onnx' else 'paddlepaddle'}), or export the model for another engine."
        raise input_error("LIC-I005", file=folder, found=f"a model for {package}", expected=f"{package} installed", remedy=remedy)
    if kind == "onnx":
        from shared.inference.onnx import OnnxEngine

        return OnnxEngine(folder, threads=threads)
    from shared.inference.static import StaticEngine

    return StaticEngine(folder, threads=threads)


def read_model(folder: Path) -> dict[str, Any]:
    """The ``model.json`` of a folder. Raises InputError: LIC-I001 for none or a damaged one, LIC-I002 for another version, LIC-I003 for a file
    that is missing or not as it was written."""
    path = folder / MODEL
    names = ("track", "design", "engine", "lower_case", "window", "overlap", "padded_tokens", "decode", "files", "check")
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = about["version"]
        missing = [name for name in names if name not in about]
        if version == VERSION and missing:
            raise ValueError(f"no {', '.join(missing)}")
        if version == VERSION and about["check"] != check_of(about):
            raise ValueError("other bytes than were written: the checksum differs")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise input_error(
            "LIC-I001",
            file=path,
            found=f"no exported model ({error})",
            expected=f"what lic export wrote: {MODEL}, {VOCABULARY}, {MANIFEST} and the graphs",
            remedy="Export the model again, and keep all files of a folder together.",
        ) from error
    if version != VERSION:
        remedy = "Export the model again with this program, or use the predict.py that lies beside it."
        raise input_error("LIC-I002", file=path, found=f"a model of version {version}", expected=f"version {VERSION}", remedy=remedy)
    check_files(folder, about["files"])
    return about


def check_of(about: Mapping[str, Any]) -> str:
    """Checksum of what a ``model.json`` says, but for the checksum itself."""
    rest = {name: value for name, value in about.items() if name != "check"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
