"""What the attention of a trained run looks like: its weights on sentences, its matrices of places beside those that it began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator

from ..demo import samples_folder

if TYPE_CHECKING:
    from shared.backbone import Backbone


def _known(kind: str) -> str:
    from shared.attention import check_kind

    check_kind(kind)
    return kind


AttentionKind = Annotated[str, AfterValidator(_known)]
"""The name of a kind, or several joined by ``+``, in a lab's settings."""


def attention_of(folder: Path, *, texts: int = 12, tokens: int = 20) -> dict[str, Any]:
    """Of the run in ``folder``, with its best weights:

    ``tokens`` [l] of a sentence of the bundled sample with [CLS]; ``rows`` [n, l, l], the last layer's attention weights on it; ``by_input``:
    :func:`input_share` over ``texts`` sentences cut to equal length. For random kinds, also in a mixture, ``before`` and ``after`` [n, m, m]:
    the first layer's matrices as they were drawn and as they are. For mixtures ``shares`` [layers, parts, n] and ``parts``, their names.
    """
    import paddle

    from shared.attention import Mixture
    from shared.backbone import Backbone

    from ..run_folder import load_run

    loaded = load_run(folder)
    backbone: Backbone = loaded.model.backbone
    lines = (samples_folder() / "event" / "dev.json").read_text(encoding="utf-8").splitlines()
    chosen = sorted((json.loads(line)["text"] for line in lines), key=lambda text: (abs(len(text) - tokens), text))[:texts]
    names = [loaded.tokenizer.tokens(text) for text in chosen]
    cut = min(tokens, *map(len, names))
    ids = paddle.to_tensor([[loaded.vocabulary.cls_id, *map(loaded.vocabulary.id, row[:cut])] for row in names])  # [t, l]
    weights = last_weights(backbone, ids)  # [t, n, l, l]
    made: dict[str, Any] = {"tokens": ["[CLS]", *names[0][:cut]], "rows": weights[0], "by_input": input_share(weights)}
    paddle.seed(loaded.recipe.training.seed)
    began = Backbone(backbone.config)  # draws what the run drew
    old, new = began.blocks[0].attention.scores, backbone.blocks[0].attention.scores
    kinds = backbone.config.attention.split("+")
    if isinstance(new, Mixture):
        made["parts"] = kinds
        made["shares"] = np.stack([block.attention.scores.shares().numpy() for block in backbone.blocks])  # [layers, p, n]
    for index, kind in enumerate(kinds):
        if kind.endswith("random") and "before" not in made:
            parts = (layer.parts[index] if isinstance(layer, Mixture) else layer for layer in (old, new))
            made["before"], made["after"] = map(matrices, parts)  # [n, m, m] each
    return made


def last_weights(backbone: Backbone, ids: Any) -> np.ndarray:
    """The last layer's attention weights [t, n, l, l] on texts [t, l] without padding. Raises ValueError for an encoder of one layer."""
    import paddle

    last = len(backbone.blocks) - 1
    if not last:
        raise ValueError("an encoder of 1 layer: the weights of the last of two layers or more are looked at, take num_layers=2")
    with paddle.no_grad():
        below = backbone(ids, all_layers=True).layers[last - 1]  # [t, l, h]
        return np.asarray(backbone.blocks[last].attention.weights(below).numpy())  # [t, n, l, l]


def input_share(weights: np.ndarray) -> float:
    """Of attention weights [t, n, l, l] of t texts, the share of a row's variance that the texts make: 0 where all texts have the same rows.

    By the law of total variance: mean over places of the variance over texts, over the variance over texts and keys.
    """
    return float(weights.var(axis=0).mean() / weights.var(axis=(0, 3)).mean())


def matrices(scores: Any) -> np.ndarray:
    """The matrices of places [n, m, m] of a random or factorized random kind, one a head."""
    from shared.attention import FactorizedRandomSynthesizer

    if isinstance(scores, FactorizedRandomSynthesizer):
        return np.asarray(scores.rows.numpy() @ scores.columns.numpy().transpose(0, 2, 1))  # [n, m, m]
    return np.asarray(scores.weight.numpy())  # [n, m, m]
