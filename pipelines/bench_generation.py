"""``lic bench generation``: what keeping keys and values saves when a model writes, and what each engine needs for a token."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

TOKENS = 21128
"""Of a Chinese BERT's vocabulary."""


def generation(
    *,
    hidden_size: int = 384,
    num_layers: int = 12,
    num_heads: int = 12,
    sources: int = 4,
    shortest: int = 128,
    longest: int = 200,
    target: int = 64,
    words: int = 1500,
    beams: Sequence[int] = (1, 3),
    engines: Sequence[str] = ("eager", "static", "onnx"),
    repeats: int = 3,
) -> dict[str, Any]:
    """Milliseconds a step (one more token for every row) of a search that writes ``target`` tokens for ``sources`` sources of ``shortest`` to
    ``longest`` tokens: uncached, where source and prefix pass through the encoder anew at every step, and cached on every engine.

    One run: every repetition runs every candidate once, in turn; figures are medians, ratios are to the uncached search of the same beam, and all
    must write the same. The encoder is new, its weights spread so that attention matters; ``words`` tokens may be written. Engines that are not
    installed are left out. Raises ValueError for counts below 1, and RuntimeError where two candidates write different outputs.
    """
    from shared.environment import import_paddle, prepare

    if min(sources, shortest, target, words, repeats, *beams) < 1 or longest < shortest:
        raise ValueError(f"sources {sources}, lengths {shortest} to {longest}, target {target}, words {words}, repeats {repeats}: give 1 at least")
    machine = prepare()
    import_paddle()
    import numpy as np
    import paddle

    from shared.backbone import Backbone, BackboneConfig
    from shared.decoding import MinLength, beam_search
    from shared.seq2seq import Steps
    from shared.unilm import UniLM

    paddle.seed(0)
    sizes: dict[str, Any] = {"hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "intermediate_size": 4 * hidden_size}
    model = UniLM(Backbone(BackboneConfig(vocab_size=TOKENS, max_positions=longest + target + 1, dropout=0.0, attention_dropout=0.0, **sizes)))
    model.eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.set_value(parameter * 2)
    rng = np.random.default_rng(0)
    lengths = rng.integers(shortest, longest + 1, sources)  # [b]
    ids = np.where(np.arange(longest) < lengths[:, None], rng.integers(5, TOKENS, [sources, longest]), 0)  # [b, s]
    chosen = np.sort(rng.choice(np.arange(5, TOKENS), words, replace=False))  # [u]

    def search(step: Any, beam: int) -> list[tuple[int, ...]]:
        found = beam_search(step, end_id=0, max_length=target + 1, beam=beam, constraints=[MinLength(target, 0)])
        return [own[0].tokens for own in found]

    with tempfile.TemporaryDirectory(prefix="lic-bench-") as aside:
        opened = {name: _open(name, model, Path(aside), machine.threads) for name in engines if _installed(name)}
        rows = []
        for beam in beams:
            candidates: dict[str, Callable[[], Any]] = {"uncached": partial(model.step, ids, cached=False, words=chosen)}
            candidates.update((name, partial(Steps, engine, ids, words=chosen)) for name, engine in opened.items())
            seconds: dict[str, list[float]] = {name: [] for name in candidates}
            for number in range(repeats):
                written = {}
                for name, make in candidates.items():
                    if number == 0 and name != "uncached":
                        beam_search(make(), end_id=0, max_length=4, beam=beam)  # warms up
                    began = time.perf_counter()
                    written[name] = search(make(), beam)
                    seconds[name].append(time.perf_counter() - began)
                different = [name for name, found in written.items() if found != written["uncached"]]
                if different:
                    raise RuntimeError(f"beam {beam}: {', '.join(different)} wrote other tokens than the uncached search")
            medians = {name: statistics.median(spent) for name, spent in seconds.items()}
            rows += [
                {"beam": beam, "name": name, "step_ms": 1000 * median / (target + 1), "ratio": medians["uncached"] / median}
                for name, median in medians.items()
            ]
    return {
        **sizes,
        "sources": sources,
        "lengths": [shortest, longest],
        "target": target,
        "words": words,
        "repeats": repeats,
        "processor": machine.processor,
        "paddle": paddle.__version__,
        "rows": rows,
    }


def _installed(name: str) -> bool:
    return name != "onnx" or all(find_spec(package) is not None for package in ("onnxruntime", "paddle2onnx"))


def _open(name: str, model: Any, aside: Path, threads: int) -> Any:
    from shared.inference import EagerEngine, recording

    from .engines import engine_class

    network = model.network(words=True)
    if name == "eager":
        return EagerEngine(network)
    folder = aside / name
    folder.mkdir()
    (recording.convert if name == "onnx" else recording.record)(network, folder)
    return engine_class(name)(folder, threads=threads)


def command(
    sources: Annotated[int, typer.Option(min=1, help="texts that are written for at once")] = 4,
    num_layers: Annotated[int, typer.Option(min=1)] = 12,
    hidden_size: Annotated[int, typer.Option(min=12)] = 384,
    target: Annotated[int, typer.Option(min=1, help="tokens that are written")] = 64,
    beam: Annotated[list[int] | None, typer.Option(min=1, help="width of a beam; repeatable, default 1 and 3")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Time a writing search: uncached, and cached on every engine; all must write the same."""
    from .console import emit_json, table

    report = generation(sources=sources, num_layers=num_layers, hidden_size=hidden_size, target=target, beams=beam or (1, 3), repeats=repeats)
    if json:
        emit_json(report)
        return
    cells = [[str(row["beam"]), row["name"], f"{row['step_ms']:.1f}", f"{row['ratio']:.1f}"] for row in report["rows"]]
    size = f"{num_layers} layers of {hidden_size}, {sources} sources of {report['lengths'][0]} to {report['lengths'][1]} tokens, {target} written"
    title = f"{size}, median of {repeats}, {report['processor']}, paddle {report['paddle']}"
    table(title, ["beam", "search", "ms a step", "times as fast"], cells)
