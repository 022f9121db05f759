"""Scores of titles as kexue.fm article 7259 reports them: Rouge-1, 2 and L (f) and BLEU, by character and without case, averaged over records."""

from __future__ import annotations

from collections.abc import Iterable

from shared.text.overlap import mean_text_scores

SHOWN = ("rouge_1", "rouge_2", "rouge_l", "bleu")
"""The last is what the article selects its models by."""


def score(pairs: Iterable[tuple[str, str]]) -> dict[str, float | int]:
    """Means over (predicted, gold) titles, each in [0, 1], and how many ``records`` there are and ``empty`` predictions, which score 0.

    All means are 0 where there is no record. The figures are those of rouge 1.0.0 and of nltk's ``sentence_bleu`` with smoothing method 1, see
    :func:`shared.text.overlap.text_scores`.
    """
    given = list(pairs)
    means = mean_text_scores(given)._asdict() if given else dict.fromkeys(SHOWN, 0.0)
    return {**means, "records": len(given), "empty": sum(not predicted.strip() for predicted, _ in given)}
