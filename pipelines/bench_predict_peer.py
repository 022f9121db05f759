"""A peer of ``lic bench predict``, or an exported model, in a process of its own: reads texts, and times itself when it is told to.

    python bench_predict_peer.py NAME FOLDER

FOLDER holds what ``lic`` and :mod:`pipelines.bench_predict` wrote: the encoder in two formats, the head's arrays, the texts. The file runs under any
Python that has the peer's packages: nothing of ours is imported but by an exported model, and that from its own folder.

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
from itertools import islice
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


class EventExample(Peer):
    """PaddleNLP as its DuEE example predicts (examples/information_extraction/DuEE/sequence_labeling.py, run_duee_1.sh).

    Its habits: every character is a word of its own for PaddleNLP's Python tokenizer, one text after the other; 300 tokens at most; 16 texts a batch
    in the order of the file, padded to the longest of them; the forward pass keeps what a backward pass would need; softmax over all tags,
    all probabilities become Python lists, and a loop over the tokens looks up each one's tag and probability. Left to its favour: the
    example runs two such models (triggers, roles), here one runs.
    """

    padding, rows, longest = "longest of the batch", 16, 300

    def __init__(self, folder: Path, forward: Forward):
        super().__init__(folder, forward)
        transformers = import_module("paddlenlp.transformers")
        self._slow = transformers.BertTokenizer(str(folder / "encoder" / "vocab.txt"), do_lower_case=self.lower_case)

    @property
    def batch(self) -> str:
        return f"{self.rows} texts"

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        found = []
        for text in texts:
            words = list(text.replace(" ", "\002"))
            encoded = self._slow(words, is_split_into_words=True, max_length=self.longest, truncation=True)
            found.append(encoded["input_ids"])
        return found

    def batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        numbers = iter(range(len(rows)))
        while batch := list(islice(numbers, self.rows)):
            yield batch

    def forward(self, ids: np.ndarray) -> np.ndarray:
        scores = super().forward(ids)  # [b, l - 2, r, k]
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))  # [b, l - 2, r, k]
        shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)  # [b, l - 2, r, k]
        return shares  # [b, l - 2, r, k]

    def decode(self, scores: np.ndarray, lengths: Sequence[int]) -> list[Any]:
        best, lists = scores.argmax(-1), scores.tolist()  # [b, l - 2, r]
        found = []
        for row, (tags, probabilities) in enumerate(zip(best, lists, strict=True)):
            labels = []
            for place in range(lengths[row] - 2):
                for chain in np.flatnonzero(tags[place]).tolist():
                    tag = int(tags[place, chain])
                    labels.append((place, chain, tag, probabilities[place][chain][tag]))
            found.append(labels)
        return found


class RelationExample(EventExample):
    """PaddleNLP as its DuIE example predicts (examples/information_extraction/DuIE/run_duie.py, data_loader.py, predict.sh).

    Its habits: runs of characters that are not Chinese are words, the others words by themselves, each through PaddleNLP's Python tokenizer; every
    text is padded to 512 tokens, 8 texts a batch in the order of the file; the scores of all texts are gathered by appending each batch to a
    copy of those before, and read text by text at the end. Its forward pass keeps nothing for a backward pass.
    """

    padding, rows, longest = "512", 8, 512

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        first, last = self._slow.cls_token_id, self._slow.sep_token_id
        found = []
        for text in texts:
            words, held = [], ""
            for character in text:
                if "\u4e00" <= character <= "\u9fff" or not character.isalnum():
                    words += [held, character] if held else [character]
                    held = ""
                else:
                    held += character
            tokens = [token for word in [*words, held] if word for token in self._slow._tokenize(word)]
            found.append([first, *self._slow.convert_tokens_to_ids(tokens[: self.longest - 2]), last])
        return found

    def width(self, rows: Sequence[Sequence[int]]) -> int:
        return self.longest

    def read(self, texts: Sequence[str]) -> list[Any]:
        rows = self.tokenise(texts)
        gathered: np.ndarray | None = None
        for batch in self.batches(rows):
            scores = self.forward(self.ids([rows[row] for row in batch]))  # [b, l - 2, r, k]
            gathered = scores if gathered is None else np.append(gathered, scores, axis=0)  # [texts so far, l - 2, r, k]
        assert gathered is not None
        return [self.decode(scores[None], [len(row)])[0] for scores, row in zip(gathered, rows, strict=True)]


def paddlenlp(folder: Path, *, kind: Callable[[Path, Forward], Peer], with_gradient: bool, file: str) -> None:
    """PaddleNLP's BertModel under the head."""
    import paddle
    import paddlenlp
    from paddlenlp.transformers import BertModel

    head = np.load(folder / "head.npz")
    chains, tags = (int(size) for size in head["sizes"])
    encoder = BertModel.from_pretrained(str(folder / "paddlenlp"))
    encoder.eval()
    weights = {name: paddle.to_tensor(head[name]) for name in head.files if name != "sizes"}
    outside = paddle.to_tensor(np.eye(1, tags, dtype=np.float32)[0])  # [k]

    def tagger(ids: paddle.Tensor, segments: paddle.Tensor) -> paddle.Tensor:
        hidden = encoder(ids, segments)[0]  # [b, l, h]
        scores = paddle.nn.functional.linear(hidden[:, 1:-1], weights["emit.weight"], weights["emit.bias"]).reshape([0, 0, chains, tags])
        if "gate.weight" in weights:
            gate = paddle.nn.functional.linear(hidden[:, 0], weights["gate.weight"], weights["gate.bias"])  # [b, r]
            scores = scores - gate.reshape([0, 1, chains, 1]) * outside  # [b, l - 2, r, k]
        return scores  # [b, l - 2, r, k]

    def forward(ids: np.ndarray) -> np.ndarray:
        given = paddle.to_tensor(ids)  # [b, l]
        with paddle.set_grad_enabled(with_gradient):
            found: np.ndarray = tagger(given, paddle.zeros_like(given)).numpy()  # [b, l - 2, r, k]
        return found  # [b, l - 2, r, k]

    peer = kind(folder, forward)
    peer.end(file)
    peer.serve({"version": f"{paddlenlp.__version__} on paddle {paddle.__version__}"}, file=file)


def pytorch(folder: Path) -> None:
    """Hugging Face's BertModel with sdpa attention under the head; ``export`` writes it as ONNX, by both of torch's exporters."""
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    head = np.load(folder / "head.npz")
    chains, tags = (int(size) for size in head["sizes"])
    encoder = transformers.BertModel.from_pretrained(str(folder / "encoder"), add_pooling_layer=False, attn_implementation="sdpa")

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            for name in head.files:
                self.register_buffer(name.replace(".", "_"), torch.from_numpy(np.ascontiguousarray(head[name].T)))
            self.register_buffer("outside", torch.eye(1, tags)[0])  # [k]

        def forward(self, ids: Any, mask: Any) -> Any:
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # [b, l, h]
            scores = torch.nn.functional.linear(hidden[:, 1:-1], self.emit_weight, self.emit_bias).unflatten(-1, (chains, tags))
            if not hasattr(self, "gate_weight"):
                return scores  # [b, l - 2, r, k]
            gate = torch.nn.functional.linear(hidden[:, 0], self.gate_weight, self.gate_bias)  # [b, r]
            return scores - gate[:, None, :, None] * self.outside  # [b, l - 2, r, k]

    model = Tagger().eval()

    def forward(ids: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(ids)  # [b, l]
        with torch.inference_mode():
            found: np.ndarray = model(given, (given != 0).long()).numpy()  # [b, l - 2, r, k]
        return found  # [b, l - 2, r, k]

    def export() -> dict[str, Any]:
        ids, mask = torch.full((2, 8), 5), torch.ones((2, 8), dtype=torch.long)  # [b, l]
        names: dict[str, Any] = {"input_names": ["ids", "mask"], "output_names": ["scores"]}
        axes = {0: torch.export.Dim("rows", max=1 << 16), 1: torch.export.Dim("tokens", min=3, max=LONGEST)}
        files, notes = [], []
        for name, more in (
            ("graph", {"dynamo": True, "dynamic_shapes": {"ids": axes, "mask": axes}}),
            ("script", {"dynamo": False, "opset_version": 17, "dynamic_axes": {one: {0: "rows", 1: "tokens"} for one in ("ids", "mask")}}),
        ):
            try:
                with torch.no_grad():
                    torch.onnx.export(model, (ids, mask), str(folder / f"torch-{name}.onnx"), **names, **more)
                files.append(f"torch-{name}.onnx")
            except Exception as error:  # an exporter that lacks a package or does not know an operation: the other one may do
                notes.append(f"{name}: {type(error).__name__}: {error}"[:300])
        return {"files": files, "notes": notes}

    torch.set_num_threads(json.loads((folder / "settings.json").read_text(encoding="utf-8"))["threads"])
    peer = Peer(folder, forward)
    peer.end("all.json")
    memory = peak_memory()
    peer.choose("few.json", {"": forward})
    version = f"{torch.__version__}, transformers {transformers.__version__}"
    peer.serve({"version": version, "threads": torch.get_num_threads(), "peak_memory_mib": memory}, export=export)


def onnxruntime(folder: Path) -> None:
    """ONNX Runtime on what torch exported: by either exporter, with workers that spin between two operations (as installed) or sleep."""
    runtime: Any = import_module("onnxruntime")
    threads = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["threads"]

    def opened(path: Path, spinning: str) -> Forward:
        options = runtime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        def forward(ids: np.ndarray) -> np.ndarray:
            found: np.ndarray = session.run(None, {"ids": ids, "mask": (ids != 0).astype(np.int64)})[0]  # [b, l - 2, r, k]
            return found  # [b, l - 2, r, k]

        return forward

    forwards = {
        f"{path.stem}, {name}": opened(path, spinning)
        for path in sorted(folder.glob("torch-*.onnx"))
        for name, spinning in (("spinning", "1"), ("sleeping", "0"))
    }
    peer = Peer(folder, next(iter(forwards.values())))
    peer.end("all.json")
    memory = peak_memory()
    peer.choose("few.json", forwards)
    peer.serve({"version": runtime.__version__, "peak_memory_mib": memory})


def exported(folder: Path, kind: str) -> None:
    """What ``lic export`` wrote, without ``lic``."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    sys.path.insert(0, str(folder / f"export-{kind}" / "lib"))
    model: Any = import_module("tasks.extraction").Extractor(folder / f"export-{kind}", threads=settings["threads"])
    file = folder / "texts.jsonl"

    def end() -> dict[str, Any]:
        began, count = time.perf_counter(), 0
        with file.open(encoding="utf-8") as lines, (folder / f"answers-{os.getpid()}.json").open("w", encoding="utf-8") as answers:
            rows = (json.loads(line) for line in lines)
            for found in model.stream((row["text"], row["question"]) for row in rows):
                answers.write(json.dumps(found, ensure_ascii=False) + "\n")
                count += 1
        return {"elapsed": time.perf_counter() - began, "texts": count}

    texts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def read(row: dict[str, Any]) -> Any:
        return model([row["text"]], [row["question"]] if model.asks else None)

    for row in texts[:3]:
        read(row)
    tokens = model.about["padded_tokens"]
    about = {"version": kind, "padding": "by length", "batch": f"{min(tokens, model.engine.batch_tokens or tokens)} tokens"}
    end()
    serve(
        {**about, "peak_memory_mib": peak_memory()},
        {"end": end, "latency": lambda begin, count: latencies(texts, read, begin, count)},
    )


CANDIDATES: dict[str, Callable[[Path], None]] = {
    "exported-static": lambda folder: exported(folder, "static"),
    "exported-onnx": lambda folder: exported(folder, "onnx"),
    "paddlenlp-event": lambda folder: paddlenlp(folder, kind=EventExample, with_gradient=True, file="few.json"),
    "paddlenlp-relation": lambda folder: paddlenlp(folder, kind=RelationExample, with_gradient=False, file="few.json"),
    "paddlenlp-tuned": lambda folder: paddlenlp(folder, kind=Peer, with_gradient=False, file="all.json"),
    "torch": pytorch,
    "onnxruntime": onnxruntime,
}


def main(name: str, folder: str) -> None:
    try:
        CANDIDATES[name](Path(folder))
    except ImportError as error:
        say({"note": f"not installed ({error})"})


if __name__ == "__main__":
    keep_output()
    del sys.path[0]  # our files beside this one are no modules of a peer
    main(*sys.argv[1:])
