"""``lic bench components``: what attention kinds and remedies against exposure bias cost, beside a plain encoder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Annotated, Any

import typer

MIXTURES = ("random+dot_product", "dense+dot_product")
PENALTIES = ("one_sided", "central", "exact")


def components(
    *,
    hidden_size: int = 384,
    num_layers: int = 6,
    num_heads: int = 12,
    length: int = 128,
    rows: int = 8,
    repeats: int = 7,
    kinds: Sequence[str] | None = None,
    remedies: bool = True,
) -> dict[str, Any]:
    """Milliseconds of a forward pass and of a training step (forward, backward, AdamW) for every attention kind and gradient-penalty form.

    ``kinds``: these alone, the first of which is what ratios are to; ``remedies=False`` leaves out replacement, FGM and penalties.

    One run: every repetition runs every candidate once, in turn, so that a busy moment of the machine strikes all alike; figures are
    medians, ratios are to the plain encoder with dot-product attention. ``difference``: how far a first-order form's penalty gradient is from
    the exact one. Encoders are new, without dropout, over random tokens [rows,
    length] of which the second half is the target under the UniLM mask. Raises ValueError for sizes that cannot make an encoder.
    """
    from shared.environment import import_paddle, prepare

    if rows < 1 or repeats < 1 or length < 4:
        raise ValueError(f"rows is {rows}, repeats {repeats} and length {length}; give at least 1, 1 and 4")
    machine = prepare()
    import_paddle()
    import paddle

    from shared.attention import kind_names

    sizes = {"hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "length": length}
    candidates = [_attention(kind, rows, sizes) for kind in kinds or (*kind_names(), *MIXTURES)]
    if remedies:
        candidates += [_replacement(rows, sizes), _fgm(rows, sizes)] + [_penalty(form, rows, sizes) for form in PENALTIES]
    seconds: list[tuple[list[float], list[float]]] = [([], []) for _ in candidates]
    for _ in range(repeats + 1):  # the first one warms up
        for (forward, step), candidate in zip(seconds, candidates, strict=True):
            forward.append(_timed(candidate["forward"]))
            step.append(_timed(candidate["step"]))
    result = []
    differences = _differences(rows, sizes) if remedies else {}
    plain = [statistics.median(spent[1:]) for spent in seconds[0]]
    for (forward, step), candidate in zip(seconds, candidates, strict=True):
        medians = [statistics.median(spent[1:]) for spent in (forward, step)]
        result.append(
            {
                "name": candidate["name"],
                "parameters": candidate["parameters"],
                "forward_ms": medians[0] * 1000,
                "forward_ratio": medians[0] / plain[0],
                "step_ms": medians[1] * 1000,
                "step_ratio": medians[1] / plain[1],
                "difference": differences.get(candidate["name"]),
            }
        )
    return {**sizes, "rows": rows, "repeats": repeats, "processor": machine.processor, "paddle": paddle.__version__, "candidates": result}


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _model(rows: int, sizes: dict[str, int], **changes: Any) -> tuple[Any, Any, Any, Any]:
    """A model, its optimizer, and a batch of ids and segment ids [rows, length]."""
    import paddle

    from shared.backbone import Backbone, BackboneConfig
    from shared.unilm import UniLM

    paddle.seed(0)
    config = BackboneConfig(
        vocab_size=2000,
        hidden_size=sizes["hidden_size"],
        num_layers=sizes["num_layers"],
        num_heads=sizes["num_heads"],
        intermediate_size=4 * sizes["hidden_size"],
        max_positions=sizes["length"],
        dropout=0.0,
        attention_dropout=0.0,
        **changes,
    )
    model = UniLM(Backbone(config))
    optimizer = paddle.optimizer.AdamW(learning_rate=1e-4, parameters=model.parameters())
    ids = paddle.randint(5, 2000, [rows, sizes["length"]])  # [b, l]
    segments = (paddle.arange(sizes["length"]) >= sizes["length"] // 2).astype("int64").unsqueeze(0).expand([rows, -1])  # [b, l]
    return model, optimizer, ids, segments


def _candidate(name: str, parts: tuple[Any, Any, Any, Any], backward: Callable[[], Any]) -> dict[str, Any]:
    """``backward`` leaves gradients behind; forward is the same for all: hidden states without gradients."""
    import paddle

    model, optimizer, ids, segments = parts

    def forward() -> None:
        model.eval()
        with paddle.no_grad():
            float(model.hidden(ids, segments).mean())

    def step() -> None:
        model.train()
        backward()
        optimizer.step()
        optimizer.clear_grad()

    parameters = sum(int(value.size) for value in model.backbone.blocks.parameters())
    return {"name": name, "forward": forward, "step": step, "parameters": parameters}


def _attention(kind: str, rows: int, sizes: dict[str, int]) -> dict[str, Any]:
    parts = _model(rows, sizes, attention=kind)
    model, _, ids, segments = parts
    return _candidate(kind, parts, lambda: model.loss(ids, segments).backward())


def _replacement(rows: int, sizes: dict[str, int]) -> dict[str, Any]:
    import paddle

    from shared.robust import RandomReplacement

    parts = _model(rows, sizes)
    model, _, ids, segments = parts
    replace = RandomReplacement()
    plain, plain_segments = ids.numpy(), segments.numpy()
    steps = count(1)

    def backward() -> None:
        inputs = paddle.to_tensor(replace(plain, plain_segments, step=next(steps)))  # [b, l]
        model.loss(ids, segments, inputs=inputs).backward()

    return _candidate("random replacement", parts, backward)


def _fgm(rows: int, sizes: dict[str, int]) -> dict[str, Any]:
    from shared.robust import FGM

    parts = _model(rows, sizes)
    model, optimizer, ids, segments = parts

    def backward() -> None:
        model.loss(ids, segments).backward()
        with FGM(model.backbone.embeddings.token.weight):
            optimizer.clear_grad()
            model.loss(ids, segments).backward()

    return _candidate("FGM", parts, backward)


def _penalty(form: str, rows: int, sizes: dict[str, int]) -> dict[str, Any]:
    from shared.robust import penalised_backward

    parts = _model(rows, sizes, double_backward=form == "exact")
    model, _, ids, segments = parts
    embedding, weights = model.backbone.embeddings.token, model.parameters()

    def backward() -> None:
        penalised_backward(lambda: model.loss(ids, segments), embedding, form=form, parameters=weights)

    return _candidate(_penalty_name(form), parts, backward)


def _penalty_name(form: str) -> str:
    return f"gradient penalty, {form}"


def _differences(rows: int, sizes: dict[str, int]) -> dict[str, float]:
    """How far the penalty's own gradient is from the exact form's, over all parameters: length of the difference by length of the exact one."""
    import numpy as np

    from shared.robust import penalised_backward

    found = {}
    for form in (None, *PENALTIES):
        model, _, ids, segments = _model(rows, sizes, double_backward=form == "exact")
        model.eval()
        if form is None:
            model.loss(ids, segments).backward()
        else:
            penalised_backward(
                partial(model.loss, ids, segments), model.backbone.embeddings.token, form=form, parameters=model.parameters()
            )
        found[form] = np.concatenate([value.grad.numpy().ravel() for value in model.parameters() if value.grad is not None])
    exact = found["exact"] - found[None]
    return {
        _penalty_name(form): float(np.linalg.norm(found[form] - found[None] - exact) / np.linalg.norm(exact))
        for form in PENALTIES
        if form != "exact"
    }


def command(
    hidden_size: Annotated[int, typer.Option(min=1, help="width of the encoder")] = 384,
    num_layers: Annotated[int, typer.Option("--layers", min=1, help="blocks")] = 6,
    num_heads: Annotated[int, typer.Option("--heads", min=1, help="heads of a block")] = 12,
    length: Annotated[int, typer.Option(min=4, help="tokens of a row")] = 128,
    rows: Annotated[int, typer.Option(min=1, help="rows of a batch")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="repetitions of every candidate, in turn")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Attention kinds and remedies against exposure bias: time of a forward pass and of a training step."""
    from shared.errors import input_error

    from .console import emit_json, table

    try:
        report = components(
            hidden_size=hidden_size, num_layers=num_layers, num_heads=num_heads, length=length, rows=rows, repeats=repeats
        )
    except ValueError as error:
        raise input_error("LIC-B006", found=str(error), expected="sizes of an encoder", remedy="Correct the option.") from error
    if as_json:
        emit_json(report)
        return
    cells = [
        [
            row["name"],
            f"{row['parameters']:,}",
            f"{row['forward_ms']:.1f}",
            f"{row['forward_ratio']:.2f}",
            f"{row['step_ms']:.1f}",
            f"{row['step_ratio']:.2f}",
            "" if row["difference"] is None else f"{row['difference']:.1e}",
        ]
        for row in report["candidates"]
    ]
    size = f"{report['num_layers']} layers of {report['hidden_size']}, {report['rows']} x {report['length']} tokens"
    title = f"{size}, median of {report['repeats']}, {report['processor']}, paddle {report['paddle']}"
    table(title, ["candidate", "block weights", "forward ms", "ratio", "step ms", "ratio", "off by"], cells)
