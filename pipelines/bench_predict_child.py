"""``lic`` itself as a candidate of ``lic bench predict``, in a process of its own: one engine over one run.

    python bench_predict_child.py ENGINE FOLDER

FOLDER holds the settings and texts that :mod:`pipelines.bench_predict` wrote. The engine ``eager`` goes first: on the command ``lend`` it writes what
the peers need, on ``record`` an engine's graphs, on ``export`` what :mod:`.bench_predict_peers` runs as an exported model.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from pipelines import bench_predict_peer as peer
from pipelines.export import _design
from shared.errors import InputError

if TYPE_CHECKING:
    from shared.inference import Engine

CHECKED_TEXTS = 8
HELD = 1 << 29
"""Of what a network was asked: a model that writes step by step is asked for more than memory should hold again."""


class Watched:
    """An engine that notes when it runs and how many tokens it reads, and keeps what it is asked if it is to, up to :data:`HELD` bytes."""

    def __init__(self, engine: Engine, padding: int):
        self.engine, self.padding = engine, padding
        self.calls: list[tuple[str, dict[str, Any], Collection[str]]] | None = None
        self.held = 0
        self.clear()

    def clear(self) -> None:
        self.times: list[tuple[float, float]] = []
        self.counts = dict.fromkeys(("tokens", "squares", "padded_tokens", "padded_squares"), 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def run(self, graph: str, inputs: Mapping[str, Any], *, keep: Collection[str] = ()) -> dict[str, Any]:
        self._keep(graph, inputs, keep)
        began = time.perf_counter()
        found = self.engine.run(graph, inputs, keep=keep)
        self.times.append((began, time.perf_counter()))
        return found

    def _keep(self, graph: str, inputs: Mapping[str, Any], keep: Collection[str]) -> None:
        ids = inputs.get("ids")
        if ids is not None and ids.ndim == 2:
            lengths = (ids != self.padding).sum(axis=1)  # [b]
            counted = (int(lengths.sum()), int((lengths**2).sum()), int(ids.size), int(ids.size) * ids.shape[1])
            for name, count in zip(self.counts, counted, strict=True):
                self.counts[name] += count
        if self.calls is not None:
            self.calls.append((graph, dict(inputs), keep))
            self.held += sum(8 * int(value.size) for value in inputs.values())
            if self.held > HELD:
                self.calls = None

    def hold(self) -> None:
        """From now on keeps what it is asked."""
        self.calls = []

    def release(self) -> list[tuple[str, dict[str, Any], Collection[str]]] | None:
        """What it was asked, None where that was too much."""
        calls, self.calls = self.calls, None
        return calls

    def busy(self) -> float:
        """Seconds in which it ran at least one graph."""
        total = end = 0.0
        for began, ended in sorted(self.times):
            total += max(0.0, ended - max(began, end))
            end = max(end, ended)
        return total


def lic(kind: str, folder: Path) -> None:
    """Opens the run with the engine, predicts once, and answers."""
    from shared.environment import import_paddle, prepare

    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    machine = prepare(settings["threads"])
    import_paddle()
    import paddle

    from pipelines.decisions import Predictor
    from pipelines.engines import engine_of
    from pipelines.predict import _write
    from pipelines.predict_file import Asked, found_at_once, found_in_parts
    from pipelines.predict_workers import Opening
    from shared.inference import EagerEngine
    from shared.training.throughput import matmul_peak, step_flops

    how = Opening(Path(settings["run"]), settings["track"], engine=kind, device="cpu")
    loaded: Any = how.open()
    file, target = folder / "all.json", folder / kind / Path(loaded.task.member).with_suffix(".zip")
    network = loaded.model.network()
    engine = EagerEngine(network) if kind == "eager" else engine_of(loaded, settings["texts"])
    assert engine is not None
    watched = Watched(engine, loaded.vocabulary.pad_id)
    loaded.opened = watched

    def end() -> dict[str, Any]:
        """What ``lic predict`` does once the run is open."""
        watched.clear()
        began = time.perf_counter()
        asked = Asked(how, loaded, file, target, skip_bad=False)
        found = found_in_parts(asked, (0, 1), whole=True, resume=False) if asked.large else found_at_once(asked)
        _write(asked, found, keep=False, n_best_file=None)
        found.done()
        return {"elapsed": time.perf_counter() - began, "network": watched.busy(), "texts": found.totals.records, **counts()}

    def counts() -> dict[str, Any]:
        backbone = loaded.model.backbone
        inside = {id(parameter) for parameter in backbone.parameters()}
        head = sum(int(parameter.size) for parameter in loaded.model.parameters() if parameter.ndim == 2 and id(parameter) not in inside)
        flops = {
            name: step_flops(
                backbone.config,
                padded_tokens=watched.counts[f"{prefix}tokens"],
                sum_of_squared_lengths=watched.counts[f"{prefix}squares"],
                head_weights=head,
            )
            / 3  # of a training step the forward pass
            for name, prefix in (("real", ""), ("padded", "padded_"))
        }
        return {"tokens": watched.counts["tokens"], "padded_tokens": watched.counts["padded_tokens"], "flops": flops}

    watched.hold()
    texts = end()["texts"]
    calls = watched.release()
    memory = peer.peak_memory()
    records = loaded.task.read_records(file, loaded.schema, labelled=False).records
    predictor = Predictor(loaded, quiet=True)

    def model() -> dict[str, Any]:
        """The graphs alone, on what they were asked in the first pass; nothing where that was too much to hold."""
        if calls is None:
            return {}
        watched.clear()
        began = time.perf_counter()
        for graph, inputs, keep in calls:
            watched.run(graph, inputs, keep=keep)
        return {"elapsed": time.perf_counter() - began, "texts": texts, **counts()}

    def check(name: str) -> dict[str, Any]:
        import numpy as np

        ids = np.load(folder / peer.CHECKED)  # [b, l]
        np.save(folder / f"check-{name}.npy", engine.run("emissions", {"ids": ids})["emissions"])
        return {}

    def record(other: str) -> dict[str, Any]:
        """Records the run's graphs for another engine, so that its own process is not measured with that."""
        with contextlib.suppress(InputError):  # that process will say why it cannot be
            engine_of(replace(loaded, engine=other, opened=None), texts)
        return {}

    def export(form: str) -> dict[str, Any]:
        from pipelines.export import export

        export(settings["track"], out=folder / f"export-{form}", run=Path(settings["run"]), format=form)
        return {}

    tokens = loaded.recipe.training.evaluation_tokens
    about = {"version": paddle.__version__, "padding": "by length", "batch": f"{min(tokens, engine.batch_tokens or tokens)} tokens"}
    peer.serve(
        {**about, **machine.as_dict(), "peak_memory_mib": memory, "design": _design(loaded)},
        {
            "end": end,
            "model": model,
            "latency": lambda begin, count: peer.latencies(records, lambda record: loaded.task.as_rows(predictor([record])[0]), begin, count),
            "peak": lambda: {"peak": matmul_peak()},
            "check": check,
            "lend": lambda: _lend(loaded, records, folder),
            "record": record,
            "export": export,
        },
    )


def _lend(loaded: Any, records: list[Any], folder: Path) -> dict[str, Any]:
    """Writes what other programs need to compute the same: texts, and of a tagger the encoder in two formats, the head, some token ids.

    ``note``: why there is no tagger for them.
    """
    import numpy as np

    from shared.features.rows import framed_rows
    from shared.huggingface import save_huggingface, save_paddlenlp, whats_not_bert

    lines = [json.dumps({"text": record.text, "question": getattr(record, "question", None)}, ensure_ascii=False) for record in records]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if _design(loaded) != "crf":
        return {"note": f"no peer is written for a model {_design(loaded)}, only for the tagger crf"}
    model, words = loaded.model, loaded.vocabulary
    if other := whats_not_bert(model.backbone.config):
        return {"note": f"no peer is written for an encoder with {other}"}
    save_huggingface(folder / "encoder", model.backbone, loaded.tokenizer)
    save_paddlenlp(folder / "paddlenlp", model.backbone, loaded.tokenizer)
    chains, tags = model.predicted_chains, model.num_tags
    head = {"sizes": np.array([chains, tags]), "emit.weight": model.emit.weight.numpy()[:, : chains * tags]}  # [2], [h, r * k]
    head["emit.bias"] = model.emit.bias.numpy()[: chains * tags]  # [r * k]
    if model.gate is not None:
        head.update({"gate.weight": model.gate.weight.numpy()[:, :chains], "gate.bias": model.gate.bias.numpy()[:chains]})  # [h, r], [r]
    np.savez(folder / "head.npz", **{name: np.ascontiguousarray(array) for name, array in head.items()})
    features = loaded.task.make_features(records[:CHECKED_TEXTS], loaded.schema, loaded.tokenizer, loaded.recipe.features)
    ids, _ = framed_rows(
        features.ids, np.arange(len(features.ids)), first=words.cls_id, last=words.sep_id, padding=words.pad_id
    )  # [b, l], [b]
    np.save(folder / peer.CHECKED, ids)
    return {}


def main(kind: str, folder: str) -> None:
    try:
        lic(kind, Path(folder))
    except (ImportError, InputError) as error:
        note = error.problems[0].found if isinstance(error, InputError) else f"not installed ({error})"
        peer.say({"note": note})


if __name__ == "__main__":
    peer.keep_output()
    main(*sys.argv[1:])
