"""``lic extract``: one text through a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import emit_json, table


def extract(track: str, text: str, *, question: str | None = None, run: Path | None = None, device: str = "auto") -> list[dict[str, Any]]:
    """What the run finds in ``text``: one dictionary a finding, with verbatim text, character offsets and probability."""
    from shared.errors import input_error

    from .device import choose_device
    from .predict import predict_records
    from .run_folder import find_run, load_run

    if not text.strip():
        raise input_error("LIC-X001", found="a text of nothing but blanks", expected="a text", remedy="Give the text to read.")
    folder = find_run(track, run)
    choose_device(device)
    loaded = load_run(folder, track)
    record = loaded.task.record_of_text(text, question=question)
    return loaded.task.as_rows(predict_records(loaded, [record])[0])


def command(
    track: Annotated[str, typer.Argument(help="relation, event or reading")],
    text: Annotated[str, typer.Argument(help="the text; - reads standard input")],
    question: Annotated[str | None, typer.Option(help="reading: the question")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Read one text: what a trained run finds in it."""
    import sys

    if text == "-":
        text = sys.stdin.read()
    found = extract(track, text, question=question, run=run, device=device)
    if json:
        emit_json({"track": track, "text": text, "found": found})
    elif found:
        table(text, list(found[0]), [[_cell(value) for value in row.values()] for row in found])
    else:
        typer.echo(f"{text}\nnothing found")


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "–".join(map(str, value))
    return value
