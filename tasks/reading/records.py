"""Official DuReader-robust files in, typed records out, every problem said with its place.

A file is one JSON object of the SQuAD 1.1 shape, mostly in one line, so problems name the place in words as well
(``data[0].paragraphs[12].qas[0]``). Codes beyond those of :mod:`tasks.json_lines`: D012 empty question, context, id or answers, D015 an
offset at which something else stands, D016 a duplicated id, D021 an answer to a question marked as having none.

A question without an answer is what SQuAD 2.0 and DuReader-checklist mark by ``"is_impossible": true``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import Problem
from shared.files import write_text
from shared.text import occurrences
from tasks.base import ReadResult
from tasks.json_lines import Fields, emptiness, file_problem, kind, quote
from tasks.reading.json_value import JsonObject, parse_json_object
from tasks.statistics import percentiles, shares, with_whitespace

WHAT = 'one JSON object, {"data": [{"paragraphs": [{"context": …, "qas": […]}]}]}'


@dataclass(frozen=True, slots=True)
class Answer:
    """One reference. ``start`` is its character offset in the context (None: not given, in files -1 or absent).

    ``text`` is what the file says: it may have blanks at its ends, be empty (beside other references), or be no part of the context.
    """

    text: str
    start: int | None = None


@dataclass(frozen=True, slots=True)
class ReadingRecord:
    """One question on one context (``text``). ``answers`` is None when unlabelled, empty when the context is known not to answer.

    ``title`` is that of the ``data`` element; ``line`` counts from 1 (it is 1 throughout a file of one line).
    """

    id: str
    question: str
    text: str
    answers: tuple[Answer, ...] | None = None
    title: str = ""
    line: int | None = None


def read_records(path: str | Path, schema: None = None, *, labelled: bool | None = None, empty_is_impossible: bool = False) -> ReadResult:
    """Records of a train, dev or test file, in order, with all problems of the whole file; nothing in them is stripped.

    A question with a problem of its own or of its context is left out and counted in ``skipped``; a paragraph whose questions can not be
    counted counts as one; a BOM costs no record. ``labelled``: True wants an answer that is not blank for every question, False ignores
    answers, None takes what each question has and takes one without any such answer for unlabelled. Offsets may be -1 or absent; where one
    is given it must be right. ``is_impossible`` true gives a record without answers; ``empty_is_impossible``: a list of no answer, or of blank
    ones alone, does so too, as in files whose form has no such mark. This track has no schema.
    """
    path = Path(path)
    problem = file_problem(path, what=WHAT)
    if problem:
        return ReadResult([], [problem])
    parsed = parse_json_object(path.read_bytes(), str(path), what=WHAT)
    result = ReadResult([], parsed.problems)
    if parsed.value is not None:
        _Reader(parsed, str(path), labelled, empty_is_impossible, result).read()
    return result


class _Reader:
    """Walks one parsed file and fills ``result``."""

    def __init__(self, parsed: JsonObject, file: str, labelled: bool | None, empty_is_impossible: bool, result: ReadResult):
        self.parsed, self.file, self.labelled, self.result = parsed, file, labelled, result
        self.empty_is_impossible = empty_is_impossible
        self.seen: dict[str, str] = {}

    def read(self) -> None:
        top = self._fields(self.parsed.value, "", 1)
        if top is None:
            return
        for number, element in enumerate(top.take("data", list) or []):
            outer = self._fields(element, f"data[{number}]", top.line)
            if outer is None:
                self.result.skipped += 1
                continue
            title = outer.take("title", str, optional=True) or ""
            paragraphs = outer.take("paragraphs", list)
            self.result.skipped += paragraphs is None
            for position, paragraph in enumerate(paragraphs or []):
                self._paragraph(paragraph, f"{outer.where}.paragraphs[{position}]", title, outer.line)

    def _fields(self, value: Any, where: str, line: int) -> Fields | None:
        """The object's fields, or None once it was reported; ``line`` stands for one that has none."""
        if not isinstance(value, dict):
            problem = Problem("LIC-D011", f"{where} is {kind(value)}", "an object", "Write {…} there.", self.file, line)
            self.result.problems.append(problem)
            return None
        fields = Fields(value, where, file=self.file, line=next(iter(self.parsed.lines(value)), line), problems=self.result.problems)
        if repeated := self.parsed.repeated(value):
            fields.report("LIC-D020", f"the key {quote(repeated[0])} twice in one object", "each key once", "Keep the right one.")
            return None
        return fields

    def _paragraph(self, value: Any, where: str, title: str, line: int) -> None:
        fields = self._fields(value, where, line)
        context = _text(fields, "context", "Delete the paragraph or restore its text.") if fields else None
        questions = fields.take("qas", list) if fields else None
        if fields is None or questions is None:
            self.result.skipped += 1
            return
        for number, question in enumerate(questions):
            record = self._question(question, f"{where}.qas[{number}]", context, title, fields.line)
            if record is None:
                self.result.skipped += 1
            else:
                self.result.records.append(record)

    def _question(self, value: Any, where: str, context: str | None, title: str, line: int) -> ReadingRecord | None:
        before = len(self.result.problems)
        fields = self._fields(value, where, line)
        if fields is None:
            return None
        identity = fields.take("id", str)
        if identity == "":
            fields.report("LIC-D012", "an empty “id”", "an id", "Give the question its id back.")
        elif identity is not None:
            fields.where += f" (id {quote(identity)})"
            if identity in self.seen:
                found = f"the id {quote(identity)} again (first in {self.seen[identity]})"
                fields.report("LIC-D016", found, "each id once", "Delete one of the two questions, or give it its own id.")
            else:
                self.seen[identity] = where
        question = _text(fields, "question", "Delete the entry or restore its question.")
        answers = None
        if self.labelled is not False:
            answers = self._answers(fields, context)
        if len(self.result.problems) > before or context is None or question is None:
            return None
        return ReadingRecord(identity, question, context, answers, title, fields.line)

    def _answers(self, parent: Fields, context: str | None) -> tuple[Answer, ...] | None:
        before = len(parent.problems)
        impossible = parent.take("is_impossible", bool, optional=True)
        entries = parent.take("answers", list, optional=self.labelled is None or impossible is True)
        if entries is None:
            return () if impossible else None
        answers = []
        for number, entry in enumerate(entries):
            fields = self._fields(entry, f"{parent.where}.answers[{number}]", parent.line)
            if fields is None:
                continue
            text = fields.take("text", str)
            start = fields.take("answer_start", int, optional=True)
            if text is not None:
                _check_offset(text, start, context, fields)
                answers.append(Answer(text, None if start == -1 else start))
        told = [answer.text for answer in answers if answer.text.strip()]
        if impossible and told:
            parent.report("LIC-D021", f"the answer {quote(told[0])} and “is_impossible”: true", "one of them", "Keep what is right.")
        elif not told and len(parent.problems) == before:
            if impossible or (impossible is None and self.empty_is_impossible):
                return ()
            if self.labelled is None and impossible is None:
                return None
            found = "no answer but empty ones" if answers else "no answer in “answers”"
            remedy = "Answer the question, delete it, or mark it by “is_impossible”: true; a file to predict needs no “answers”."
            parent.report("LIC-D012", found, "an answer", remedy)
        return tuple(answers)


def _text(fields: Fields, key: str, remedy: str) -> str | None:
    text: str | None = fields.take(key, str)
    if text is None or not (nothing := emptiness(text, key)):
        return text
    fields.report("LIC-D012", nothing, f"the {key}", remedy)
    return None


def _check_offset(text: str, start: int | None, context: str | None, fields: Fields) -> None:
    if start is None or start == -1 or not text or context is None:
        return
    if start >= 0 and context.startswith(text, start):
        return
    if 0 <= start < len(context):
        stands = f"{quote(context[start : start + len(text)])} at offset {start}"
    else:
        stands = f"nothing at offset {start} (the context has {len(context)} characters)"
    places = occurrences(context, text)
    if places:
        remedy = f"It occurs at {', '.join(map(str, places[:8]))}{' …' if len(places) > 8 else ''}: give one of these offsets."
    else:
        remedy = "It occurs nowhere in the context: correct the answer (offsets count characters, not bytes), or give -1."
    fields.report("LIC-D015", stands, f"{quote(text)} there", remedy)


def write_records(path: str | Path, records: Iterable[ReadingRecord]) -> None:
    """Writes the official form in one line, atomically; ``answers`` None gives no key ``answers``, none at all ``is_impossible``, ``start`` None
    an offset of -1.

    Records that follow each other share a paragraph where the context is the same, and a ``data`` element where the title is.
    """
    data: list[dict[str, Any]] = []
    for record in records:
        if not data or data[-1]["title"] != record.title:
            data.append({"paragraphs": [], "title": record.title})
        paragraphs = data[-1]["paragraphs"]
        if not paragraphs or paragraphs[-1]["context"] != record.text:
            paragraphs.append({"qas": [], "context": record.text})
        paragraphs[-1]["qas"].append(_as_row(record))
    write_text(path, json.dumps({"data": data}, ensure_ascii=False) + "\n")


def _as_row(record: ReadingRecord) -> dict[str, Any]:
    row: dict[str, Any] = {"question": record.question, "id": record.id}
    if record.answers is not None:
        row["answers"] = [{"text": answer.text, "answer_start": -1 if answer.start is None else answer.start} for answer in record.answers]
        if not record.answers:
            row["is_impossible"] = True
    return row


def describe(records: Sequence[ReadingRecord]) -> dict[str, Any]:
    """Counts that tell what a file demands of a model; lengths are in characters, that of a question and its context together.

    Shares are fractions of all questions, those on answers of the labelled ones. 253 and 509 characters are what windows of 256 and 512
    hold beside [CLS] and two [SEP], were every character one token.
    """
    labelled = [(record, record.answers) for record in records if record.answers is not None]
    unanswerable = sum(record.answers == () for record in records)
    counts = dict.fromkeys(("without_offset", "occurring_more_than_once", "not_in_context", "with_blank_edges", "empty"), 0)
    several = ambiguous = 0
    for record, answers in labelled:
        several += len(answers) > 1
        repeated = 0
        for answer in answers:
            counts["without_offset"] += answer.start is None
            counts["with_blank_edges"] += answer.text != answer.text.strip()
            if not answer.text.strip():
                counts["empty"] += 1
            elif answer.text not in record.text:
                counts["not_in_context"] += 1
            else:
                repeated += record.text.find(answer.text, record.text.find(answer.text) + 1) >= 0
        counts["occurring_more_than_once"] += repeated
        ambiguous += repeated > 0
    contexts = {record.text for record in records}
    lengths = [len(record.question) + len(record.text) for record in records]
    answer_lengths = [len(answer.text) for _, answers in labelled for answer in answers]

    return {
        "questions": len(records),
        "labelled": len(labelled),
        **({"unanswerable": unanswerable} if unanswerable else {}),
        "contexts": len(contexts),
        "contexts_with_whitespace": with_whitespace(list(contexts)),
        "answers": len(answer_lengths),
        **{f"answers_{name}": count for name, count in counts.items()},
        "several_references": several,
        **percentiles("answer_length", answer_lengths),
        **percentiles("question_and_context_length", lengths),
        **shares({"several_references": several, "answer_occurring_more_than_once": ambiguous}, len(labelled)),
        **shares({f"longer_than_{limit}": sum(length > limit for length in lengths) for limit in (253, 509)}, len(records)),
    }
