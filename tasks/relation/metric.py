"""The official DuIE score: triples right as a whole, micro-averaged over the corpus.

The rule is that of Baidu's published scorer (PaddlePaddle/Research, KG/DuIE_Baseline, re_official_evaluation.py):

* subjects and slot texts are lower-cased, and one 《 at the start with one 》 at the end is taken off; nothing else is folded;
* triples equal after that count once, on both sides;
* a triple is right when predicate and subject are equal and the objects have the same slots with equal texts: a slot too few or too many
  makes it wrong;
* P = predicted triples found in gold / predicted ones, R = gold triples found among the predicted ones / gold ones.

An alias table loosens it, in the scorer's own lopsided way: the triple that is looked for may stand there under an alias of its subject
(so a gold triple is found under an alias that the same prediction, looked for in gold, need not be), while the texts of a slot must be
aliases of each other. Triples that are the same by the table count once as well, the first of them.

Plain structures go in: a dictionary from text to (predicate, subject, {slot: text}). The text is the key, as no ids exist: where a text
stands twice in a file the scorer takes its last line, and so does a dictionary filled in the file's order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import InputError, Problem
from tasks.json_lines import file_problem, quote

Triples = Mapping[str, Sequence[tuple[str, str, Mapping[str, str]]]]
Aliases = Mapping[str, Collection[str]]
"""A word to its other names."""
Normalised = tuple[str, str, tuple[tuple[str, str], ...]]


def score(gold: Triples, predicted: Triples, *, alias: Aliases | None = None) -> dict[str, Any]:
    """``precision``, ``recall``, ``f1`` as unrounded fractions, with counts, and the same under ``per_predicate``.

    ``correct`` counts predicted triples that are right, ``found`` gold triples that were found; they differ only through ``alias``.
    Predictions for texts that ``gold`` does not have are left out, as the scorer does, and counted in ``unknown_ids``.
    """
    names = {word.lower(): frozenset(name.lower() for name in others) for word, others in (alias or {}).items()}
    totals: dict[str, _Total] = defaultdict(_Total)
    for text, gold_triples in gold.items():
        theirs = _distinct(gold_triples, names)
        ours = _distinct(predicted.get(text, ()), names)
        everything_ours = list(map(normalise, predicted.get(text, ())))  # a gold triple may be found in what _distinct left out
        for triple in ours:
            totals[triple[0]].predicted += 1
            totals[triple[0]].correct += _stands_in(theirs, triple, names)
        for triple in theirs:
            totals[triple[0]].gold += 1
            totals[triple[0]].found += _stands_in(everything_ours, triple, names)
    everything = _Total()
    for total in totals.values():
        everything.add(total)
    return {
        **everything.figures(),
        "per_predicate": {name: totals[name].figures() for name in sorted(totals)},
        "ids": len(gold),
        "missing_ids": sum(text not in predicted for text in gold),
        "unknown_ids": sum(text not in gold for text in predicted),
        "options": {"alias": len(names)},
    }


def normalise_mention(mention: str) -> str:
    """Lower case, without one pair of 《》 around the whole."""
    mention = mention.lower()
    return mention[1:-1] if mention.startswith("《") and mention.endswith("》") else mention


def normalise(triple: tuple[str, str, Mapping[str, str]]) -> Normalised:
    """(predicate, subject, slots sorted by name), as triples are compared."""
    predicate, subject, slots = triple
    return predicate, normalise_mention(subject), tuple(sorted((slot, normalise_mention(text)) for slot, text in slots.items()))


def read_alias(path: str | Path) -> dict[str, tuple[str, ...]]:
    """A table of one word and its aliases a line, separated by tabs.

    Raises :class:`InputError` with every problem: D040 a line without an alias, D041 a word with two lines, D012 an empty word, D004 not
    UTF-8. A byte order mark, CRLF and blank lines do not stop it: nothing is lost.
    """
    path = Path(path)
    problem = file_problem(path, what="a table of aliases: a word and its aliases a line, separated by tabs")
    if problem:
        raise InputError(problem)
    problems: list[Problem] = []
    table: dict[str, tuple[str, ...]] = {}
    first_line: dict[str, int] = {}

    def report(code: str, found: str, expected: str, remedy: str) -> None:
        problems.append(Problem(code, found, expected, remedy, str(path), number))

    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            found = f"the byte {raw[error.start]:02X} at byte {error.start + 1} of the line, which is not UTF-8"
            report("LIC-D004", found, "UTF-8", "Save the file as UTF-8.")
            continue
        if not line:
            continue
        word, *others = line.split("\t")
        if not others:
            report("LIC-D040", f"no alias for {quote(word)}", "a word, a tab and its aliases", "Separate words with tabs.")
        elif not all(others):
            report("LIC-D012", f"an empty alias for {quote(word)}", "words between the tabs", "Delete the tab too many.")
        elif word.lower() in first_line:
            found = f"the word {quote(word)} again (first in line {first_line[word.lower()]}; case does not count)"
            report("LIC-D041", found, "each word once", "Merge the two lines: the scorer takes the last one only.")
        else:
            first_line[word.lower()] = number
            table[word] = tuple(others)
    if problems:
        raise InputError(*problems)
    return table


class _Total:
    def __init__(self) -> None:
        self.predicted = self.gold = self.correct = self.found = 0

    def add(self, other: _Total) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, Any]:
        precision = self.correct / self.predicted if self.predicted else 0.0
        recall = self.found / self.gold if self.gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"precision": precision, "recall": recall, "f1": f1, **vars(self)}


def _distinct(triples: Sequence[tuple[str, str, Mapping[str, str]]], names: Aliases) -> list[Normalised]:
    """Normalised, without those that an earlier one equals by the table, in order."""
    different = list(dict.fromkeys(map(normalise, triples)))
    if not names:
        return different
    kept: list[Normalised] = []
    for triple in different:
        if not _stands_in(kept, triple, names):
            kept.append(triple)
    return kept


def _stands_in(triples: Sequence[Normalised], wanted: Normalised, names: Aliases) -> bool:
    if wanted in triples:
        return True
    if not names:
        return False
    predicate, subject, slots = wanted
    subjects = {subject, *names.get(subject, ())}
    return any(other[0] == predicate and other[1] in subjects and _same_slots(slots, other[2], names) for other in triples)


def _same_slots(left: tuple[tuple[str, str], ...], right: tuple[tuple[str, str], ...], names: Aliases) -> bool:
    if [slot for slot, _ in left] != [slot for slot, _ in right]:
        return False
    return all(
        ours == theirs or (theirs in names.get(ours, ()) and ours in names.get(theirs, ()))
        for (_, ours), (_, theirs) in zip(left, right, strict=True)
    )
