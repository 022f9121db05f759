"""The DuIE submission: ``duie.json`` (one object a line) inside a zip, written, read back, validated and scored.

Codes beyond those of :mod:`tasks.packing`, :mod:`tasks.submission_checks`, :mod:`tasks.json_lines` and :mod:`tasks.relation.records`: D016 a
text given again, S008 blanks at the ends of a subject or slot text.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from shared.errors import InputError, Problem
from tasks.json_lines import HARMLESS, Fields, JsonLines, dump_json_lines, parse_json_lines, quote
from tasks.packing import PACKING_FAULTS, open_member, pack
from tasks.relation import metric
from tasks.relation.records import Spo, as_triples, read_records, read_spo, spo_row
from tasks.relation.schema import VALUE, RelationSchema
from tasks.seen import Seen, blocks
from tasks.submission_checks import check_verbatim, compare_records

MEMBER = "duie.json"
_READABLE = HARMLESS | PACKING_FAULTS | {"LIC-S007", "LIC-S008", "LIC-D012"}
"""What a leaderboard may refuse or count wrong, and yet leaves no doubt about what was predicted."""

Row = tuple[str, Sequence[Spo]]
"""(text, triples)"""


def write_submission(path: str | Path, rows: Iterable[Row], schema: RelationSchema | None = None) -> None:
    """Writes the zip ``path`` and the bare file beside it (``relation.zip``, ``relation.json``), each atomically.

    Every text makes a line, also one without triples; a text given again adds what is new to its one line, for a scorer takes only the
    last line of a text. Types that a triple does not name are the schema's. Equal rows give equal bytes. Raises ValueError for another
    suffix than ``.zip``, an empty or non-string text, predicate, subject, slot or slot text, a triple without ``@value``, and a predicate
    or slot outside the schema.
    """
    with tempfile.SpooledTemporaryFile(1 << 24) as aside:
        pack(path, MEMBER, _lines(rows, schema, aside))


def _lines(rows: Iterable[Row], schema: RelationSchema | None, aside: IO[bytes]) -> Iterator[bytes]:
    """The file's lines. All wait in ``aside`` for the last row, which may have more of the first text; memory holds what repeated texts have more."""
    seen, count, more = Seen(), 0, defaultdict[int, list[dict[str, Any]]](list)
    for block in blocks(rows):
        earlier = seen.repeated([_name(text, "text") for text, _ in block], count)  # [k]
        count += len(block)
        for (text, spos), first in zip(block, earlier.tolist(), strict=True):
            for spo in spos:
                _check(spo, schema)
            made = [spo_row(spo, schema) for spo in dict.fromkeys(spos)]
            if first >= 0:
                more[first] += made
            aside.writelines(dump_json_lines([{"text": text, "spo_list": made}]) if first < 0 else (b"\n",))
    aside.seek(0)
    for number, line in enumerate(aside):
        if number in more:
            entry = json.loads(line)
            for one in more[number]:
                if one not in entry["spo_list"]:
                    entry["spo_list"].append(one)
            yield from dump_json_lines([entry])
        elif line != b"\n":
            yield line


def _check(spo: Spo, schema: RelationSchema | None) -> None:
    _name(spo.predicate, "predicate")
    _name(spo.subject, "subject")
    for slot, text in spo.object:
        _name(slot, "slot")
        _name(text, f"text of {slot}")
    slots = [slot for slot, _ in spo.object]
    if VALUE not in slots or len(set(slots)) < len(slots):
        raise ValueError(f"the slots of {spo.predicate!r} are {slots!r}; expected {VALUE} and others, each once")
    if schema is None:
        return
    if spo.predicate not in schema.slots:
        raise ValueError(f"the predicate is {spo.predicate!r}; expected one of the schema's {len(schema.predicates)}")
    if unknown := set(slots) - set(schema.slots[spo.predicate]):
        raise ValueError(f"a slot of {spo.predicate!r} is {min(unknown)!r}; expected one of {', '.join(schema.slots[spo.predicate])}")


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"the {what} is {value!r}; expected a string that is not empty")
    return value


def read_submission(path: str | Path) -> list[tuple[str, list[Spo]]]:
    """Rows of a zip or of a bare JSON-lines file, in order; extra keys are left aside. A text given again has a row for each of its lines.

    Raises :class:`InputError` with every problem that leaves in doubt what was predicted. Predicates and slots may be any, mentions may be
    empty or no part of their text: a score counts them wrong.
    """
    read, problems, where = _open(path)
    rows, more = _rows(read, where)
    problems = [problem for problem in problems + read.problems + more if problem.code not in _READABLE]
    if problems:
        raise InputError(*problems)
    return [(text, spos) for _, text, spos in rows]


def check_submission(path: str | Path, schema: RelationSchema | None = None, against: str | Path | None = None) -> list[Problem]:
    """Every reason why the leaderboard would refuse the zip or count part of it wrong; empty when it is fine.

    ``against``: the test file whose texts must all be there, character for character.
    """
    texts = None
    problems: list[Problem] = []
    if against is not None:
        test = read_records(against, None, labelled=False)
        problems.extend(problem for problem in test.problems if problem.code not in HARMLESS)
        texts = Counter(record.text for record in test.records)
    read, more, where = _open(path)
    rows, row_problems = _rows(read, where, schema=schema)
    row_problems += _repeated(rows, texts, where)
    problems += more + sorted(read.problems + row_problems, key=lambda problem: problem.line or 0)
    if against is not None and texts is not None and (rows or not more):
        remedy = 'Give every text a line, one without triples as "spo_list": [].'
        given = [text for _, text, _ in rows]
        problems += compare_records(given, texts, where, Path(against).name, records="texts", remedy=remedy)
    return problems


def rows_in_step(
    read: JsonLines, where: str, texts: dict[str, str], schema: RelationSchema | None
) -> tuple[list[str], list[Problem]]:
    """Texts and problems of some lines, for :func:`tasks.submission_steps.sound_in_step`."""
    rows, problems = _rows(read, where, schema=schema)
    return [text for _, text, _ in rows], problems


def score_files(
    gold: str | Path, prediction: str | Path, *, alias: str | Path | None = None, schema: RelationSchema | None = None, **options: str
) -> dict[str, Any]:
    """:func:`tasks.relation.metric.score` of a prediction (zip or bare file) against an official labelled file.

    ``alias``: a table as :func:`tasks.relation.metric.read_alias` reads it. ``repeated_ids`` counts the lines of either file that a later
    line of the same text replaces. Raises :class:`InputError` for files that can not be read whole.
    """
    aliases = None if alias is None else metric.read_alias(alias)
    read = read_records(gold, schema, labelled=True)
    problems = [problem for problem in read.problems if problem.code not in HARMLESS]
    if problems:
        raise InputError(*problems)
    rows = read_submission(prediction)
    gold_triples = {record.text: as_triples(record) for record in read.records}
    predicted = {text: [(spo.predicate, spo.subject, dict(spo.object)) for spo in spos] for text, spos in rows}
    report = metric.score(gold_triples, predicted, alias=aliases, **options)
    return {**report, "repeated_ids": len(read.records) - len(gold_triples) + len(rows) - len(predicted)}


def _open(path: str | Path) -> tuple[JsonLines, list[Problem], str]:
    """The lines that count, what is wrong with the file around them, and the name that stands for it."""
    opened = open_member(path, MEMBER)
    return (JsonLines() if opened.data is None else parse_json_lines(opened.data, opened.where)), opened.problems, opened.where


def _rows(read: JsonLines, file: str, *, schema: RelationSchema | None = None) -> tuple[list[tuple[int, str, list[Spo]]], list[Problem]]:
    """(line, text, triples) of every line with a text, and the problems of all lines."""
    problems: list[Problem] = []
    rows = []
    for number, value in read.rows:
        fields = Fields(value, "", file=file, line=number, problems=problems)
        text = fields.take("text", str)
        if text == "":
            fields.report("LIC-D012", "an empty “text”", "a text of the test file", "Delete the line or restore its text.")
        spos = []
        for position, entry in enumerate(fields.take("spo_list", list) or [], 1):
            spo = read_spo(entry, position, schema, fields)
            if spo is None:
                continue
            spos.append(spo)
            inner = Fields({}, f"triple {position} ({spo.predicate})", file=file, line=number, problems=problems)
            _check_mention("subject", spo.subject, text, inner)
            for slot, mention in spo.object:
                _check_mention(slot, mention, text, inner)
        if text is not None:
            rows.append((number, text, spos))
    return rows, problems


def _check_mention(key: str, mention: str, text: str | None, fields: Fields) -> None:
    if mention == "":
        if key != "subject":  # an empty subject is told by read_spo
            remedy = "Delete the triple, or the side slot if the text does not fill it."
            fields.report("LIC-D012", f"an empty “{key}”", "a part of the text", remedy)
        return
    if mention != mention.strip():
        found = f"{json.dumps(mention, ensure_ascii=False)} as “{key}”, with blanks at its ends"
        fields.report("LIC-S008", found, "none", "Strip it: the scorer compares blanks too.")
    check_verbatim(f"{quote(mention)} as “{key}”", mention, text, fields)


def _repeated(rows: list[tuple[int, str, list[Spo]]], texts: Mapping[str, int] | None, file: str) -> list[Problem]:
    """Lines of one text that contradict each other, or are more than the test file has of it."""
    problems = []
    first: dict[str, tuple[int, set]] = {}
    count: Counter[str] = Counter()
    for number, text, spos in rows:
        stated = {(spo.predicate, spo.subject, spo.object) for spo in spos}
        line, before = first.setdefault(text, (number, stated))
        count[text] += 1
        if stated == before and count[text] <= max(1, (texts or {}).get(text, 1)):
            continue
        found = f"the text {quote(text)} again (first in line {line}){'' if stated == before else ', with other triples'}"
        remedy = "Merge the lines: the scorer takes the last one only."
        problems.append(Problem("LIC-D016", found, "one line for each text", remedy, file, number))
    return problems
