"""What a request of ``lic serve`` may be: read within limits, checked, and said as JSON Schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.errors import Problem
from tasks.json_lines import encodable, kind

if TYPE_CHECKING:
    from tasks.extraction import Extractor


@dataclass(frozen=True)
class Limits:
    """``batch``: texts that are read together; ``queue``: texts that may wait; ``texts`` and ``characters``: of one request, and of one text;
    ``size``: bytes of a request's body; ``patience``: seconds in which a body must have come."""

    batch: int = 32
    queue: int = 256
    texts: int = 64
    characters: int = 20_000
    size: int = 1 << 22
    patience: float = 30.0

    def of(self, name: str) -> int:
        """Characters of a ``text`` or of a ``question``."""
        return self.characters if name == "text" else min(self.characters, QUESTION)


QUESTION = 1000
"""Characters of a question at most."""


class Refused(Exception):
    """A request that is not answered: with what HTTP status, and why."""

    def __init__(self, status: int, problem: Problem, headers: Mapping[str, str] | None = None):
        super().__init__(str(problem))
        self.status, self.problem, self.headers = status, problem, headers


class Wanted(NamedTuple):
    """``questions``: one for every text, None for a model that does not ask."""

    texts: list[str]
    questions: list[str] | None


class Intake:
    """Takes in the bodies of requests, no more than ``at_once`` times the largest at one time."""

    def __init__(self, limits: Limits, *, at_once: int = 16):
        self.limits, self.room = limits, at_once * limits.size

    async def read(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> bytes:
        """A request's body. Raises :class:`Refused`: 413 for one that is too large, 408 for one that does not come, 415 for one that does
        not say that it is JSON, 503 while too many come in."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            remedy = "Send the header Content-Type: application/json."
            raise Refused(415, Problem("LIC-I011", f"a body of type {kind or 'unknown'}", "application/json", remedy))
        if (coding := headers.get("content-encoding", "identity").strip().lower()) != "identity":
            raise Refused(415, Problem("LIC-I011", f"a body encoded as {coding}", "a plain body", "Send it uncompressed."))
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self.limits.size:
            raise self._too_large(f"{announced[:20]} bytes")
        try:
            return await asyncio.wait_for(self._gather(chunks), self.limits.patience)
        except asyncio.TimeoutError as error:
            problem = Problem("LIC-I011", f"a body that did not come in {self.limits.patience:g} s", "the whole body", "Send it at once.")
            raise Refused(408, problem, {"Connection": "close"}) from error

    async def _gather(self, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray()
        try:
            async for chunk in chunks:
                if len(body) + len(chunk) > self.limits.size:
                    raise self._too_large(f"more than {self.limits.size} bytes")
                if len(chunk) > self.room:
                    raise Refused(503, Problem("LIC-I010", "too many requests that come in", "fewer", "Try again in a moment."), {"Retry-After": "1"})
                body += chunk
                self.room -= len(chunk)
            return bytes(body)
        finally:
            self.room += len(body)

    def _too_large(self, found: str) -> Refused:
        return Refused(413, Problem("LIC-I009", found, f"a body of at most {self.limits.size} bytes", TOO_LARGE))


TOO_LARGE = "Send fewer or shorter texts at once, or raise the limits of lic serve."
AGAIN = "Correct the request: /openapi.json says what it may be."


def wanted(body: bytes, extractor: Extractor, limits: Limits) -> Wanted:
    """What the body of a request asks for. Raises :class:`Refused` with 422 for a body that is no such request, as the schema has it."""
    asked = _parse(body)
    if not isinstance(asked, dict) or set(asked) != {"texts"}:
        found = f"the keys {', '.join(map(_quoted, asked)) or '(none)'}" if isinstance(asked, dict) else _kind(asked)
        raise _unfit(found, 'an object with the key "texts" alone')
    rows = asked["texts"]
    if not isinstance(rows, list) or not rows:
        raise _unfit(f"texts: {_kind(rows)}", "a list of at least one text")
    if len(rows) > limits.texts:
        raise Refused(422, Problem("LIC-I009", f"{len(rows)} texts", f"at most {limits.texts} in one request", TOO_LARGE))
    names = ("text", "question") if extractor.asks else ("text",)
    columns: dict[str, list[str]] = {name: [] for name in names}
    for number, row in enumerate(rows):
        if extractor.asks and (not isinstance(row, dict) or set(row) != set(names)):
            raise _unfit(f"texts[{number}]: {_kind(row)}", 'an object with a "text" and a "question" each: this is a reading model')
        for name, text in row.items() if extractor.asks else (("text", row),):
            if not isinstance(text, str):
                raise _unfit(f"texts[{number}]: {_kind(text)}", "a string")
            if len(text) > (most := limits.of(name)):
                raise Refused(422, Problem("LIC-I009", f"a {name} of {len(text)} characters", f"at most {most}", TOO_LARGE))
            columns[name].append(text)
    return Wanted(columns["text"], columns.get("question"))


def _parse(body: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a key that is given twice")
        return made

    def constant(name: str) -> Any:
        raise ValueError(f"{name}, which JSON does not have")

    try:
        text = body.decode("utf-8")
        found = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
        if "\\" in text and not encodable(json.dumps(found, ensure_ascii=False)):
            raise ValueError("half of a surrogate pair")
    except (ValueError, RecursionError) as error:
        raise _unfit(f"a body that cannot be read ({str(error)[:200]})", "JSON in UTF-8") from error
    return found


def _unfit(found: str, expected: str) -> Refused:
    return Refused(422, Problem("LIC-I011", found, expected, AGAIN))


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= 40 else name[:39] + "…", ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return kind(value)


def request_schema(extractor: Extractor, limits: Limits) -> dict[str, Any]:
    """What :func:`wanted` takes, as JSON Schema with an example."""
    text = {"type": "string", "maxLength": limits.of("text")}
    one: dict[str, Any] = text
    if extractor.asks:
        question = {"type": "string", "maxLength": limits.of("question"), "description": "what is asked of the text"}
        one = {"type": "object", "properties": {"text": text, "question": question}, "required": ["text", "question"], "additionalProperties": False}
    rows = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.texts, "description": "the texts to read"}
    example = {"texts": [extractor.example if extractor.asks else extractor.example["text"]]}
    return {
        "title": "Texts",
        "type": "object",
        "properties": {"texts": rows},
        "required": ["texts"],
        "additionalProperties": False,
        "examples": [example],
    }


def answer_schema(extractor: Extractor) -> dict[str, Any]:
    """What comes back, as JSON Schema."""
    found = {"type": "array", "items": {"type": "array", "items": extractor.finding}, "description": "for every text what is found in it"}
    properties: dict[str, Any] = {"track": {"type": "string", "const": extractor.track}, "found": found}
    if extractor.asks:
        numbers = "numbers of the texts whose question is longer than the model reads: its beginning was read"
        properties["cut_questions"] = {"type": "array", "items": {"type": "integer", "minimum": 0}, "description": numbers}
    return {"title": "Findings", "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
