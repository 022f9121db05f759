"""A new model that writes, its engines, and searches timed against each other: what ``lic bench generation`` and ``lic lab unilm`` measure with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .engines import engine_class

TOKENS = 21128
"""Of a Chinese BERT's vocabulary."""
END = 0
UNCACHED = "uncached"


def new_writer(*, positions: int, seed: int = 0, **sizes: Any) -> Any:
    """A new :class:`shared.unilm.UniLM` for texts of ``positions`` tokens, its matrices doubled so that attention matters.

    ``sizes``: of :class:`shared.backbone.BackboneConfig`, ``vocab_size`` left out for :data:`TOKENS`.
    """
    import paddle

    from shared.backbone import Backbone, BackboneConfig
    from shared.unilm import UniLM

    paddle.seed(seed)
    sizes = {"vocab_size": TOKENS, "intermediate_size": 4 * sizes["hidden_size"], **sizes}
    model = UniLM(Backbone(BackboneConfig(max_positions=positions, dropout=0.0, attention_dropout=0.0, **sizes)))
    model.eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.set_value(parameter * 2)
    return model


def new_sources(rows: int, shortest: int, longest: int, words: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random sources [rows, longest] of ``shortest`` to ``longest`` tokens, padded with 0, and ``words`` tokens [words] that may be written."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, rows)  # [b]
    ids = np.where(np.arange(longest) < lengths[:, None], rng.integers(5, TOKENS, [rows, longest]), 0)  # [b, s]
    return ids, np.sort(rng.choice(np.arange(5, TOKENS), words, replace=False))  # [b, s], [u]


def installed(engine: str) -> bool:
    """Whether ``eager``, ``static`` or ``onnx`` can run here."""
    return engine != "onnx" or all(find_spec(package) is not None for package in ("onnxruntime", "paddle2onnx"))


def open_writer(engine: str, model: Any, aside: Path, threads: int) -> Any:
    """The engine ``engine`` over the model's graphs, recorded to a folder in ``aside`` where it needs that."""
    from shared.inference import EagerEngine, recording

    network = model.network(words=True)
    if engine == "eager":
        return EagerEngine(network)
    folder = aside / engine
    folder.mkdir()
    (recording.convert if engine == "onnx" else recording.record)(network, folder)
    return engine_class(engine)(folder, threads=threads)


def searches(model: Any, opened: Mapping[str, Any], ids: np.ndarray, words: np.ndarray) -> dict[str, Callable[[], Any]]:
    """What makes the step function of a search, by name: :data:`UNCACHED`, and cached on every opened engine. ``ids`` [b, s], ``words`` [u]."""
    from shared.seq2seq import Steps

    made: dict[str, Callable[[], Any]] = {UNCACHED: partial(model.step, ids, cached=False, words=words)}
    return {**made, **{name: partial(Steps, engine, ids, words=words) for name, engine in opened.items()}}


def race(
    candidates: Mapping[str, Callable[[], Any]], *, target: int, beam: int, repeats: int, warm: Sequence[str] = ()
) -> tuple[dict[str, list[float]], dict[str, list[tuple[int, ...]]]]:
    """Seconds of every repetition, and what was written for every source, by candidate; each makes the step function of a new search.

    Every repetition runs every candidate once, in turn, so that a busy moment strikes all alike. Exactly ``target`` tokens are written and then the
    end. ``warm``: candidates that write three tokens before their time counts.
    """
    from shared.decoding import MinLength, beam_search

    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    written: dict[str, list[tuple[int, ...]]] = {}
    for number in range(repeats):
        for name, make in candidates.items():
            if number == 0 and name in warm:
                beam_search(make(), end_id=END, max_length=4, beam=beam)
            began = time.perf_counter()
            found = beam_search(make(), end_id=END, max_length=target + 1, beam=beam, constraints=[MinLength(target, END)])
            seconds[name].append(time.perf_counter() - began)
            written[name] = [own[0].tokens for own in found]
    return seconds, written
