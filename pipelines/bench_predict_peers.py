"""The peers of ``lic bench predict``, and exported models, each in a process of its own.

    python bench_predict_peers.py NAME FOLDER

FOLDER holds what ``lic`` and :mod:`pipelines.bench_predict` wrote: the encoder in two formats, the head's arrays, the texts. The file runs under any
Python that has the peer's packages: of ours it imports :mod:`pipelines.bench_predict_peer`, and an exported model from its own folder.

Notation: b rows, l tokens of the longest, r chains, k tags.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from pipelines.bench_predict_peer import LONGEST, Forward, Peer, keep_output, latencies, peak_memory, say, serve


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
    del sys.path[0]  # our folders are no modules of a peer
    main(*sys.argv[1:])
