"""Over-sensitivity (DuReader-robust, arXiv 2004.11142): how often an answer changes though the question only says the same in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import metric
from .paraphrases import Known
from .predictions import Prediction
from .records import ReadingRecord


def asked_anew(rows: Sequence[ReadingRecord], known: Known) -> tuple[list[ReadingRecord], list[int], list[str]]:
    """Every question that ``known`` has other words for, once in each of them: the records, the place in ``rows`` and the source of each."""
    made, owners, sources = [], [], []
    for place, record in enumerate(rows):
        for number, other in enumerate(known.get(record.question, ())):
            made.append(replace(record, question=other.text, id=f"{record.id}#{number}"))
            owners.append(place)
            sources.append(other.source)
    return made, owners, sources


def over_sensitivity(
    rows: Sequence[ReadingRecord],
    before: Sequence[Sequence[Prediction]],
    after: Sequence[Sequence[Prediction]],
    owners: Sequence[int],
    sources: Sequence[str],
) -> dict[str, Any]:
    """``changed``: share of paraphrases whose answer is not exactly that to the question (both normalised); ``f1_between`` the two answers.

    ``em`` and ``f1`` of the question as it stands and ``em_paraphrased`` and ``f1_paraphrased`` against the references; ``lost`` and
    ``won``: shares of right (EM) answers that became wrong, and the reverse. All are means over paraphrases, which ``per_source`` divides;
    ``questions`` of ``rows`` have some. ``before`` goes with ``rows``, ``after`` with ``owners`` and ``sources``.
    """
    parts: dict[str, list[list[float]]] = {}
    for owner, source, found in zip(owners, sources, after, strict=True):
        references = [answer.text for answer in rows[owner].answers or ()]
        old, new = before[owner][0].text, found[0].text
        (em, f1), (em_new, f1_new) = (metric.score_answer(text, references) for text in (old, new))
        changed = metric.normalise(old) != metric.normalise(new)
        between = metric.score_answer(new, [old])[1] if changed else 1.0
        parts.setdefault(source, []).append([changed, between, em, f1, em_new, f1_new, em and not em_new, em_new and not em])
    every = [row for part in parts.values() for row in part]
    ranked = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
    return {"questions": len(set(owners)), **_means(every), "per_source": {source: _means(part) for source, part in ranked}}


_NAMES = ("changed", "f1_between", "em", "f1", "em_paraphrased", "f1_paraphrased", "lost", "won")


def _means(part: Sequence[Sequence[float]]) -> dict[str, float]:
    sums = [float(sum(column)) for column in zip(*part, strict=True)] if part else [0.0] * len(_NAMES)
    return {"paraphrases": len(part), **{name: total / max(len(part), 1) for name, total in zip(_NAMES, sums, strict=True)}}
