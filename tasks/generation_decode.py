"""Decoding that the generators of structures share: a search under the grammar of groups, and gold in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from shared.decoding import Hypothesis
from shared.inference import EagerEngine, Engine
from shared.text import Vocabulary

from .decoding import Decoder
from .generation import Generator
from .generation_groups import Group, GroupForm, GroupGrammar, Tries, write
from .generation_search import GenerateDecodeSettings, gold_codes, gold_hypotheses, hypotheses, width
from .generation_words import Codes, Words

Finish = Callable[[list[list[Hypothesis]], np.ndarray, Codes], list[Any]]
"""Takes the hypotheses of every window of a batch [b] and how names are spelled, and gives what they say."""


class Form(Protocol):
    """How a track's structures are groups."""

    @property
    def form(self) -> GroupForm: ...

    def groups(self, features: Any, row: int) -> Sequence[Group]:
        """Gold of a window."""
        ...


def layer_of(engine: Engine) -> Any:
    """The generator behind an engine: its decode steps through the layer itself. Raises ValueError for an engine that has no layer."""
    if not isinstance(engine, EagerEngine):
        raise ValueError(f"a generator is decoded through its layer, found the engine {engine.name}: take the eager one")
    return engine.network.layer


def group_decoder(
    model: Generator,
    form: Form,
    features: Any,
    vocabulary: Vocabulary,
    settings: GenerateDecodeSettings,
    finish: Finish,
    *,
    seed: int,
    candidates: bool,
) -> Decoder:
    """What ``model`` writes for the windows of ``features``. ``candidates``: several hypotheses a window, whatever ``settings`` say."""
    codes = model.codes(vocabulary)
    tries = Tries(form.form, codes)
    count = width(settings, candidates=candidates)

    def search(batch: np.ndarray) -> list[list[Hypothesis]]:
        texts = [features.ids[int(row)] for row in batch]
        made, words = model.rows(texts, texts, vocabulary, None)
        return hypotheses(
            model.step(made),
            GroupGrammar(tries, [text.tolist() for text in words.texts]),
            words,
            settings,
            max_target=settings.max_target or model.settings.max_target,
            seed=seed,
            keys=[int(row) for row in batch],
            count=count,
        )

    def decode(batch: np.ndarray) -> list[Any]:
        at_once = max(1, len(batch) // count)  # every text is held so many times
        found = [own for begin in range(0, len(batch), at_once) for own in search(batch[begin : begin + at_once])]
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
