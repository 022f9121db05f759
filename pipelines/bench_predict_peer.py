"""What every candidate of ``lic bench predict`` does: answers commands, and, of a peer, reads texts as a good user of its library would.

Runs under any Python that has NumPy: nothing of ours is imported.

Notation: b rows, l tokens of the longest, r chains, k tags.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

BUDGETS = (256, 512, 1024, 2048)
"""Padded tokens a batch that a peer which sorts by length is tried with; it keeps the fastest."""
LONGEST = 512
CHECKED = "check.npy"
_OUT = 1

Forward = Callable[[np.ndarray], np.ndarray]
"""Token ids [b, l] between [CLS] and [SEP], padded with 0, to the scores of the tokens between, [b, l - 2, r, k]."""


def say(value: dict[str, Any]) -> None:
    os.write(_OUT, (json.dumps(value) + "\n").encode())


def keep_output() -> None:
    """From now on standard output is for answers; what a library prints goes to standard error."""
    global _OUT
    _OUT = os.dup(1)
    os.dup2(2, 1)


def peak_memory() -> int | None:
    """Largest resident set so far in MiB."""
    found: int | None = runpy.run_path(str(Path(__file__).with_name("memory.py")))["peak_memory_mib"]()
    return found


def serve(about: dict[str, Any], commands: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Says what this is, then answers a command a line."""
    say(about)
    for line in sys.stdin:
        command, *arguments = line.split()
        say(commands[command](*arguments))


def latencies(texts: Sequence[Any], read: Callable[[Any], Any], begin: str, count: str) -> dict[str, Any]:
    """Milliseconds of each of ``count`` texts from ``begin``, round and round, one after the other."""
    spent = []
    for number in range(int(begin), int(begin) + int(count)):
        began = time.perf_counter()
        read(texts[number % len(texts)])
        spent.append(1e3 * (time.perf_counter() - began))
    return {"milliseconds": spent}


class Peer:
    """What all peers do: tokenise, batch, run the network, decode tags, write a line a text.

    This one does it as a good user of its library would: Hugging Face's tokenizer on all texts at once, rows by length, batches under a budget of
    padded tokens, tags by array operations.
    """

    padding = "by length"

    def __init__(self, folder: Path, forward: Forward):
        self.folder, self._forward = folder, forward
        self.lower_case: bool = json.loads((folder / "encoder" / "tokenizer_config.json").read_text(encoding="utf-8"))["do_lower_case"]
        self.budget, self.kept = BUDGETS[1], ""
        self.seconds = 0.0
        self.tokens = self.padded = 0

    @property
    def batch(self) -> str:
        return f"{self.budget} tokens" + (f", {self.kept}" if self.kept else "")

    def forward(self, ids: np.ndarray) -> np.ndarray:
        """The same as the network, with the time that it takes and the tokens that it reads."""
        began = time.perf_counter()
        found = self._forward(ids)  # [b, l - 2, r, k]
        self.seconds += time.perf_counter() - began
        self.tokens += int((ids != 0).sum())
        self.padded += ids.size
        return found  # [b, l - 2, r, k]

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        if not hasattr(self, "_tokenizer"):
            vocabulary = str(self.folder / "encoder" / "vocab.txt")
            self._tokenizer = import_module("tokenizers").BertWordPieceTokenizer(vocabulary, lowercase=self.lower_case)
            self._tokenizer.enable_truncation(LONGEST)
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Numbers of the rows of every batch."""
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        while order:
            count = max(1, self.budget // len(rows[order[0]]))
            yield order[:count]
            order = order[count:]

    def width(self, rows: Sequence[Sequence[int]]) -> int:
        return max(map(len, rows))

    def ids(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        padded = np.zeros((len(rows), self.width(rows)), dtype=np.int64)  # [b, l]
        for place, row in enumerate(rows):
            padded[place, : len(row)] = row
        return padded  # [b, l]

    def decode(self, scores: np.ndarray, lengths: Sequence[int]) -> list[list[tuple[int, int, int]]]:
        """Spans (label, first, last) of every row by the best tag of each token alone: odd tags begin a label, even ones go on with it."""
        tags = scores.argmax(-1)  # [b, l - 2, r]
        found: list[list[tuple[int, int, int]]] = [[] for _ in lengths]
        for row, first, chain in zip(*(axis.tolist() for axis in np.nonzero(tags % 2 == 1)), strict=True):
            end = lengths[row] - 2
            if first >= end:
                continue
            tag = int(tags[row, first, chain])
            last = first
            while last + 1 < end and tags[row, last + 1, chain] == tag + 1:
                last += 1
            found[row].append((chain if tags.shape[2] > 1 else tag // 2, first, last))
        return found

    def read(self, texts: Sequence[str]) -> list[Any]:
        """What is found in every text, in order."""
        rows = self.tokenise(texts)
        found: list[Any] = [None] * len(rows)
        for batch in self.batches(rows):
            taken = [rows[row] for row in batch]
            for row, own in zip(batch, self.decode(self.forward(self.ids(taken)), [len(one) for one in taken]), strict=True):
                found[row] = own
        return found

    def end(self, file: str) -> dict[str, Any]:
        """The texts of an official file through everything, to a file of answers."""
        self.seconds, self.tokens, self.padded = 0.0, 0, 0
        began = time.perf_counter()
        lines = (self.folder / file).read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines]
        answers = [json.dumps({"text": text, "found": found}, ensure_ascii=False) for text, found in zip(texts, self.read(texts), strict=True)]
        (self.folder / f"answers-{os.getpid()}.json").write_text("\n".join(answers), encoding="utf-8")
        elapsed = time.perf_counter() - began
        return {"elapsed": elapsed, "network": self.seconds, "texts": len(texts), "tokens": self.tokens, "padded_tokens": self.padded}

    def model(self, file: str) -> dict[str, Any]:
        """The network alone on the batches of a file."""
        lines = (self.folder / file).read_text(encoding="utf-8").splitlines()
        rows = self.tokenise([json.loads(line)["text"] for line in lines])
        batches = [self.ids([rows[row] for row in batch]) for batch in self.batches(rows)]
        self.tokens = self.padded = 0
        began = time.perf_counter()
        for ids in batches:
            self.forward(ids)
        return {"elapsed": time.perf_counter() - began, "texts": len(rows), "tokens": self.tokens, "padded_tokens": self.padded}

    def check(self, name: str) -> dict[str, Any]:
        """Scores for the ids that all candidates are compared on."""
        np.save(self.folder / f"check-{name}.npy", self._forward(np.load(self.folder / CHECKED)))
        return {}

    def choose(self, file: str, forwards: Mapping[str, Forward]) -> None:
        """Keeps the fastest of the networks, which have names, and of the budgets."""
        seconds: dict[tuple[str, int], float] = {}
        for _ in range(2):
            for name, self._forward in forwards.items():
                for self.budget in BUDGETS:
                    found = self.model(file)["elapsed"]
                    seconds[name, self.budget] = min(found, seconds.get((name, self.budget), found))
        self.kept, self.budget = min(seconds, key=lambda which: seconds[which])
        self._forward = forwards[self.kept]

    def serve(self, about: dict[str, Any], *, file: str = "all.json", **more: Callable[..., dict[str, Any]]) -> None:
        texts = [json.loads(line)["text"] for line in (self.folder / "all.json").read_text(encoding="utf-8").splitlines()]

        def latency(begin: str, count: str) -> dict[str, Any]:
            return latencies(texts, lambda text: self.read([text]), begin, count)

        own = {"padding": self.padding, "batch": self.batch, "peak_memory_mib": peak_memory()}
        serve(
            {**own, **about},
            {"end": lambda: self.end(file), "model": lambda: self.model(file), "check": self.check, "latency": latency, **more},
        )
