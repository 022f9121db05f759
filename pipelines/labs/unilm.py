"""The mask that lets one encoder read and write: who sees whom, what a target does to its source, what a cache saves (kexue.fm article 7427)."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..console import progress
from ..writing_race import UNCACHED, installed, new_sources, new_writer, open_writer, race, searches
from .attention_seen import AttentionKind
from .mask_measures import NEW, PLAIN, compare_forms, product_form, source_shift
from .work import Lab, LabSettings, Steps, Work

SOURCE, TARGET, PADDING = "明天下雨", "带伞", 2


class UniLMSettings(LabSettings):
    """Timed encoders are new and small: times say how a search grows, not how long a trained model takes."""

    configurations: int = Field(6, ge=1, description="random encoders of each attention kind")
    kinds: tuple[AttentionKind, ...] = (
        "dot_product", "dense", "random", "factorized_dense", "factorized_random", "dense+dot_product", "random+dot_product",
    )  # fmt: skip
    random_pairs: int = Field(500, ge=1, description="segment rows on which both forms of the mask are compared")
    hidden_size: int = Field(128, ge=8)
    num_layers: int = Field(4, ge=1)
    num_heads: int = Field(4, ge=1)
    source_tokens: int = Field(32, ge=4)
    words: int = Field(1500, ge=4, description="tokens that may be written")
    targets: tuple[int, ...] = (8, 16, 32, 64, 128)
    batches: tuple[int, ...] = (1, 8)
    beams: tuple[int, ...] = (1, 4)
    engines: tuple[Literal["eager", "static", "onnx"], ...] = ("eager", "static", "onnx")
    repeats: int = Field(3, ge=1)


def run(work: Work[UniLMSettings]) -> None:
    settings = work.settings
    forms = work.step("forms", lambda: compare_forms(settings.random_pairs, settings.seed))
    moved = {kind: work.step(f"moved-{kind}", partial(source_shift, kind, settings.configurations, settings.seed)) for kind in settings.kinds}
    cells = _timed(work)
    _draw_masks(work)
    _draw_forms(work, forms)
    _draw_moved(work, moved)
    found = _draw_times(work, cells)
    noise, far = max(row[NEW]["largest"] for row in moved.values()), [row[PLAIN] for row in moved.values()]
    unequal = {name: cell["unequal"] for name, cell in cells.items() if cell["unequal"]}
    shortest, longest = min(settings.targets), max(settings.targets)
    gains = {key: row["ratios"][-1] for key, row in found.items() if row["search"] == "eager"}
    work.report(
        f"Writing {shortest} to {longest} tokens behind {settings.source_tokens}: milliseconds a sequence, median of {settings.repeats}",
        ["batch", "beam", "search", f"ms, {shortest} tokens", f"ms, {longest} tokens", "exponent", f"times as fast, {longest}"],
        [[row["batch"], row["beam"], row["search"], row["ms"][0], row["ms"][-1], row["exponent"], row["ratios"][-1]] for row in found.values()],
        metrics={
            "forms": {key: value for key, value in forms.items() if not isinstance(value, np.ndarray)},
            "moved": moved,
            "written": {name: {key: cell[key] for key in ("digest", "unequal", "searches")} for name, cell in cells.items()},
        },
        timing={"cells": {name: cell["seconds"] for name, cell in cells.items()}, "fits": found},
        findings=[
            f"both forms of the mask agree on {forms['agree']:,} of {forms['cells']:,} cells of real rows once padding is hidden; without that "
            f"they differ on {forms['raw']:,} of {forms['all']:,} cells, all of them at padding: {'yes' if forms['only_padding'] else 'no'}",
            f"under the UniLM mask the largest change of any source state over {len(moved)} kinds of attention is {noise:.1e}; under a mask that "
            f"shows everything states move by {100 * np.mean([row['share'] for row in far]):.1f} % of their length on average",
            f"[CLS] of a source with a target keeps cosine 1 within {max(1 - row[NEW]['cosine'] for row in moved.values()):.1e}, without the "
            f"mask it falls to {min(row['cosine'] for row in far):.4f}",
            f"cached and uncached searches wrote the same tokens in {len(cells) - len(unequal)} of {len(cells)} cells"
            + (f"; not in {', '.join(unequal)}" if unequal else ""),
            f"at {longest} tokens the cached search is {min(gains.values()):.1f} to {max(gains.values()):.1f} times as fast in eager mode; "
            f"exponents of time by target: uncached {_span(found, UNCACHED)}, cached {_span(found, 'eager')}; of the tokens that pass through the "
            f"encoder {_passed(settings, cached=False):.2f} and {_passed(settings, cached=True):.2f}",
        ],
    )


def _timed(work: Work[UniLMSettings]) -> dict[str, dict[str, Any]]:
    """Seconds of every search by batch, beam and target; each cell is a step of its own."""
    settings, places = work.settings, [(b, k, t) for b in work.settings.batches for k in work.settings.beams for t in work.settings.targets]
    sizes = {"hidden_size": settings.hidden_size, "num_layers": settings.num_layers, "num_heads": settings.num_heads}
    engines = [name for name in settings.engines if installed(name)]
    with tempfile.TemporaryDirectory(prefix="lic-lab-") as aside, progress("searches timed") as advance:

        @cache
        def writer() -> tuple[Any, dict[str, Any]]:
            from shared.environment import prepare

            threads = prepare().threads
            model = new_writer(positions=settings.source_tokens + max(settings.targets) + 1, seed=settings.seed, **sizes)
            return model, {name: open_writer(name, model, Path(aside), threads) for name in engines}

        def cell(batch: int, beam: int, target: int) -> Steps:
            model, opened = writer()
            shortest = settings.source_tokens * 3 // 4
            ids, words = new_sources(batch, shortest, settings.source_tokens, settings.words, seed=settings.seed)  # [b, s], [u]
            candidates = searches(model, opened, ids, words)
            seconds, written = race(candidates, target=target, beam=beam, repeats=settings.repeats, warm=list(candidates))
            unequal = {name: sum(a != b for a, b in zip(found, written[UNCACHED], strict=True)) for name, found in written.items()}
            return {
                "seconds": seconds,
                "searches": list(candidates),
                "unequal": {name: count for name, count in unequal.items() if count},
                "digest": hashlib.sha256(repr(written[UNCACHED]).encode()).hexdigest()[:16],
            }

        cells = {}
        for number, (batch, beam, target) in enumerate(places):
            name = f"batch-{batch}-beam-{beam}-target-{target}"
            cells[name] = work.step(name, partial(cell, batch, beam, target))
            advance(number + 1, len(places))
    return cells


def _pair(parts: tuple[str, ...], padding: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Tokens of ``[CLS] part [SEP] part [SEP]`` and padding, which part each is of, and which are real."""
    tokens, numbers = ["[CLS]"], [0]
    for number, part in enumerate(parts):
        tokens += [*part, "[SEP]"]
        numbers += [number] * (len(part) + 1)
    real = np.arange(len(tokens) + padding) < len(tokens)  # [l]
    return tokens + ["[PAD]"] * padding, np.array(numbers + [0] * padding), real


def _draw_masks(work: Work[UniLMSettings]) -> None:
    import paddle

    from shared.masks import causal_mask, packed_mask, padding_mask, unilm_mask

    from .figures import token_grid

    tokens, segments, real = _pair((SOURCE, TARGET), PADDING)
    parts, valid = paddle.to_tensor(segments[None]), paddle.to_tensor(real[None])  # [1, l] each
    packed = ["[CLS]", *SOURCE, "[SEP]", "[CLS]", *TARGET, "[SEP]"]
    documents = paddle.to_tensor([[1] * (len(SOURCE) + 2) + [2] * (len(TARGET) + 2)])  # [1, l]
    masks = {
        "padding: no one sees padding": (tokens, padding_mask(valid)),
        "causal & padding: only what stands before": (tokens, causal_mask(len(tokens)) & padding_mask(valid)),
        "UniLM: source whole, target up to itself": (tokens, unilm_mask(parts, valid)),
        "packed: two texts in one row": (packed, packed_mask(documents)),
    }
    finding = "Four masks over one pair; bright: the query (row) sees the key (column)"
    with work.figure("masks", finding, rows=2, columns=2, size=(10.5, 10.5)) as (_, axes):
        for axis, (title, (names, mask)) in zip(axes.flat, masks.items(), strict=True):
            token_grid(axis, mask.bool.expand([1, 1, len(names), len(names)]).numpy()[0, 0].astype(float), names, vmin=0, vmax=1)
            axis.set_title(title)


def _draw_forms(work: Work[UniLMSettings], forms: dict[str, Any]) -> None:
    import paddle

    from shared.masks import unilm_mask

    from .figures import token_grid

    tokens, segments, real = _pair((SOURCE, TARGET), PADDING)
    parts, valid = paddle.to_tensor(segments[None]), paddle.to_tensor(real[None])  # [1, l] each
    sums = unilm_mask(parts, paddle.ones_like(valid)).bool.numpy()[0, 0]  # [l, l]
    older = product_form(segments[None])[0]  # [l, l]
    either = (sums + 2 * older, (sums & real) + 2 * (older & real))  # [l, l] each: 0 none, 1 sums, 2 product, 3 both
    finding = f"Both forms of the UniLM mask say the same of real tokens ({forms['agree']:,} of {forms['cells']:,} cells); they differ at padding"
    with work.figure("forms", finding, columns=2, size=(11, 5.6)) as (_, axes):
        for axis, values, title in zip(axes[0], either, ("as they are", "padding hidden (its own rows are read by no one)"), strict=True):
            token_grid(axis, values.astype(float), tokens, vmin=0, vmax=3)
            for (row, column), value in np.ndenumerate(values):
                if value in (1, 2):
                    axis.text(column, row, "ΣP"[value - 1], ha="center", va="center", color="white", fontsize=9)
            differ = int(((values == 1) | (values == 2)).sum())
            axis.set_title(f"{title}: {differ} cells differ\nbright: both see; Σ: cumulative sum alone; P: product alone", fontsize=10)


def _draw_moved(work: Work[UniLMSettings], moved: dict[str, dict[str, Any]]) -> None:
    from .figures import bars, logarithmic, stroke

    kinds = [kind.replace("_", "\n").replace("+", " +\n") for kind in moved]
    noise, far = max(row[NEW]["largest"] for row in moved.values()), min(row[PLAIN]["largest"] for row in moved.values())
    finding = f"A target moves no source state by more than {noise:.0e} under the UniLM mask, and by {far:.1f} or more under a bidirectional one"
    with work.figure("invariance", finding, rows=2, size=(10.5, 8)) as (_, axes):
        for number, name in enumerate((PLAIN, NEW)):
            values = [max(row[name]["largest"], 1e-9) for row in moved.values()]
            axes[0, 0].plot(kinds, values, label=name, **{**stroke(number), "linestyle": "", "markersize": 9})
        logarithmic(axes[0, 0].yaxis)
        axes[0, 0].set(ylabel="largest change of a source state", ylim=(5e-10, 1e3), title="states (1e-9 stands for 0)")
        axes[0, 0].legend(loc="center right")
        bars(axes[1, 0], kinds, {name: [row[name]["cosine"] for row in moved.values()] for name in (PLAIN, NEW)}, digits=3)
        axes[1, 0].set(ylabel="least cosine, with and without target", ylim=(0, 1.3), title="[CLS]")
        axes[1, 0].legend(loc="upper right", ncols=2)


def _draw_times(work: Work[UniLMSettings], cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Draws medians and ratios by target, and returns them with their exponents, one entry a batch, beam and search."""
    from .figures import exponent, power_lines

    settings, found = work.settings, {}
    for batch in settings.batches:
        for beam in settings.beams:
            own = [cells[f"batch-{batch}-beam-{beam}-target-{target}"]["seconds"] for target in settings.targets]
            ms = {name: [1e3 * float(np.median(cell[name])) / batch for cell in own] for name in own[0]}
            for name, values in ms.items():
                # of each repetition by itself: a busy moment strikes both
                ratios = [float(np.median(np.array(cell[UNCACHED]) / np.array(cell[name]))) for cell in own]
                row = {"batch": batch, "beam": beam, "search": name, "ms": values, "ratios": ratios}
                powers = {"exponent": exponent(settings.targets, values), "of_ratio": exponent(settings.targets, ratios)}
                found[f"{batch} {beam} {name}"] = {**row, **powers}
    finding = f"A search takes tokens to the power {_span(found, UNCACHED)} in time uncached, {_span(found, 'eager')} cached (eager)"
    columns = len(settings.batches) * len(settings.beams)
    with work.figure("time", finding, rows=2, columns=columns, size=(max(3.4 * columns, 7), 8)) as (_, axes):
        groups = [(batch, beam) for batch in settings.batches for beam in settings.beams]
        for column, (batch, beam) in enumerate(groups):
            rows = {row["search"]: row for row in found.values() if (row["batch"], row["beam"]) == (batch, beam)}
            power_lines(axes[0, column], settings.targets, {name: row["ms"] for name, row in rows.items()})
            power_lines(axes[1, column], settings.targets, {name: row["ratios"] for name, row in rows.items() if name != UNCACHED}, first=1)
            axes[0, column].set(title=f"batch {batch}, beam {beam}", ylabel="ms a sequence" if column == 0 else "")
            axes[1, column].set(ylabel="times as fast as uncached" if column == 0 else "", xlabel="tokens written")
            for axis in axes[:, column]:
                axis.margins(y=0.4)
    return found


def _passed(settings: UniLMSettings, *, cached: bool) -> float:
    """The exponent, by tokens written, of the tokens that pass through the encoder for a sequence: source and prefix at every step, or each once."""
    from .figures import exponent

    s, passed = settings.source_tokens, [t if cached else sum(range(t)) for t in settings.targets]
    return exponent(settings.targets, [s + count if cached else s * t + count for t, count in zip(settings.targets, passed, strict=True)])


def _span(found: dict[str, dict[str, Any]], search: str) -> str:
    powers = [row["exponent"] for row in found.values() if row["search"] == search]
    return f"{min(powers):.2f} to {max(powers):.2f}"


LAB = Lab(
    UniLMSettings,
    {"configurations": 1, "random_pairs": 50, "kinds": ["dot_product", "random"], "hidden_size": 32, "num_layers": 1, "words": 100,
     "source_tokens": 8, "targets": [2, 4, 8], "batches": [1], "beams": [1, 2], "engines": ["eager"], "repeats": 1},
    run,
)  # fmt: skip
