"""What decoding asks of GPLinker's three pointers, and gold in their place, in NumPy, for both tracks.

Notation: b windows, l content tokens, n right pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.features.ragged import Ragged
from shared.features.rows import framed_rows
from shared.heads.pair_decode import FullTable, GoldTable, PairTable, PartsTable
from shared.text import Vocabulary

if TYPE_CHECKING:
    from shared.inference import Engine

SCORES_AT_ONCE = 1 << 25
"""Numbers of a pointer that decoding holds at once, and so the windows that it takes of a batch."""


class GplinkerTables(NamedTuple):
    """Scores of ``spans``, of links from head to head and from tail to tail."""

    spans: PairTable
    heads: PairTable
    tails: PairTable


def tables_of(engine: Engine, ids: Ragged, rows: np.ndarray, vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, GplinkerTables]]:
    """The windows ``rows`` [b] of ``ids``, part by part as :func:`parts_of` says, with what the network says of each part."""
    names, efficient = GplinkerTables._fields, engine.facts["head"] == "efficient"
    for part in parts_of(rows, ids.lengths[rows], labels=max(engine.facts["spans"], engine.facts["links"]), efficient=efficient):
        found = engine.run("scores", unlabelled_batch(ids, part, vocabulary))
        if efficient:
            yield part, GplinkerTables(*(PartsTable(*(found[f"{name}_{side}"] for side in ("pairs", "first", "last"))) for name in names))
        else:
            yield part, GplinkerTables(*(FullTable(found[name]) for name in names))


def parts_of(rows: np.ndarray, lengths: np.ndarray, *, labels: int, efficient: bool) -> Iterator[np.ndarray]:
    """``rows`` [b] of a batch in parts whose scores fit :data:`SCORES_AT_ONCE`; ``lengths`` [b] in tokens."""
    longest = int(lengths.max(initial=1))
    size = max(1, SCORES_AT_ONCE // (longest * (longest + 2 * labels) if efficient else longest * longest * labels))
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def unlabelled_batch(ids: Ragged, rows: np.ndarray, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """``ids`` [b, l + 2] between [CLS] and [SEP], and ``mask`` [b, l], 1 at content tokens."""
    framed, lengths = framed_rows(ids, rows, first=vocabulary.cls_id, last=vocabulary.sep_id, padding=vocabulary.pad_id)  # [b, l + 2], [b]
    return {"ids": framed, "mask": (np.arange(framed.shape[1] - 2) < lengths[:, None]).astype(np.float32)}  # [b, l + 2], [b, l]


def places_of(found: Sequence[Sequence[int]]) -> np.ndarray:
    """Right pairs (row, label, first, last), any number of times each, as the loss takes them: [n, 4] int64, each once."""
    places = np.asarray(found, dtype=np.int64).reshape(-1, 4)  # [n, 4]
    return np.unique(places, axis=0) if len(places) else places  # [n, 4]


def gold_tables(places: Sequence[np.ndarray], *, spans: int, links: int, length: int) -> GplinkerTables:
    """The tables of pointers without fault: ``places`` [n, 4] of spans, heads and tails; ``length``: tokens of the longest window."""
    shapes = ((spans, length), (links, length), (links, length))
    return GplinkerTables(*(GoldTable(one, shape) for one, shape in zip(places, shapes, strict=True)))


def logit(probability: float) -> float:
    """The score that stands for a probability."""
    return float(np.log(probability) - np.log1p(-probability))


def probabilities(scores: np.ndarray) -> np.ndarray:
    """What scores stand for, elementwise, float64."""
    made: np.ndarray = np.exp(-np.logaddexp(0.0, -scores.astype(np.float64)))
    return made
