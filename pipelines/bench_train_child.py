"""One candidate of ``lic bench train`` in a process of its own: trains, and times itself when it is told to.

    python bench_train_child.py NAME FOLDER

FOLDER holds what :mod:`pipelines.bench_train` wrote: the texts as tokens, the batches, the sizes. Standard output is one JSON object a line:
first what this is (or a ``note`` why it cannot be), then one a measurement. A line on standard input asks for a measurement: ``train SECONDS`` or
``peak``.
The file runs under any Python that has the peer's packages: nothing of ours is imported but by the candidate ``lic``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 8
"""Steps of several lengths before anything is timed: memory grows with each new one."""
IGNORED = -100
"""The label of a place that has no loss, in both peers."""


class Work:
    """The texts as tokens, their tags, and what the batch being trained on holds."""

    def __init__(self, folder: Path):
        self.settings: dict[str, Any] = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        self.sizes: dict[str, Any] = self.settings["sizes"]
        self.ids, self.offsets = np.load(folder / "ids.npy"), np.load(folder / "offsets.npy")  # [tokens], [texts + 1]
        self.lengths = np.diff(self.offsets)  # [texts]
        rows, bounds = np.load(folder / "batch_rows.npy"), np.load(folder / "batch_bounds.npy")  # [texts], [batches + 1]
        self.batches: list[np.ndarray] = np.split(rows, bounds[1:-1])
        self.counts: list[dict[str, int]] = []
        """One a batch made and not yet trained on: a loader may be ahead of the loop."""

    def collate(self, rows: Sequence[int] | np.ndarray, *, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Ids and tags [b, l] of the texts, padded to the longest or to ``width``; a token's tag is its id modulo the number of tags."""
        lengths = self.lengths[rows]  # [b]
        longest = int(lengths.max()) if width is None else width
        ids = np.zeros((len(lengths), longest), dtype=np.int64)  # [b, l]
        tags = np.full((len(lengths), longest), IGNORED, dtype=np.int64)  # [b, l]
        for place, row in enumerate(rows):
            ids[place, : lengths[place]] = self.ids[self.offsets[row] : self.offsets[row + 1]]
            tags[place, : lengths[place]] = ids[place, : lengths[place]] % self.settings["tags"]
        self.counts.append(
            {
                "tokens": int(lengths.sum()),
                "padded_tokens": ids.size,
                "squares": int((lengths.astype(np.int64) ** 2).sum()),
                "padded_squares": ids.size * longest,
            }
        )
        return ids, tags


class Pace:
    """Called after every step: times the steps that a command asks for, and waits for the next command."""

    def __init__(
        self,
        work: Work,
        about: dict[str, Any],
        *,
        warm_up: int = WARM_UP,
        peak: Callable[[], float] | None = None,
        flops: Callable[[dict[str, int]], dict[str, float]] | None = None,
    ):
        self.work, self.about, self.left, self.peak, self.flops = work, about, warm_up, peak, flops
        self.seconds = self.began = 0.0
        self.sums: dict[str, int] = {}

    def step(self) -> bool:
        """False when no more is asked for."""
        now = time.perf_counter()
        count = self.work.counts.pop(0)
        if self.left:
            self.left -= 1
            if self.left:
                return True
            say(self.about)
            return self._next()
        self.sums = {key: self.sums.get(key, 0) + value for key, value in {**count, "steps": 1}.items()}
        if now - self.began < self.seconds:
            return True
        more = {} if self.flops is None else {"flops": self.flops(self.sums)}
        say({**self.sums, **more, "elapsed": now - self.began})
        return self._next()

    def _next(self) -> bool:
        for line in sys.stdin:
            command, *arguments = line.split()
            if command == "peak" and self.peak is not None:
                say({"peak": self.peak()})
            elif command == "train":
                self.sums, self.seconds = {}, float(arguments[0])
                self.began = time.perf_counter()
                return True
        return False


def say(value: dict[str, Any]) -> None:
    os.write(_OUT, (json.dumps(value) + "\n").encode())


def lic(work: Work) -> None:
    """Our backbone under our loop, in the environment that the command prepares."""
    from shared.environment import import_paddle, prepare

    machine = prepare()
    import_paddle()
    import paddle
    import paddle.nn.functional as F
    from paddle import nn

    from shared.backbone import Backbone, BackboneConfig
    from shared.dropout import dropout
    from shared.linear import Linear
    from shared.training.loop import train
    from shared.training.settings import LoopSettings
    from shared.training.throughput import matmul_peak, step_flops

    sizes, rate = work.sizes, work.settings["dropout"]

    class Tagger(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Backbone(BackboneConfig(**sizes, dropout=rate, attention_dropout=rate))
            self.tags = Linear(sizes["hidden_size"], work.settings["tags"])

        def loss(self, batch: tuple[np.ndarray, np.ndarray]) -> paddle.Tensor:
            ids, tags = batch
            hidden = dropout(self.backbone(paddle.to_tensor(ids)).hidden, rate, self.training)  # [b, l, h]
            return F.cross_entropy(self.tags(hidden), paddle.to_tensor(tags), ignore_index=IGNORED)  # []

    def collate(rows: np.ndarray, *, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return work.collate(rows)

    def flops(sums: dict[str, int]) -> dict[str, float]:
        return {
            kind: step_flops(
                model.backbone.config,
                padded_tokens=sums[f"{prefix}tokens"],
                sum_of_squared_lengths=sums[f"{prefix}squares"],
                head_weights=sizes["hidden_size"] * work.settings["tags"],
            )
            for kind, prefix in (("real", ""), ("padded", "padded_"))
        }

    paddle.seed(0)
    model = Tagger()
    settings = LoopSettings(
        epochs=1,
        batch_tokens=work.settings["batch_tokens"],
        learning_rate=1e-4,
        head_learning_rate=1e-4,
        warmup=0.1,
        weight_decay=0.01,
        clip_norm=1.0,
        evaluations_per_epoch=1,
        seed=work.settings["seed"],
    )
    pace = Pace(work, {"version": paddle.__version__, **machine.as_dict()}, peak=matmul_peak, flops=flops)
    while True:
        for _ in train(model, lengths=work.lengths, collate=collate, evaluate=None, settings=settings):
            if not pace.step():
                return


def paddlenlp(work: Work, *, width: int | None) -> None:
    """PaddleNLP's model under PaddleNLP's Trainer, in the environment as it is; padded to ``width`` or to the longest of a batch."""
    import paddle
    import paddlenlp
    from paddlenlp.trainer import Trainer, TrainerCallback, TrainingArguments
    from paddlenlp.transformers import ErnieConfig, ErnieForTokenClassification

    sizes, rate = work.sizes, work.settings["dropout"]
    names = {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "max_positions": "max_position_embeddings"}
    config = ErnieConfig(
        **{names.get(key, key): value for key, value in sizes.items() if key != "num_segments"},
        type_vocab_size=sizes["num_segments"],
        hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate,
        num_labels=work.settings["tags"],
    )
    pace = Pace(work, {"version": f"{paddlenlp.__version__} on paddle {paddle.__version__}"}, warm_up=1 if width else WARM_UP)

    class Clock(TrainerCallback):
        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = not pace.step()
            return control

    class Rows(paddle.io.Dataset):
        def __len__(self) -> int:
            return len(work.lengths)

        def __getitem__(self, index: int) -> int:
            return index

    def collate(rows: list[int]) -> dict[str, Any]:
        ids, tags = work.collate(rows, width=width)
        return {"input_ids": paddle.to_tensor(ids), "labels": paddle.to_tensor(tags)}  # [b, l]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            device="cpu",
            per_device_train_batch_size=work.settings["peer_rows"],
            max_steps=10**6,
            learning_rate=1e-4,
            weight_decay=0.01,
            logging_steps=10**6,
            save_strategy="no",
            disable_tqdm=True,
            report_to=[],
        )
        model = ErnieForTokenClassification(config)
        Trainer(model, args=arguments, data_collator=collate, train_dataset=Rows(), callbacks=[Clock()]).train()


def pytorch(work: Work, *, attention: str) -> None:
    """Hugging Face's model in a plain PyTorch loop over the very batches of ``lic``, on all cores."""
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    sizes, rate = work.sizes, work.settings["dropout"]
    torch.set_num_threads(work.settings["threads"])
    torch.manual_seed(0)
    names = {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "max_positions": "max_position_embeddings"}
    config = transformers.BertConfig(
        **{names.get(key, key): value for key, value in sizes.items() if key != "num_segments"},
        type_vocab_size=sizes["num_segments"],
        hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate,
        num_labels=work.settings["tags"],
        attn_implementation=attention,
    )
    model = transformers.BertForTokenClassification(config)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    pace = Pace(work, {"version": f"{torch.__version__}, transformers {transformers.__version__}", "threads": torch.get_num_threads()})
    for rows in _forever(work.batches):
        ids, tags = (torch.from_numpy(array) for array in work.collate(rows))  # [b, l]
        model(input_ids=ids, attention_mask=(ids != 0).long(), labels=tags).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if not pace.step():
            return


def _forever(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    while True:
        yield from batches


CANDIDATES: dict[str, Callable[[Work], None]] = {
    "lic": lic,
    "paddlenlp-padded": lambda work: paddlenlp(work, width=work.settings["width"]),
    "paddlenlp-short": lambda work: paddlenlp(work, width=None),
    "torch-sdpa": lambda work: pytorch(work, attention="sdpa"),
    "torch-eager": lambda work: pytorch(work, attention="eager"),
}


def main(name: str, folder: str) -> None:
    try:
        CANDIDATES[name](Work(Path(folder)))
    except ImportError as error:
        say({"note": f"not installed ({error})"})


if __name__ == "__main__":
    _OUT = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    if sys.argv[1] == "lic":
        sys.path[0] = str(Path(__file__).parents[1])
    else:
        del sys.path[0]  # our files beside this one are no modules of a peer
    main(*sys.argv[1:])
