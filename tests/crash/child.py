"""Runs ``lic`` again and again in new processes that need not import paddle: each is forked off before anything was computed.

``python child.py``: one JSON object a line on standard input, one on standard output. Asked: ``place`` (where to work), ``arguments`` of
lic, and perhaps ``toy`` (train that layer instead of a track's model), ``signals`` and ``full_from`` (see points.py), ``kill_after``
(seconds from when the child is ready), ``clock`` (seed of one that jumps). Told: ``code`` or ``signal`` of the end, ``err``, ``points``
(how many were passed; None of a killed one), ``kept`` (step of the last checkpoint that was announced), ``seconds`` since it was ready.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import select
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TOY = (
    *("encoder.dropout=0.1", "training.epochs=3", "training.batch_tokens=40", "training.accumulation=2", "training.learning_rate=0.05"),
    *("training.head_learning_rate=0.05", "training.replacement_rows=0.5", "training.rdrop=1.0", "training.ema_decay=0.5"),
    *("training.checkpoint_steps=2", "training.checkpoints_kept=2"),
)
WORDS, WIDTH, ROWS = 24, 8, 26


def toy_training(settings: Any) -> Any:
    """A training of a layer that learns which word answers which: dropout, replaced words, two passes, parts, averages, as in a track's model."""
    import numpy as np
    import paddle
    import paddle.nn.functional as F
    from paddle import nn

    from pipelines.train_setup import loop_settings
    from shared.dropout import dropout
    from shared.features.batches import pad
    from shared.losses import softmax_divergence
    from shared.training.loop import Training

    paddle.seed(settings.seed)

    class Toy(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, WIDTH)
            self.inner = nn.Linear(WIDTH, WIDTH)
            self.out = nn.Linear(WIDTH, WORDS)

        def divisors(self, batch: Any) -> dict[str, float]:
            return {"words": float(batch["lengths"].sum())}

        def examine(self, batch: Any, divisors: Any = None) -> tuple[Any, Any]:
            embedded = dropout(self.embedding(paddle.to_tensor(batch["ids"])), 0.1, self.training)  # [b, l, w]
            logits = self.out(dropout(F.gelu(self.inner(embedded)), 0.1, self.training))  # [b, l, v]
            each = F.cross_entropy(logits, paddle.to_tensor(batch["answers"]), reduction="none").squeeze(-1)  # [b, l]
            return self._mean(each, batch, divisors), logits  # [], [b, l, v]

        def divergence(self, first: Any, second: Any, batch: Any, divisors: Any = None) -> Any:
            return self._mean(softmax_divergence(first, second), batch, divisors)  # []

        def _mean(self, each: Any, batch: Any, divisors: Any) -> Any:
            real = (np.arange(each.shape[1]) < batch["lengths"][:, None]).astype(np.float32)  # [b, l]
            return (each * paddle.to_tensor(real)).sum() / (self.divisors(batch) if divisors is None else divisors)["words"]  # []

        def loss(self, batch: Any, divisors: Any = None) -> Any:
            return self.examine(batch, divisors)[0]  # []

        def replaceable(self, batch: Any) -> tuple[Any, Any]:
            real = np.arange(batch["ids"].shape[1]) < batch["lengths"][:, None]  # [b, l]
            return real.astype(np.int64), batch["lengths"]  # [b, l], [b]

    layer, draws = Toy(), np.random.default_rng(settings.seed)
    texts = [draws.integers(1, WORDS, length) for length in draws.integers(3, 9, ROWS)]

    def collate(rows: Any, *, epoch: int) -> Any:
        ids = pad([texts[row] for row in rows])  # [b, l]
        return {"ids": ids, "answers": (7 * ids + 3) % WORDS, "lengths": np.array([len(texts[row]) for row in rows])}

    def evaluate() -> tuple[dict[str, float], float]:
        batch = collate(np.arange(ROWS), epoch=0)
        right = layer.examine(batch)[1].numpy().argmax(axis=-1) == batch["answers"]  # [b, l]
        score = float(right[np.arange(right.shape[1]) < batch["lengths"][:, None]].mean())
        return {"f1": score}, score

    lengths = np.array([len(text) for text in texts])  # [n]
    return Training(layer, lengths=lengths, collate=collate, evaluate=evaluate, settings=loop_settings(settings))


def put_toy_in() -> None:
    """What ``lic train`` opens, describes and draws becomes small; what it keeps, how, and how it goes on stay what they are."""
    import tomli_w

    from pipelines import curves, train, train_setup
    from shared.backbone import BackboneConfig
    from shared.files import atomic_write, write_text
    from shared.training import throughput
    from tasks.recipe import load_recipe
    from tasks.registry import get_task

    recipe = load_recipe(get_task("event").recipes, "quick", TOY)
    sizes = BackboneConfig(vocab_size=WORDS, hidden_size=WIDTH, num_layers=1, num_heads=1, intermediate_size=WIDTH)
    encoder = SimpleNamespace(backbone=SimpleNamespace(config=sizes, parameters=list))

    def prepare(opened: Any, **options: Any) -> Any:
        training = toy_training(recipe.training)
        training.layer.backbone = encoder.backbone
        return train_setup.Prepared(opened, encoder, training.layer, training, ROWS, ROWS)  # type: ignore[arg-type]

    def describe(target: Path, *rest: Any) -> None:
        config = {"run": {"track": "event", "data": {"folder": "none"}}, "recipe": recipe.as_dict()}
        write_text(target / "config.toml", tomli_w.dumps(config))

    def draw(folder: Path) -> Path:
        with atomic_write(folder / "curves.png") as file:
            file.write((folder / "metrics.jsonl").read_bytes())
        return folder / "curves.png"

    train._opened = lambda *rest, **options: SimpleNamespace(recipe=recipe, task=get_task("event"))  # type: ignore[assignment]
    train._describe = describe
    train_setup.prepare = prepare  # type: ignore[assignment]
    curves.draw_curves = draw  # type: ignore[assignment]
    throughput.matmul_peak = lambda *rest, **options: 1e9  # type: ignore[assignment]


def announce(file: Any) -> None:
    """Writes a line to ``file`` after each checkpoint that was committed."""
    from pipelines.train_run import Driver

    keep = Driver.keep

    def kept(self: Any) -> None:
        keep(self)
        os.write(file.fileno(), f"kept {self.training.progress.step}\n".encode())

    Driver.keep = kept  # type: ignore[method-assign]


def make_clock_jump(seed: int) -> None:
    """Both clocks leap, back and forth, by up to days at a time."""
    draws = random.Random(seed)

    def jumping(clock: Any) -> Any:
        offset = 0.0

        def read() -> float:
            nonlocal offset
            if draws.random() < 0.3:
                offset = draws.choice([-1, 1]) * 10 ** draws.uniform(-3, 5.5)
            return float(clock()) + offset

        return read

    time.time, time.monotonic, time.perf_counter = (jumping(clock) for clock in (time.time, time.monotonic, time.perf_counter))


def child(asked: dict[str, Any], reports: Path, ready: int) -> None:
    """One command in this new process; does not return."""
    from points import Points

    from pipelines.cli import run

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(reports / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(asked["place"])
    signals = {int(number): value for number, value in asked.get("signals", {}).items()}
    points = Points(Path(asked["place"]), signals=signals, full_from=asked.get("full_from"))
    if asked.get("toy"):
        put_toy_in()
    announce(open(reports / "kept", "wb", buffering=0))  # noqa: SIM115
    if "clock" in asked:
        make_clock_jump(asked["clock"])
    if "chunk_bytes" in asked:
        from tasks import chunks

        chunks.CHUNK_BYTES = asked["chunk_bytes"]
    points.install()
    os.write(ready, b"ready")
    code = run(asked["arguments"])
    sys.stdout.flush()
    descriptor = os.open(reports / "points", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(descriptor, json.dumps(points.seen).encode())
    os._exit(code)


def serve_one(asked: dict[str, Any], reports: Path) -> dict[str, Any]:
    """Forks a child for one command and waits for its end."""
    for path in reports.iterdir():
        path.unlink()
    reading, ready = os.pipe()
    number = os.fork()
    if not number:
        try:
            child(asked, reports, ready)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(99)
    os.close(ready)
    os.read(reading, 5)
    os.close(reading)
    began = time.monotonic()
    watch = os.pidfd_open(number)
    patience = asked.get("kill_after", 100.0)
    if not select.select([watch], [], [], patience)[0]:
        os.kill(number, signal.SIGKILL)
    status = os.waitpid(number, 0)[1]
    os.close(watch)
    signalled = os.WIFSIGNALED(status)
    kept = (reports / "kept").read_text().split() if (reports / "kept").exists() else []
    return {
        "code": None if signalled else os.WEXITSTATUS(status),
        "signal": os.WTERMSIG(status) if signalled else None,
        "out": (reports / "out").read_text(encoding="utf-8"),
        "err": (reports / "err").read_text(encoding="utf-8"),
        "points": json.loads((reports / "points").read_text()) if (reports / "points").exists() else None,
        "kept": int(kept[-1]) if kept else None,
        "seconds": time.monotonic() - began,
    }


def main() -> None:
    reports = Path(sys.argv[1])
    os.environ["LIC_THREADS"] = "1"
    from shared import environment

    environment.prepare()
    environment.import_paddle()
    import pipelines
    import shared
    import tasks

    for package in (shared, tasks, pipelines):  # all of it now: no child imports code that changed since
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for line in sys.stdin:
        print(json.dumps(serve_one(json.loads(line), reports)), flush=True)


if __name__ == "__main__":
    main()
