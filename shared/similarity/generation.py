"""Other words for a text: sample many, drop what is no other text, put the nearest in meaning first (kexue.fm article 7427)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import paddle

from ..decoding import Forbidden, sample
from ..features.batches import pad
from ..text import Vocabulary
from ..text.detokenize import detokenize

if TYPE_CHECKING:
    from .simbert import SimBERT

_ROWS = 256
"""Draws that are decoded side by side."""


class Scored(NamedTuple):
    """A text and its cosine to the text that was asked for."""

    text: str
    score: float


def generate_synonyms(
    model: SimBERT,
    texts: Sequence[str],
    *,
    n: int = 100,
    best: int = 20,
    top_k: int | None = 5,
    top_p: float = 1.0,
    temperature: float = 1.0,
    max_length: int | None = None,
    seed: int = 0,
) -> list[list[Scored]]:
    """For every text at most ``best`` other texts that ``model`` writes for it, by falling cosine to it.

    Of every text ``n`` are drawn, from the ``top_k`` likeliest tokens and the most likely ones that make up ``top_p`` together, at most
    ``max_length`` tokens each (default: the model's own length without [CLS] and [SEP]; one that has not ended by then counts as it is). No draw
    holds a special token or ``[UNK]``. Texts are compared by their tokens: of equal ones one stays, and none that equals the text itself.
    A list can be short, or empty: few draws differ where the model is sure of one. The same model, text and seed give the same
    list, whatever stands beside it.

    Raises ValueError for a text without a token, ``n`` or ``best`` below 1, a length that source and target together have no positions
    for, and as :func:`sample` does.
    """
    if n < 1 or best < 1:
        raise ValueError(f"n is {n} and best is {best}: draw at least 1 text and keep at least 1")
    longest = model.max_length - 2 if max_length is None else max_length
    positions = model.backbone.config.max_length
    if not 1 <= longest <= positions - model.max_length:
        raise ValueError(
            f"max_length is {longest}, but {positions} positions leave {positions - model.max_length} behind a source of {model.max_length}: "
            f"give 1 to {positions - model.max_length}"
        )
    sources = model.source_rows(texts, model.max_length)
    vocabulary = model.tokenizer.vocabulary
    barred = [Forbidden(_silent_ids(vocabulary, model.backbone.config.vocab_size))]
    found: list[list[str]] = []
    at_once = max(1, _ROWS // n)
    with model.resting():
        for begin in range(0, len(sources), at_once):
            some = sources[begin : begin + at_once]
            drawn = sample(
                model.unilm.step(paddle.to_tensor(pad(some, value=vocabulary.pad_id))),
                n=n,
                top_k=top_k,
                top_p=top_p,
                temperature=temperature,
                end_id=vocabulary.sep_id,
                min_length=1,
                max_length=longest + 1,
                constraints=barred,
                seed=seed,
                keys=[0] * len(some),
            )
            for source, hypotheses in zip(some, drawn, strict=True):
                found.append(_others([detokenize(hypothesis.tokens[:longest], model.tokenizer) for hypothesis in hypotheses], source[1:-1], model))
    return _by_cosine(model, list(texts), found, best)


def _others(drawn: Sequence[str], source: np.ndarray, model: SimBERT) -> list[str]:
    """The different texts in order, without those whose tokens are the source's."""
    seen = {source.tobytes()}
    kept: list[str] = []
    for text, encoding in zip(drawn, model.tokenizer.encode_batch(drawn), strict=True):
        key = encoding.ids.astype(source.dtype).tobytes()
        if len(encoding.ids) and key not in seen:
            seen.add(key)
            kept.append(text)
    return kept


def _by_cosine(model: SimBERT, texts: list[str], found: list[list[str]], best: int) -> list[list[Scored]]:
    vectors = model.encode([*texts, *(text for others in found for text in others)])  # [texts + all found, h]
    ranked: list[list[Scored]] = []
    begin = len(texts)
    for vector, others in zip(vectors[: len(texts)], found, strict=True):
        scores = vectors[begin : begin + len(others)] @ vector  # [others]
        begin += len(others)
        order = np.argsort(-scores, kind="stable")[:best]  # [kept]
        ranked.append([Scored(others[place], float(scores[place])) for place in order.tolist()])
    return ranked


def _silent_ids(vocabulary: Vocabulary, rows: int) -> list[int]:
    """Tokens that stand for no text: special ones but [SEP], ``[unused1]`` and the like, and embedding rows without a token."""
    bracketed = [place for place, token in enumerate(vocabulary) if len(token) > 2 and token[0] == "[" and token[-1] == "]"]
    return [place for place in [*bracketed, *range(len(vocabulary), rows)] if place != vocabulary.sep_id]
