"""``lic bench generation``: what keeping keys and values saves when a model writes, and what each engine needs for a token."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


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
    import paddle

    from .writing_race import UNCACHED, installed, new_sources, new_writer, open_writer, race, searches

    sizes: dict[str, Any] = {"hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "intermediate_size": 4 * hidden_size}
    model = new_writer(positions=longest + target + 1, **sizes)
    ids, chosen = new_sources(sources, shortest, longest, words)  # [b, s], [u]
    with tempfile.TemporaryDirectory(prefix="lic-bench-") as aside:
        opened = {name: open_writer(name, model, Path(aside), machine.threads) for name in engines if installed(name)}
        rows = []
        for beam in beams:
            seconds, written = race(searches(model, opened, ids, chosen), target=target, beam=beam, repeats=repeats, warm=list(opened))
            different = [name for name, found in written.items() if found != written[UNCACHED]]
            if different:
                raise RuntimeError(f"beam {beam}: {', '.join(different)} wrote other tokens than the uncached search")
            medians = {name: statistics.median(spent) for name, spent in seconds.items()}
            rows += [
                {"beam": beam, "name": name, "step_ms": 1000 * median / (target + 1), "ratio": medians[UNCACHED] / median}
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
