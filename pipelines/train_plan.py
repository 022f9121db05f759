"""``lic train --dry-run``: what a training would do and need, from the data and one real step, with nothing written but features."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import emit_json, say, table

if TYPE_CHECKING:
    from shared.training.loop import Training


def plan(
    track: str,
    *,
    data: Path | None = None,
    recipe: str = "default",
    overrides: tuple[str, ...] = (),
    device: str = "auto",
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Steps, tokens, parameters, a memory estimate, and loss and time of the largest step, computed once forward and backward.

    ``memory_mib``: ``weights``, ``optimizer`` and ``checkpoint`` from the numbers of parameters, ``step`` how much the resident memory grew in that
    step (on a GPU: paddle's own peak). ``minutes``: all steps at the speed of two steps of the usual size, without evaluations.
    """
    from shared.training.parallel import Ranks

    from .data_files import open_labelled
    from .device import choose_device
    from .train_setup import prepare

    chosen = choose_device(device)
    opened = open_labelled(track, data=data, recipe=recipe, overrides=overrides, skip_bad=skip_bad)
    prepared = prepare(opened, ranks=Ranks(), fold=None, quiet=True)
    about = {"track": track, "recipe": recipe, "device": chosen, "records": prepared.records, "windows": prepared.windows}
    return about | plan_of(prepared.training, chosen)


def plan_of(training: Training, device: str) -> dict[str, Any]:
    """The figures of :func:`plan` that a training has by itself, at its first step."""
    import numpy as np

    order, lengths = training.order, training.order.lengths
    batches = [order.batch(index) for index in range(order.steps_before[1])]
    padded = np.asarray([int(lengths[rows].max()) * len(rows) for rows in batches])  # [steps]
    largest, usual = int(padded.argmax()), int(np.argsort(padded)[len(padded) // 2])
    before = _resident_mib(device)
    loss, first = _measure(training, batches[largest])
    grown = max(0.0, _resident_mib(device, peak=True) - before)
    seconds = min(_measure(training, batches[usual])[1] for _ in range(2))
    trained = sum(int(parameter.size) for parameter in training.parameters)
    every = sum(int(parameter.size) for parameter in training.layer.parameters())
    averages = trained if training.ema is not None else 0
    mib = 4 / 2**20
    return {
        "epochs": training.settings.epochs,
        "steps": order.total_steps,
        "evaluations": len(training.evaluations),
        "tokens_an_epoch": int(lengths.sum()),
        "padding": 1.0 - float(lengths.sum()) / float(padded.sum()),
        "parameters": every,
        "trained_parameters": trained,
        "memory_mib": {
            "weights": every * mib,
            "optimizer": (2 * trained + averages) * mib,
            "step": grown,
            "checkpoint": (every + 2 * trained + averages) * mib,
        },
        "largest_step": {"rows": len(batches[largest]), "padded_tokens": int(padded[largest]), "loss": loss, "seconds": first},
        "minutes": seconds * order.total_steps / 60,
    }


def _measure(training: Any, rows: Any) -> tuple[float, float]:
    """Loss and seconds of one step's gradient, which is then thrown away."""
    from shared.training.loop import seed_everything

    seed_everything(training.settings.seed, 0)
    training.layer.train()
    began = time.perf_counter()
    found = training.gradients.of(training.parts(rows, epoch=0), step=0)
    spent = time.perf_counter() - began
    training.optimizer.clear_grad()
    gc.collect()
    return found["loss"], spent


def _resident_mib(device: str, *, peak: bool = False) -> float:
    if device != "cpu":
        import paddle

        used: int = paddle.device.cuda.max_memory_allocated() if peak else paddle.device.cuda.memory_allocated()
        return used / 2**20
    from .memory import peak_memory_mib, resident_memory_mib

    return float(peak_memory_mib() or 0) if peak else resident_memory_mib()


def show_plan(track: str, *, json: bool, **options: Any) -> None:
    """The plan as a table, or as one JSON object."""
    show_report(plan(track, **options), f"lic train {track}", json=json)


def show_report(report: dict[str, Any], command: str, *, json: bool) -> None:
    """What :func:`plan` gives, under the command's name."""
    if json:
        emit_json(report)
        return
    memory, step = report["memory_mib"], report["largest_step"]
    rows = [
        ["data", f"{report['records']:,} records in {report['windows']:,} windows, {report['tokens_an_epoch']:,} tokens an epoch"],
        ["steps", f"{report['steps']:,} in {report['epochs']:g} epochs, {report['evaluations']} evaluations; padding {report['padding']:.1%}"],
        ["parameters", f"{report['parameters'] / 1e6:.1f} M, of which {report['trained_parameters'] / 1e6:.1f} M learn"],
        ["memory", f"weights {memory['weights']:,.0f} MiB, optimizer {memory['optimizer']:,.0f}, largest step {memory['step']:,.0f}"],
        ["a checkpoint", f"{memory['checkpoint']:,.0f} MiB on disk"],
        ["largest step", f"{step['rows']} rows, {step['padded_tokens']:,} padded tokens: loss {step['loss']:.4f} in {step['seconds']:.2f} s"],
        ["time", f"about {report['minutes']:,.1f} minutes on {report['device']}, without evaluations"],
    ]
    table(f"{command} --recipe {report['recipe']}: the plan", ["what", "how much"], rows)
    say("nothing was trained and no run folder was made")
