"""What ``lic data check`` tabulates of pairs: see :mod:`tasks.profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shared.similarity.batcher import group_pairs
from tasks.profile import Profile, fold, odd_text

from .records import ParaphraseRecord, identity

LONG_TEXT = 126
"""Characters: longer texts are hardly questions."""
OVERLAPS = (
    "one meaning",
    "the same text on both sides",
    "the same but for case and width",
    "a text of several pairs",
    "two meanings, yet alike through other pairs",
)


def profile(rows: Sequence[ParaphraseRecord]) -> Profile:
    """Lengths of both texts, labels and sources, pairs that others contradict, suspicious texts."""
    made = Profile(lines=[record.line for record in rows])
    made.lengths = {"text": [len(record.text) for record in rows], "pair": [len(record.pair) for record in rows]}
    made.keys = {
        "text and pair": [identity(record.text, record.pair) for record in rows],
        "text and pair in any order": [identity(*sorted((record.text, record.pair))) for record in rows],
    }
    made.labels = {"source": Counter(record.source for record in rows if record.source is not None)}
    made.overlaps = dict.fromkeys(OVERLAPS, 0)
    texts = Counter(text for record in rows for text in {record.text, record.pair})
    groups = group_pairs((record.text, record.pair) for record in rows if record.label == 1)
    group_of = {text: number for number, group in enumerate(groups) for text in group}
    for index, record in enumerate(rows):
        made.suspect(index, [*_odd("text", record.text), *_odd("pair", record.pair)])
        if record.label is None:
            made.answers.append(None)
            continue
        made.labelled += 1
        made.answers.append(str(record.label))
        number = group_of.get(record.text, -1)
        contradicted = record.label == 0 and number >= 0 and number == group_of.get(record.pair, -2)
        kinds = (
            record.label == 1,
            record.text == record.pair,
            record.text != record.pair and fold(record.text) == fold(record.pair),
            texts[record.text] > 1 or texts[record.pair] > 1,
            contradicted,
        )
        for kind, present in zip(OVERLAPS, kinds, strict=True):
            made.overlaps[kind] += present
        if record.label == 0 and record.text == record.pair:
            made.suspect(index, [("one text that is said to have two meanings", record.text)])
        elif contradicted:
            made.suspect(index, [("two meanings, yet alike through other pairs", f"{record.text} and {record.pair}")])
    return made


def _odd(name: str, text: str) -> Iterator[tuple[str, str]]:
    yield from odd_text(name, text, longest=LONG_TEXT)
