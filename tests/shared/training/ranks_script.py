"""What every process of test_parallel.py does: ``ranks_script.py FOLDER`` under ``paddle.distributed.launch``, or :func:`run` in one process.

Each scenario trains the toy tagger and leaves ``NAME-RANK.json`` (figures) and ``NAME-RANK.safetensors`` (weights) in FOLDER.
"""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import paddle

if __name__ == "__main__":
    import toy
else:
    from . import toy

from shared.errors import WorkError
from shared.training.checkpoint import save_arrays
from shared.training.loop import Step
from shared.training.parallel import join, launched_world
from shared.training.run_state import capture, restore
from shared.training.snapshots import newest_snapshot, save_snapshot

STOP = 9
"""Events after which a run of the resume scenarios is stopped."""
EVERYTHING = {"optimizer": "adax_w", "ema_decay": 0.9, "accumulation": 2, "replacement_rows": 0.5, "rdrop": 0.3, "fgm_epsilon": 0.3}
TRAININGS = {
    "plain": {"epochs": 3.0},
    "uneven": {"epochs": 1.0, "batch_tokens": 18},  # steps of one row up to nine
    "fgm": {"fgm_epsilon": 0.5, "batch_tokens": 30, "epochs": 1.5},
    "central": {"penalty_epsilon": 0.5, "epochs": 3.0},
    "one_sided": {"penalty_epsilon": 0.5, "penalty_form": "one_sided", "epochs": 3.0},
    "accumulation": {"accumulation": 2, "batch_tokens": 30, "epochs": 1.5},
    "averages": {"ema_decay": 0.9, "optimizer": "adax_w", "epochs": 3.0},
    "rdrop": {"rdrop": 0.5, "epochs": 3.0},
    "rare": {"batch_tokens": 12, "epochs": 0.8},
    "taught": {"teacher_weight": 0.7, "epochs": 3.0},
}
"""Without dropout, so that the numbers of processes can be compared."""


def training(ranks, *, layer=None, collate=toy.collate, rows=None, **changes):
    layer = layer or toy.Tagger()

    def noted(chosen, *, epoch):
        if rows is not None:
            rows.append([epoch, *map(int, chosen)])
        return collate(chosen, epoch=epoch)

    def evaluate():
        """Losses of the texts, each rank its own, merged."""
        own = range(ranks.rank, len(toy.LENGTHS), ranks.world)
        with paddle.no_grad():
            merged = ranks.merge([[row, float(layer.loss(toy.collate([row], epoch=0)))] for row in own])
        assert [row for row, _ in merged] == list(range(len(toy.LENGTHS)))
        return {"losses": [loss for _, loss in merged]}, -sum(loss for _, loss in merged)

    made = toy.training(layer, evaluate=False, ranks=ranks, collate=noted, **changes)
    made._evaluate = evaluate
    made.evaluations = frozenset(made.order.evaluation_steps(made.settings.evaluations_per_epoch))
    return made


def said(events):
    return {
        "losses": [event.loss for event in events if isinstance(event, Step)],
        "norms": [event.grad_norm for event in events if isinstance(event, Step)],
        "tokens": [event.tokens for event in events if isinstance(event, Step)],
        "extra": [dict(event.extra) for event in events if isinstance(event, Step)],
        "scores": [event.scores["losses"] for event in events if not isinstance(event, Step)],
    }


def leave(folder, name, ranks, made, **figures):
    with made.averages():
        save_arrays(folder / f"{name}-{ranks.rank}.safetensors", toy.weights_of(made.layer))
    (folder / f"{name}-{ranks.rank}.json").write_text(json.dumps(figures))


def run(folder, ranks):
    """The trainings that one process and two can be compared in."""
    for name, changes in TRAININGS.items():
        rows = []
        teachers = toy.teachers() if name == "taught" else None
        made = training(ranks, layer=toy.Tagger(rare=name == "rare"), rows=rows, teachers=teachers, **changes)
        leave(folder, name, ranks, made, **said(list(made.run())), rows=rows)


def resume(folder, ranks):
    """Stopped and gone on with as many processes, and from a checkpoint that one process wrote into ``one``."""

    def noisy():
        return training(ranks, layer=toy.Tagger(dropout=0.3, draws=True, rare=True), **EVERYTHING)

    straight = noisy()
    leave(folder, "straight", ranks, straight, **said(list(straight.run())))
    stopped, events = noisy(), []
    for event in stopped.run():
        events.append(event)
        if len(events) == STOP:
            break
    if ranks.first:
        save_snapshot(folder / "two", capture(stopped), b"", keep=1)
    ranks.wait()
    found, resumed = newest_snapshot(folder / "two"), noisy()
    remarks = restore(resumed, found.state, found.folder)
    events += resumed.run()
    leave(folder, "resumed", ranks, resumed, **said(events), remarks=remarks)
    found, resumed = newest_snapshot(folder / "one"), training(ranks)
    remarks = restore(resumed, found.state, found.folder)
    leave(folder, "widened", ranks, resumed, **said(list(resumed.run())), remarks=remarks)


def meet(folder, ranks):
    """The meetings themselves, on numbers that are known."""
    layer = toy.Tagger(rare=True).to(dtype="float32")
    half = paddle.nn.Linear(2, 2).to(dtype="bfloat16")
    first, second, nowhere, own = layer.embedding.weight, layer.out.weight, layer.out.bias, layer.bias
    first.grad = paddle.full(first.shape, 1.0 + ranks.rank)
    if not ranks.first:
        own.grad = paddle.full(own.shape, 5.0)
        (half.weight * 1.0).sum().backward()
    if ranks.first:
        second.grad = paddle.full(second.shape, 0.25)
    ranks.sum_gradients([first, second, nowhere, own, half.weight])
    figures = {
        "gradients": [None if value.grad is None else sorted(set(value.grad.numpy().ravel().tolist())) for value in (first, second, nowhere, own)],
        "half": [str(half.weight.grad.dtype), half.weight.grad.numpy().ravel().tolist()],
        "numbers": ranks.sum_numbers([0.1, float(ranks.rank), 2.0**53, math.nan]),
        "gathered": ranks.gather({"rank": ranks.rank, "text": "甲" * (1 + 100 * ranks.rank)}),
        "merged": ranks.merge([f"{ranks.rank}{at}" for at in range(3 - ranks.rank)]),
        "empty": ranks.merge([]),
        "world": [ranks.rank, ranks.world, ranks.first, launched_world(), join() == ranks],
    }
    paddle.seed(50 + ranks.rank)
    other = paddle.nn.Sequential(paddle.nn.Linear(3, 2), paddle.nn.BatchNorm1D(2))
    figures["before"] = other[0].weight.numpy().tolist()
    ranks.share_weights(other)
    figures["shared"] = other[0].weight.numpy().tolist()
    (folder / f"meetings-{ranks.rank}.json").write_text(json.dumps(figures))


def diverge(folder, ranks):
    """A text without a loss, which one process sees: all stop at the same step, and none waits for another."""

    class Broken(toy.Tagger):
        def examine(self, batch, divisors=None):
            loss, scores = super().examine(batch, divisors)
            return loss * (math.nan if 17 in batch["rows"] else 1.0), scores

    found = {}
    for name in ("plain", "fgm", "central", "one_sided"):
        made, steps = training(ranks, layer=Broken(), **TRAININGS[name]), []
        try:
            steps += [event.step for event in made.run()]
        except WorkError as error:
            sound = all(np.isfinite(value).all() for value in toy.weights_of(made.layer).values())
            found[name] = [error.problems[0].code, made.progress.step, bool(sound)]
    (folder / f"divergence-{ranks.rank}.json").write_text(json.dumps(found))


def main():
    folder, ranks = Path(sys.argv[1]), join()
    assert ranks.world == int(os.environ["PADDLE_TRAINERS_NUM"])
    meet(folder, ranks)
    run(folder, ranks)
    resume(folder, ranks)
    diverge(folder, ranks)


if __name__ == "__main__":
    from shared import environment

    environment.prepare()
    paddle.set_device("cpu")
    main()
