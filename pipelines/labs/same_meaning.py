"""What the lab ``simbert`` measures: pairs told apart, texts found, other words written. Vectors may be dense or sparse; their rows have length 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.paraphrase.records import ParaphraseRecord

from ..console import progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shared.similarity import SimBERT

    from ..data_files import LabelledData

USUAL = 0.9
"""The article's own threshold."""

Encode = Callable[[Sequence[str]], Any]
"""n texts -> their vectors [n, d], rows of length 1: an array, or a sparse matrix."""
Model = Callable[[], "SimBERT"]
"""Opens a model when it is first needed."""


@dataclass(frozen=True)
class Pairs:
    """n labelled pairs over t different ``texts``: ``first``, ``second`` [n] are places of texts, ``labels`` [n] 1 for one meaning, 0 for two.

    ``groups`` [t]: a number for every text, the same for those that labels of 1 join, directly or through others; ``queries`` [q]: the
    texts that have another one in their group.
    """

    texts: list[str]
    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    queries: np.ndarray

    def asked(self, count: int) -> np.ndarray:
        """At most ``count`` pairs of one meaning, spread evenly over all, whose first texts can be put in other words, [q]: each text once."""
        alike = np.flatnonzero((self.labels == 1) & (self.first != self.second))  # [p]
        once = np.sort(alike[np.unique(self.first[alike], return_index=True)[1]])  # [r]
        return np.asarray(once[np.linspace(0, len(once) - 1, min(count, len(once))).astype(int)])  # [q]


def pairs_of(records: Sequence[ParaphraseRecord]) -> Pairs:
    """The labelled ones of ``records``. Raises ValueError without a label."""
    from shared.similarity import group_pairs

    known = [record for record in records if record.label is not None]
    if not known:
        raise ValueError(f"none of {len(records)} records has a label: give labelled pairs")
    place = {text: number for number, text in enumerate(dict.fromkeys(text for record in known for text in (record.text, record.pair)))}
    groups = np.arange(len(place)) + len(place)  # [t]: each its own
    queries: list[int] = []
    for number, group in enumerate(group_pairs((record.text, record.pair) for record in known if record.label == 1)):
        members = [place[text] for text in group]
        groups[members] = number
        queries += members if len(members) > 1 else []
    first, second = (np.asarray([place[getattr(record, name)] for record in known]) for name in ("text", "pair"))  # [n], [n]
    return Pairs(list(place), first, second, np.asarray([record.label for record in known]), groups, np.asarray(sorted(queries), dtype=np.int64))


def measure_pairs(pairs: Pairs, encode: Encode, *, nearest: int) -> dict[str, Any]:
    """``scores`` of the pairs (:func:`tasks.paraphrase.metric.score`, ``accuracy`` being that at .9), their ``cosines`` [n], ``recall`` at 1 to
    ``nearest`` of the queries among all other texts, and how many ``queries`` there were."""
    from shared.similarity import first_right, recall_at
    from tasks.paraphrase import metric

    vectors = encode(pairs.texts)  # [t, d]
    cosines = cosines_of(vectors[pairs.first], vectors[pairs.second])  # [n]
    scores = metric.score(pairs.labels.tolist(), cosines.tolist(), (cosines > USUAL).tolist())
    recall: list[float] = []
    if len(pairs.queries):
        found = _search(vectors, pairs, min(nearest + 1, len(pairs.texts)))  # [q, nearest + 1]
        ranks = first_right(found, pairs.queries, pairs.groups)  # [q]
        recall = [recall_at(ranks, k) for k in range(1, nearest + 1)]
    return {"scores": scores, "cosines": cosines, "recall": recall, "queries": len(pairs.queries)}


def draw_cosines(axes: Axes, pairs: Pairs, found: Mapping[str, Any]) -> None:
    """Histograms of the cosines of :func:`measure_pairs` by label, and the threshold that is best for them."""
    from .figures import bar

    edges = np.linspace(min(float(found["cosines"].min()), 0.99), 1.0 + 1e-6, 31).tolist()
    for label, told in ((1, "one meaning"), (0, "two meanings")):
        axes.hist(found["cosines"][pairs.labels == label], edges, density=True, alpha=0.65, label=told, **bar(1 - label))
    axes.axvline(found["scores"]["threshold"], color="black", linestyle="--", linewidth=1, label="best threshold")
    axes.set(xlabel="cosine of the two texts", ylabel="density of pairs")
    axes.legend(fontsize=9)


def cosines_of(first: Any, second: Any) -> np.ndarray:
    """Of the rows of two matrices of vectors [n, d], [n] float64."""
    product = first.multiply(second) if hasattr(first, "multiply") else first.astype(np.float64) * second  # [n, d]
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()  # [n]


def _search(vectors: Any, pairs: Pairs, k: int) -> np.ndarray:
    if hasattr(vectors, "multiply"):  # an index holds no sparse vectors, and these are too wide to be dense
        from sklearn.neighbors import NearestNeighbors

        near = NearestNeighbors(metric="cosine", algorithm="brute").fit(vectors)
        return np.asarray(near.kneighbors(vectors[pairs.queries], n_neighbors=k, return_distance=False))  # [q, k]
    from shared.similarity import RetrievalIndex

    return RetrievalIndex(vectors, pairs.texts).search(vectors[pairs.queries], k)[0]  # [q, k]


@dataclass(frozen=True)
class Judge:
    """Who says whether two texts mean the same: by the cosine of its vectors, above ``threshold``."""

    encode: Encode
    threshold: float


def measure_words(
    sources: Sequence[str], written: Sequence[Sequence[str]], gold: Sequence[str] | None, judges: Mapping[str, Judge]
) -> dict[str, Any]:
    """What was ``written`` for each of ``sources``, as means over all texts written; None where nothing was, or no ``gold``.

    ``rouge_2_source``, ``rouge_2_gold``, ``bleu_gold``: overlap by characters (:func:`shared.text.overlap.text_scores`) with the source, and with
    the words that somebody else has found for it. ``kept``: by judge the share that means the same as its source.
    ``texts`` and ``empty``: how many texts there are, and how many sources have none. Raises ValueError for lists of different lengths.
    """
    from shared.text.overlap import mean_text_scores

    if len(sources) != len(written) or (gold is not None and len(gold) != len(sources)):
        raise ValueError(f"{len(sources)} sources, {len(written)} lists of texts and {len(gold or ())} gold texts: give one of each a source")
    rows = [(text, place) for place, others in enumerate(written) for text in others]
    found: dict[str, Any] = {"texts": len(rows), "empty": sum(not others for others in written)}
    found |= {"rouge_2_source": None, "rouge_2_gold": None, "bleu_gold": None, "kept": dict.fromkeys(judges)}
    if not rows:
        return found
    found["rouge_2_source"] = mean_text_scores((text, sources[place]) for text, place in rows).rouge_2
    if gold is not None:
        overlap = mean_text_scores((text, gold[place]) for text, place in rows)
        found |= {"rouge_2_gold": overlap.rouge_2, "bleu_gold": overlap.bleu}
    for name, judge in judges.items():
        texts, origins = judge.encode([text for text, _ in rows]), judge.encode([sources[place] for _, place in rows])  # [m, d], [m, d]
        found["kept"][name] = float(np.mean(cosines_of(texts, origins) > judge.threshold))
    return found


def write_words(model: Model, sources: Sequence[str], *, n: int, kept: int, top_k: int, max_length: int, seed: int) -> dict[str, Any]:
    """Of ``n`` draws for each of ``sources``: ``kept``, the texts nearest to it by the model itself, their ``cosines``, and ``new``: the share of
    all draws that differ from the source and from each other."""
    from shared.similarity import Scored, generate_synonyms

    found: list[list[Scored]] = []
    with progress("other words") as advance:
        for source in sources:
            found += generate_synonyms(model(), [source], n=n, best=n, top_k=top_k, max_length=max_length, seed=seed)
            advance(len(found), len(sources))
    return {
        "kept": [[one.text for one in some[:kept]] for some in found],
        "cosines": [[round(one.score, 4) for one in some[:kept]] for some in found],
        "new": sum(map(len, found)) / (n * len(sources)) if sources else 0.0,
    }


def encode(model: Model, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, [n, h], with progress."""
    rows: list[np.ndarray] = []
    with progress("texts to vectors") as advance:
        for begin in range(0, len(texts), 1024):
            rows.append(model().encode(texts[begin : begin + 1024]))  # [b, h]
            advance(min(begin + 1024, len(texts)), len(texts))
    return np.concatenate(rows)  # [n, h]


def open_trained(folder: Path) -> SimBERT:
    """The model of a run of ``lic train paraphrase``, in evaluation mode. Raises InputError for a folder of something else."""
    from ..run_folder import load_run

    run = load_run(folder, "paraphrase")
    return _whole(run.model, run.tokenizer, run.recipe.features.window)


def open_untrained(opened: LabelledData, folder: Path) -> SimBERT:
    """What a run of that data and recipe begins with, in evaluation mode; kept in ``folder``."""
    from shared.similarity import SimBERT
    from shared.training.parallel import join

    from ..train_setup import prepare

    if not folder.is_dir():
        prepared = prepare(opened, ranks=join(), fold=None, quiet=True)
        _whole(prepared.model, prepared.encoder.tokenizer, opened.recipe.features.window).save(folder)
    return SimBERT.load(folder)


def _whole(layer: Any, tokenizer: Any, window: int) -> SimBERT:
    from shared.similarity import SimBERT

    parts = layer.simbert
    model = SimBERT(
        layer.backbone, tokenizer, head=layer.language_model_head, scale=parts.scale, max_length=window + 2, pooling=parts.pooling
    )
    model.pooler = layer.pooler
    model.eval()
    return model
