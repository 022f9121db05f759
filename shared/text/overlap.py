"""How much two token sequences share: Rouge-1/2/L, sentence BLEU, token F1. Needs nothing but the standard library.

Equal to ``rouge`` and ``nltk`` in the versions that kexue.fm article 7259 scores with, and to the current ones:
``rouge_n`` to rouge 1.0.0 (repeated n-grams count as often as both sides have them), with ``distinct=True`` to rouge 1.0.1
(every n-gram counts once); ``rouge_l`` to both, which count the distinct tokens of one longest common subsequence;
``bleu`` to ``sentence_bleu`` with ``SmoothingFunction().method1`` of nltk 3.2.5 and 3.10. An empty side scores 0.
Tokens are anything hashable: characters, words, ids.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

Tokens = Sequence[Hashable]


class TextScores(NamedTuple):
    """What article 7259 reports of a generated text; each in [0, 1]."""

    rouge_1: float
    rouge_2: float
    rouge_l: float
    bleu: float


def rouge_n(prediction: Tokens, reference: Tokens, n: int = 1, *, distinct: bool = False) -> float:
    """Rouge-N f: 2pr / (p + r + 1e-8) with p and r the shares of n-grams found in the other side.

    ``distinct``: count every n-gram once. Raises ValueError for n < 1.
    """
    _check_n(n)
    found, wanted = _grams(prediction, n), _grams(reference, n)
    if distinct:
        return _f(len(found.keys() & wanted.keys()), len(found), len(wanted))
    return _f(_common(found, wanted), found.total(), wanted.total())


def rouge_l(prediction: Tokens, reference: Tokens) -> float:
    """Rouge-L f over distinct tokens: those of one longest common subsequence, against those of either side.

    Where several subsequences are longest, the one that the ``rouge`` package walks back to counts. O(l) steps on integers
    of l bits instead of a table of l x l cells (Hyyrö 2004), so it serves inside a loop over candidates.
    """
    return _f(len(set(_common_subsequence(reference, prediction))), len(set(prediction)), len(set(reference)))


def lcs_length(first: Tokens, second: Tokens) -> int:
    """Length of the longest common subsequence."""
    rows = _lcs_rows(first, second)
    return len(second) - rows[-1].bit_count()


def bleu(prediction: Tokens, reference: Tokens, *, max_n: int = 4) -> float:
    """Sentence BLEU: brevity penalty times the geometric mean of the clipped n-gram precisions, n = 1 .. ``max_n``.

    A precision of 0 counts as 0.1 over its number of n-grams (at least 1): smoothing method 1. 0 where no token is shared.
    Raises ValueError for max_n < 1.
    """
    _check_n(max_n)
    logs = []
    for n in range(1, max_n + 1):
        found = _grams(prediction, n)
        shared = _common(found, _grams(reference, n))
        if n == 1 and shared == 0:
            return 0.0
        logs.append(math.log((shared or 0.1) / max(1, found.total())))
    penalty = 1.0 if len(prediction) > len(reference) else math.exp(1 - len(reference) / len(prediction))
    return penalty * math.exp(math.fsum(logs) / max_n)


def token_f1(prediction: Tokens, reference: Tokens) -> float:
    """F1 of the two bags of tokens: 2 * shared / (tokens of both). Two empty sides score 0."""
    sizes = len(prediction) + len(reference)
    return 2.0 * _common(Counter(prediction), Counter(reference)) / sizes if sizes else 0.0


def text_scores(prediction: str, reference: str, *, distinct: bool = False) -> TextScores:
    """Scores by character, lower-cased, as article 7259 computes them: spaces between the characters, then rouge and nltk.

    As in ``rouge``, a full stop "." ends a sentence and is no token, and blanks are no tokens; as in the article's call of
    ``nltk``, BLEU counts both. ``distinct`` as in :func:`rouge_n`. A side without tokens scores 0.
    """
    spaced, spaced_reference = " ".join(prediction).lower(), " ".join(reference).lower()
    sentences, references = _sentences(spaced), _sentences(spaced_reference)
    found, wanted = [token for s in sentences for token in s], [token for s in references for token in s]
    shared: set[Hashable] = set()
    for target in references:
        for sentence in sentences:
            shared.update(_common_subsequence(target, sentence))
    return TextScores(
        rouge_1=rouge_n(found, wanted, 1, distinct=distinct),
        rouge_2=rouge_n(found, wanted, 2, distinct=distinct),
        rouge_l=_f(len(shared), len(set(found)), len(set(wanted))),
        bleu=bleu(spaced.split(" "), spaced_reference.split(" ")) if prediction.strip() and reference.strip() else 0.0,
    )


def mean_text_scores(pairs: Iterable[tuple[str, str]], *, distinct: bool = False) -> TextScores:
    """Means of :func:`text_scores` over (prediction, reference) pairs. Raises ValueError if there are none."""
    scores = [text_scores(prediction, reference, distinct=distinct) for prediction, reference in pairs]
    if not scores:
        raise ValueError("expected at least 1 pair of prediction and reference, found 0: give the texts to score")
    return TextScores(*(math.fsum(column) / len(scores) for column in zip(*scores, strict=True)))


def _sentences(spaced: str) -> list[list[str]]:
    # a sentence of blanks only is one empty token, as rouge has it
    return [" ".join(part.split()).split(" ") for part in spaced.split(".") if part]


def _check_n(n: int) -> None:
    if n < 1:
        raise ValueError(f"n-grams have at least 1 token, found n={n}: give e.g. n=2")


def _grams(tokens: Tokens, n: int) -> Counter:
    if n == 1:
        return Counter(tokens)
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def _common(found: Counter, wanted: Counter) -> int:
    if len(found) > len(wanted):
        found, wanted = wanted, found
    return sum(min(count, wanted[gram]) for gram, count in found.items() if gram in wanted)


def _f(shared: int, found: int, wanted: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / found, shared / wanted
    return 2.0 * ((precision * recall) / (precision + recall + 1e-8))


def _lcs_rows(first: Tokens, second: Tokens) -> list[int]:
    """Row i as bits: bit j is 0 where the subsequence of first[:i] and second[: j + 1] is longer than that of second[:j]."""
    places: dict[Hashable, int] = {}
    for place, token in enumerate(second):
        places[token] = places.get(token, 0) | 1 << place
    full = (1 << len(second)) - 1
    rows = [full]
    row = full
    for token in first:
        matched = row & places.get(token, 0)
        row = (row + matched | row - matched) & full
        rows.append(row)
    return rows


def _common_subsequence(first: Tokens, second: Tokens) -> list[Hashable]:
    """The longest common subsequence, last token first, that a walk back from the end finds: a match before a step up in
    ``first``, and that only where it keeps more than a step back in ``second``."""
    rows = _lcs_rows(first, second)
    tokens: list[Hashable] = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            tokens.append(first[i])
        elif (rows[i - 1] & (1 << j) - 1).bit_count() < (rows[i] & (1 << j - 1) - 1).bit_count() + 1:
            i -= 1
        else:
            j -= 1
    return tokens
