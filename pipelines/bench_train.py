"""``lic bench train``: tokens a second of a training step, beside PaddleNLP's Trainer and PyTorch, and its share of the machine's peak."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from .bench_processes import Child, bare_environment, check_peers, tuned_environment

PEERS = ("paddlenlp", "torch")
WIDTH = 256
"""Tokens of the longest text, and what the padded candidate pads to."""

_CHILD = Path(__file__).with_name("bench_train_child.py")
_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}


def training(
    event: str | Path,
    relation: str | Path,
    encoder: str | Path,
    *,
    layers: int = 6,
    batch_tokens: int = 2048,
    peer_rows: int = 8,
    tags: int = 435,
    dropout: float = 0.1,
    repeats: int = 5,
    seconds: float = 10.0,
    seed: int = 42,
    peers: Sequence[str] = PEERS,
    torch_python: str | None = None,
) -> dict[str, Any]:
    """Real and padded tokens a second of a training step: ours, PaddleNLP's in three ways, PyTorch's in two.

    One run: every candidate is a process of its own that has warmed up, and every repetition lets each train in turn for ``seconds`` (and to the
    end of its step) while the others wait, so that a busy moment strikes all alike; figures are medians. All train a new BERT encoder of the
    sizes in ``encoder`` (a folder with config.json and vocab.txt) and ``layers`` blocks, one linear layer to ``tags`` and cross entropy, with
    ``dropout``, clipping and AdamW, on the texts of both files, cut at 256 tokens. Ours and PyTorch's train on the same batches of up to
    ``batch_tokens`` padded tokens; PaddleNLP's Trainer takes ``peer_rows`` texts at random.
    ``torch_python``: the interpreter that has torch, default: this one.

    ``flops_per_second`` of ours: matrix products alone, forward and twice that backward (:func:`shared.training.throughput.step_flops`), of ``real``
    tokens and of ``padded`` ones; ``share_of_peak`` divides them by the fastest product of several sizes, measured in the same process in the
    pauses of the same run.

    A peer that is not installed has a ``note`` instead of figures. Raises InputError for unreadable files, ValueError for counts below 1 or
    an unknown peer, WorkError when our own candidate fails.
    """
    from shared.environment import prepare, usable_cores

    if min(layers, batch_tokens, peer_rows, tags, repeats) < 1 or seconds <= 0:
        raise ValueError("layers, batch_tokens, peer_rows, tags, repeats and seconds must be above 0")
    unknown = sorted(set(peers) - set(PEERS))
    if unknown:
        raise ValueError(f"unknown peers {unknown}; give some of {list(PEERS)}")
    sizes = {**read_sizes(Path(encoder)), "num_layers": layers}
    machine, cores = prepare(), usable_cores()
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        settings = {
            "sizes": sizes,
            "tags": tags,
            "dropout": dropout,
            "batch_tokens": batch_tokens,
            "peer_rows": peer_rows,
            "width": min(WIDTH, sizes["max_positions"]),
            "threads": machine.threads,
            "seed": seed,
        }
        lengths = _write_work(Path(name), [Path(event), Path(relation)], Path(encoder), settings)
        candidates = [running.enter_context(Candidate(name, **one)) for one in _candidates(peers, torch_python, cores, peer_rows, batch_tokens)]
        for candidate in candidates:
            candidate.wait()
        peaks = []
        for _ in range(repeats):
            for candidate in candidates:
                candidate.train(seconds)
            peaks.append(candidates[0].ask("peak")["peak"])
        rows = [candidate.row(candidates[0]) for candidate in candidates]
        about = candidates[0].about
    return {
        "texts": len(lengths),
        "cut_texts": int((lengths == settings["width"]).sum()),
        "tokens_per_text": float(lengths.mean()),
        "encoder": sizes,
        "tags": tags,
        "dropout": dropout,
        "batch_tokens": batch_tokens,
        "peer_rows": peer_rows,
        "repeats": repeats,
        "seconds": seconds,
        "cores": cores,
        "threads": machine.threads,
        "processor": machine.processor,
        "paddle": about["version"],
        "peak_gflops": max(peaks) / 1e9,
        "share_of_peak": {kind: value / max(peaks) for kind, value in rows[0]["flops_per_second"].items()},
        "rows": rows,
    }


class Candidate(Child):
    """A child process that trains when it is asked to."""

    def __init__(self, folder: str, *, name: str, child: str, python: str, environment: dict[str, str], **about: Any):
        super().__init__(_CHILD, [child, folder], name=name, python=python, environment=environment)
        self.given = about
        self.measured: list[dict[str, Any]] = []

    def train(self, seconds: float) -> None:
        if not self.note:
            self.measured.append(self.ask(f"train {seconds}"))

    def row(self, ours: Candidate) -> dict[str, Any]:
        """The figures of this candidate; ``ratio`` is our real tokens a second over its own."""
        if self.note:
            return {"name": self.name, **self.given, "note": self.note}
        speeds = sorted(one["tokens"] / one["elapsed"] for one in self.measured)
        return {
            "name": self.name,
            **self.given,
            "version": self.about["version"],
            "real_tokens_per_second": statistics.median(speeds),
            "slowest": speeds[0],
            "fastest": speeds[-1],
            "padded_tokens_per_second": statistics.median(one["padded_tokens"] / one["elapsed"] for one in self.measured),
            "steps": int(sum(one["steps"] for one in self.measured)),
            "ratio": ours.speed() / statistics.median(speeds),
            "flops_per_second": {
                kind: statistics.median(one["flops"][kind] / one["elapsed"] for one in self.measured)
                for kind in ("real", "padded")
                if "flops" in self.measured[0]
            },
        }

    def speed(self) -> float:
        median: float = statistics.median(one["tokens"] / one["elapsed"] for one in self.measured)
        return median


def _candidates(peers: Sequence[str], torch_python: str | None, cores: int, peer_rows: int, batch_tokens: int) -> list[dict[str, Any]]:
    shell, tuned = bare_environment(), tuned_environment(cores)
    texts, budget = f"{peer_rows} texts", f"{batch_tokens} tokens"

    def one(name: str, child: str, environment: dict[str, str], padding: str, batch: str, python: str = sys.executable) -> dict[str, Any]:
        return {"name": name, "child": child, "python": python, "environment": environment, "padding": padding, "batch": batch}

    found = [one("lic", "lic", dict(os.environ), "by length", budget)]
    if "paddlenlp" in peers:
        found.append(one("PaddleNLP, as installed", "paddlenlp-padded", shell, str(WIDTH), texts))
        found.append(one("PaddleNLP, threads and MKL path", "paddlenlp-padded", tuned, str(WIDTH), texts))
        found.append(one("PaddleNLP, these and short padding", "paddlenlp-short", tuned, "longest of the batch", texts))
    if "torch" in peers:
        for attention in ("sdpa", "eager"):
            found.append(one(f"PyTorch, {attention}", f"torch-{attention}", shell, "by length", budget, torch_python or sys.executable))
    return found


def read_sizes(encoder: Path) -> dict[str, int]:
    """Sizes of a BERT encoder, as :class:`BackboneConfig` names them, from the folder's config.json. Raises InputError
    (LIC-B008, LIC-B006)."""
    from shared.errors import input_error

    file = encoder / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        sizes = {ours: int(found[theirs]) for ours, theirs in _SIZES.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected, remedy = f"a BERT configuration with {', '.join(_SIZES.values())}", "Give the folder of a BERT encoder with --encoder."
        raise input_error("LIC-B008", file=file, found=f"{type(error).__name__}: {error}", expected=expected, remedy=remedy) from error
    if min(sizes.values()) < 1 or sizes["hidden_size"] % sizes["num_heads"] or sizes["max_positions"] < 3:
        expected, remedy = "sizes above 0, heads that divide the width, at least 3 positions", "Correct the configuration."
        raise input_error("LIC-B006", file=file, found=str(sizes), expected=expected, remedy=remedy)
    return sizes


def _write_work(folder: Path, files: list[Path], encoder: Path, settings: dict[str, Any]) -> Any:
    """Writes tokens, batches and settings for the children; returns the texts' lengths [texts], special tokens among them."""
    import numpy as np

    from shared.features.batches import token_budget_batches
    from shared.text import Tokenizer, Vocabulary

    from .bench import read_texts

    vocabulary = Vocabulary.from_file(encoder / "vocab.txt")
    room = settings["width"] - 2
    texts = [text for file in files for text in read_texts(file)]
    rows = [encoding.ids[:room] for encoding in Tokenizer(vocabulary).encode_batch(texts)]
    lengths = np.fromiter((len(row) + 2 for row in rows), dtype=np.int64, count=len(rows))  # [texts]
    ids = np.concatenate([part for row in rows for part in ([vocabulary.cls_id], row, [vocabulary.sep_id])]).astype(np.int64)  # [tokens]
    batches = token_budget_batches(lengths, settings["batch_tokens"], seed=settings["seed"], epoch=0)
    arrays = {
        "ids": ids,
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),  # [texts + 1]
        "batch_rows": np.concatenate(batches),  # [texts]
        "batch_bounds": np.concatenate([[0], np.cumsum([len(batch) for batch in batches])]),  # [batches + 1]
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return lengths


def _place(given: Path | None, flag: str, *parts: str) -> Path:
    """What a flag says, or its place below LIC_REAL_DATA."""
    from shared.errors import input_error

    if given is not None:
        return given
    if os.environ.get("LIC_REAL_DATA"):
        return Path(os.environ["LIC_REAL_DATA"], *parts)
    remedy = f"Give {flag}, or set LIC_REAL_DATA to the folder that holds {'/'.join(parts)}."
    raise input_error("LIC-B007", found=f"neither {flag} nor LIC_REAL_DATA", expected="texts and an encoder", remedy=remedy)


def command(
    event: Annotated[Path | None, typer.Option("--data-event", metavar="FILE", help="texts; default: event/train.json of LIC_REAL_DATA")] = None,
    relation: Annotated[
        Path | None, typer.Option("--data-relation", metavar="FILE", help="texts; default: relation/train.json of LIC_REAL_DATA")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="sizes and vocabulary; default: weights/e5-small-bertvocab-zh of LIC_REAL_DATA"),
    ] = None,
    layers: Annotated[int, typer.Option(min=1, help="blocks of the encoder")] = 6,
    batch_tokens: Annotated[int, typer.Option(min=1, help="padded tokens a batch, ours and PyTorch's")] = 2048,
    peer_rows: Annotated[int, typer.Option(min=1, help="texts a batch of PaddleNLP's Trainer")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="repetitions of every candidate, in turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="training time of a repetition; a step that has begun is finished")] = 10.0,
    peer: Annotated[list[str] | None, typer.Option(help="paddlenlp, torch or none; may be repeated; default: both")] = None,
    torch_python: Annotated[str | None, typer.Option(metavar="PATH", help="the Python that has torch and transformers; default: this one")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """A training step on real texts, tokens a second: ours, PaddleNLP's Trainer, PyTorch with Hugging Face's BERT."""
    from .console import emit_json

    report = training(
        _place(event, "--data-event", "event", "train.json"),
        _place(relation, "--data-relation", "relation", "train.json"),
        _place(encoder, "--encoder", "weights", "e5-small-bertvocab-zh"),
        layers=layers,
        batch_tokens=batch_tokens,
        peer_rows=peer_rows,
        repeats=repeats,
        seconds=seconds,
        peers=check_peers(peer, PEERS),
        torch_python=torch_python,
    )
    if as_json:
        emit_json(report)
        return
    _show(report)


def _show(report: dict[str, Any]) -> None:
    from .console import table

    rows = []
    for row in report["rows"]:
        if "note" in row:
            rows.append([row["name"], row["padding"], row["batch"], row["note"], "", "", ""])
            continue
        real, slowest, fastest, padded = (
            f"{row[key]:,.0f}" for key in ("real_tokens_per_second", "slowest", "fastest", "padded_tokens_per_second")
        )
        rows.append([row["name"], row["padding"], row["batch"], real, f"{slowest} – {fastest}", padded, f"{row['ratio']:.2f}"])
    sizes, share = report["encoder"], report["share_of_peak"]
    title = (
        f"{report['texts']:,} texts of {report['tokens_per_text']:.0f} tokens; {sizes['num_layers']} layers of {sizes['hidden_size']}, "
        f"dropout {report['dropout']}; median of {report['repeats']} x {report['seconds']:g} s; {report['threads']} threads of {report['processor']}"
    )
    table(title, ["candidate", "padded to", "batch", "real tokens/s", "slowest – fastest", "padded tokens/s", "lic is so many times as fast"], rows)
    print(
        f"matrix products: peak {report['peak_gflops']:.0f} GFLOP/s in this run; lic reaches {share['padded']:.1%} of it counting padded tokens, "
        f"{share['real']:.1%} counting real ones"
    )
