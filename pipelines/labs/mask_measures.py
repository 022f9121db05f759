"""Measures of the UniLM mask: its two forms side by side, and how far a source's states move when a target is put behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

PLAIN, NEW = "bidirectional", "UniLM"


def product_form(segments: np.ndarray) -> np.ndarray:
    """The older form of the mask, (1 - s_q)(1 - s_k) + s_q tril, of segment ids [b, l]: boolean [b, l, l]; padding (0) counts as source."""
    lower = np.tril(np.ones([segments.shape[1]] * 2, dtype=np.int64))  # [l, l]
    of_query, of_key = segments[:, :, None], segments[:, None, :]  # [b, l, 1], [b, 1, l]
    return np.asarray((1 - of_query) * (1 - of_key) + of_query * lower > 0)  # [b, l, l]


def compare_forms(rows: int, seed: int) -> dict[str, Any]:
    """Both forms over random rows of source, target and padding."""
    import paddle

    from shared.masks import padding_mask, unilm_mask

    rng = np.random.default_rng(seed)
    source, target, padding = rng.integers(2, 20, rows), rng.integers(0, 20, rows), rng.integers(0, 9, rows)  # [b] each
    places = np.arange(int((source + target + padding).max()))  # [l]
    real = places < (source + target)[:, None]  # [b, l]
    segments = (real & (places >= source[:, None])).astype(np.int64)  # [b, l]
    tensor, valid = paddle.to_tensor(segments), paddle.to_tensor(real)  # [b, l] each
    raw = unilm_mask(tensor, paddle.ones_like(valid)).bool.numpy()[:, 0]  # [b, l, l]
    hidden = (unilm_mask(tensor, valid) & padding_mask(valid)).bool.numpy()[:, 0]  # [b, l, l]
    older = product_form(segments)  # [b, l, l]
    at_real = real[:, :, None] & real[:, None, :]  # [b, l, l]
    same = (hidden == (older & real[:, None, :]))[real]  # [real rows, l]
    differ = raw != older  # [b, l, l]
    return {
        "cells": int(same.size),
        "agree": int(same.sum()),
        "all": int(differ.size),
        "raw": int(differ.sum()),
        "only_padding": not bool((differ & at_real).any()),
    }


def source_shift(kind: str, configurations: int, seed: int) -> dict[str, Any]:
    """How far a source's states move when targets are put behind it: largest difference, mean share of their length, least cosine of [CLS]."""
    import paddle

    from shared.masks import padding_mask, unilm_mask

    from ..writing_race import new_writer

    rng = np.random.default_rng(seed)
    differences: dict[str, list[float]] = {NEW: [], PLAIN: []}
    shares: dict[str, list[float]] = {NEW: [], PLAIN: []}
    cosines: dict[str, list[float]] = {NEW: [], PLAIN: []}
    for number in range(configurations):
        heads, source = int(rng.choice([2, 4])), int(rng.integers(4, 24))
        width = heads * int(rng.choice([8, 16, 32]))
        sizes = {"hidden_size": width, "num_layers": int(rng.integers(1, 5)), "num_heads": heads, "initializer_range": 0.5 * width**-0.5}
        model = new_writer(positions=64, vocab_size=500, seed=seed + number, attention=kind, **sizes)
        added = [0, 2, 30, 30]  # none, short, long, another long
        ids = rng.integers(5, 500, [4, source + max(added)])  # [4, l]
        ids[:, :source] = ids[0, :source]
        real = np.arange(ids.shape[1]) < source + np.array(added)[:, None]  # [4, l]
        segments = real & (np.arange(ids.shape[1]) >= source)  # [4, l]
        tokens, valid, parts = (paddle.to_tensor(made) for made in (np.where(real, ids, 0), real, segments.astype(np.int64)))  # [4, l] each
        with paddle.no_grad():
            alone = model.backbone(tokens[:1, :source]).hidden.numpy()[0]  # [s, h]
            for name, mask in ((NEW, unilm_mask(parts, valid)), (PLAIN, padding_mask(valid))):
                states = model.backbone(tokens, segment_ids=parts, real=valid, mask=mask).hidden.numpy()[:, :source]  # [4, s, h]
                gap = states[1:] - alone  # [3, s, h]
                differences[name].append(float(np.abs(states - alone).max()))
                shares[name].append(float((np.linalg.norm(gap, axis=-1) / np.linalg.norm(alone, axis=-1)).mean()))
                first = states[1:, 0].astype(np.float64)  # [3, h]
                lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(alone[0])  # [3]
                cosines[name].append(float((first @ alone[0] / lengths).min()))
    return {name: {"largest": max(differences[name]), "share": float(np.mean(shares[name])), "cosine": min(cosines[name])} for name in (NEW, PLAIN)}
