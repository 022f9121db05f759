"""What ``lic data check`` tabulates of DuReader-robust records: see :mod:`tasks.profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.profile import Profile, crossing, fold, odd_mention, odd_text, two_widths

from .questions import KINDS, kind_of
from .records import ReadingRecord

LONG_CONTEXT, LONG_QUESTION, LONG_ANSWER = 2000, 64, 40
"""Characters. No shortest reference of DuReader-robust dev has more than 40."""
OVERLAPS = (
    "several references",
    "references that overlap",
    "an answer that occurs several times in its context",
    "a context of several questions",
    "an answer that stands in its question",
)


def profile(rows: Sequence[ReadingRecord], schema: None) -> Profile:
    """Lengths of questions, contexts and answers, counts of question kinds, ambiguous answers, suspicious places."""
    made = Profile(lines=[record.line for record in rows], ids=[record.id for record in rows])
    made.lengths = {
        "question and context": [len(record.question) + len(record.text) for record in rows],
        "question": [len(record.question) for record in rows],
        "context": [len(record.text) for record in rows],
        "answer": [len(answer.text) for record in rows for answer in record.answers or ()],
    }
    made.keys = {"question and context": [f"{record.question}\n{record.text}" for record in rows], "context": [record.text for record in rows]}
    made.labels = {"question kind": Counter(kind_of(record.question) for record in rows)}
    made.known = {"question kind": KINDS}
    made.overlaps = dict.fromkeys(OVERLAPS, 0)
    contexts = Counter(record.text for record in rows)
    seen: set[str] = set()
    mentions: list[tuple[int, str]] = []
    for index, record in enumerate(rows):
        made.suspect(index, _odd_question(record))
        if record.text not in seen:
            seen.add(record.text)
            made.suspect(index, odd_text("context", record.text, longest=LONG_CONTEXT))
        if record.answers is None:
            made.answers.append(None)
            continue
        made.labelled += 1
        made.answers.append(repr(sorted({answer.text for answer in record.answers})))
        made.suspect(index, _odd_answers(record))
        mentions += [(index, answer.text) for answer in record.answers]
        for kind, present in zip(OVERLAPS, _overlaps(record, contexts), strict=True):
            made.overlaps[kind] += present
    made.suspects += two_widths("answer", mentions)
    return made


def _overlaps(record: ReadingRecord, contexts: Counter[str]) -> tuple[bool, ...]:
    """Which of :data:`OVERLAPS` a labelled record has."""
    texts = {answer.text for answer in record.answers or () if answer.text.strip()}
    starts = ((record.text.find(answer.text) if answer.start is None else answer.start, len(answer.text)) for answer in record.answers or ())
    return (
        len(record.answers or ()) > 1,
        any(crossing((start, start + length) for start, length in starts if start >= 0 and length)),
        any(record.text.count(text) > 1 for text in texts),
        contexts[record.text] > 1,
        any(text in record.question for text in texts),
    )


def _odd_question(record: ReadingRecord) -> Iterator[tuple[str, str]]:
    yield from odd_text("question", record.question, longest=LONG_QUESTION)
    if record.question in record.text:
        yield "questions that stand in their context", record.question


def _odd_answers(record: ReadingRecord) -> Iterator[tuple[str, str]]:
    folded = None
    for answer in record.answers or ():
        if folded is None and answer.text not in record.text:
            folded = fold(record.text)
        yield from odd_mention("answer", answer.text, record.text, folded=folded, longest=LONG_ANSWER)
        if answer.text.strip() == record.text.strip():
            yield "answers that are their whole context", answer.text
    texts = [answer.text for answer in record.answers or ()]
    if len(set(texts)) < len(texts):
        yield "answers given twice", next(text for text in texts if texts.count(text) > 1)
