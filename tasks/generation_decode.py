"""Decoding that the generators of structures share: a search under the grammar of groups, and gold in its place. Needs numpy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shared.decoding import Hypothesis
from shared.seq2seq import Steps
from shared.text import Vocabulary

from .decoding import Decoder
from .generation_groups import Group, GroupForm, GroupGrammar, Tries, write
from .generation_rows import make_rows
from .generation_search import gold_codes, gold_hypotheses, hypotheses, width
from .generation_words import Codes, Words

if TYPE_CHECKING:
    from shared.inference import Engine

    from .generation import GenerateDecodeSettings

Finish = Callable[[list[list[Hypothesis]], np.ndarray, Codes], list[Any]]
"""Takes the hypotheses of every window of a batch [b] and how names are spelled, and gives what they say."""


class Form(Protocol):
    """How a track's structures are groups."""

    @property
    def form(self) -> GroupForm: ...

    def groups(self, features: Any, row: int) -> Sequence[Group]:
        """Gold of a window."""
        ...


def steps_of(engine: Engine, batch: Mapping[str, np.ndarray]) -> Steps:
    """The step function of an engine that runs a generator, for an unlabelled batch of :func:`make_rows`; tokens are numbers in its ``words``."""
    copied = batch["copied"] if engine.facts["copies"] else None  # [b, s]
    return Steps(engine, batch["ids"], words=batch["words"], writable=batch.get("writable"), copied=copied)


def at_once(settings: GenerateDecodeSettings, texts: int, count: int) -> int:
    """How many of ``texts`` to write for at once: a beam holds the text once, samples have little else in common."""
    return max(1, texts // count if settings.search == "mbr" else texts)


def group_decoder(
    engine: Engine, form: Form, features: Any, vocabulary: Vocabulary, settings: GenerateDecodeSettings, finish: Finish, *, candidates: bool
) -> Decoder:
    """What the generator behind ``engine`` writes for the windows of ``features``. ``candidates``: several hypotheses a window, whatever
    ``settings`` say."""
    codes = Codes.of_vocabulary(form.form.names, vocabulary)
    tries = Tries(form.form, codes)
    count = width(settings, candidates=candidates)

    def search(batch: np.ndarray) -> list[list[Hypothesis]]:
        texts = [features.ids[int(row)] for row in batch]
        made, words = make_rows(texts, texts, codes, vocabulary)
        return hypotheses(
            steps_of(engine, made),
            GroupGrammar(tries, [text.tolist() for text in words.texts]),
            words,
            settings,
            max_target=settings.max_target or engine.facts["max_target"],
            seed=engine.facts["seed"],
            keys=[int(row) for row in batch],
            count=count,
        )

    def decode(batch: np.ndarray) -> list[Any]:
        part = at_once(settings, len(batch), count)
        found = [own for begin in range(0, len(batch), part) for own in search(batch[begin : begin + part])]
        return finish(found, batch, codes)

    return decode


def gold_group_decoder(form: Form, features: Any, finish: Finish, *, longest: int) -> Decoder:
    """The same with gold's own tokens, ``longest`` with the end, forced through the grammar."""
    codes = gold_codes(form.form.names, features.ids.values)
    tries = Tries(form.form, codes)

    def decode(batch: np.ndarray) -> list[Any]:
        words = Words(codes, [features.ids[int(row)] for row in batch])
        targets = [write(form.groups(features, int(row)), codes, room=longest - 1)[0] for row in batch]
        grammar = GroupGrammar(tries, [text.tolist() for text in words.texts])
        return finish(gold_hypotheses(grammar, words, targets, max_target=longest), batch, codes)

    return decode
