"""``lic extract``: one text through a trained run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES

from .console import emit_json, say, table

SHOWN = 1000
"""Characters of a text that people are shown again."""


def extract(
    track: str,
    text: str,
    *,
    question: str | None = None,
    run: Path | None = None,
    device: str = "auto",
    n_best: int | None = None,
    decode: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """What the run finds in ``text``: one dictionary a finding, with verbatim text, character offsets and probability.

    ``n_best``: of a reading run so many answers instead of what its recipe says, the first of which is the one that counts.
    ``decode``: ``decode.KEY=VALUE`` in place of the recipe's.
    """
    from .decode_overrides import with_decode, with_n_best
    from .device import choose_device
    from .ensemble_folder import open_run
    from .predict import predict_records
    from .run_folder import find_run

    _check_text(text, question)
    folder = find_run(track, run)
    choose_device(device)
    loaded = with_decode(open_run(folder, track), decode)
    if n_best is not None:
        loaded = with_n_best(loaded, n_best)
    record = loaded.task.record_of_text(text, question=question)
    return loaded.task.as_rows(predict_records(loaded, [record])[0])


def _check_text(text: str, question: str | None) -> None:
    from shared.errors import input_error
    from tasks.json_lines import encodable, visible

    if not visible(text):
        found = "a text of nothing but blanks and control characters" if text else "an empty text"
        raise input_error("LIC-X001", found=found, expected="a text", remedy="Give the text to read.")
    if not encodable(text + (question or "")):
        remedy = "Give it in UTF-8; long texts go through standard input: lic extract TRACK - < FILE."
        raise input_error("LIC-X003", found="a text with bytes that are not UTF-8", expected="UTF-8", remedy=remedy)


def read_standard_input() -> str:
    """The text on standard input, which is UTF-8 whatever the locale says. Raises InputError for other bytes, naming the line."""
    import sys

    from shared.errors import input_error

    data = sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        try:
            data.decode("gb18030")
            found, remedy = "what looks like GBK (GB18030)", "Convert it: `iconv -f GB18030 -t UTF-8 FILE | lic extract TRACK -`."
        except UnicodeDecodeError:
            found, remedy = f"the byte {data[error.start]:02X}, which is not UTF-8", "Convert the text to UTF-8."
        line = data.count(b"\n", 0, error.start) + 1
        raise input_error("LIC-X003", file="standard input", line=line, found=found, expected="UTF-8", remedy=remedy) from error


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    text: Annotated[str, typer.Argument(help="the text; - reads standard input")],
    question: Annotated[str | None, typer.Option(help="reading: the question")] = None,
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N")] = "auto",
    n_best: Annotated[int | None, typer.Option("--n-best", min=1, help="reading: so many answers, the first is the one that counts")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="decode.KEY=VALUE in place of the run's own; repeatable")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="SVG", help="draw the text with what was found to this file")] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Read one text: what a trained run finds in it."""
    if text == "-":
        text = read_standard_input()
    found = extract(track, text, question=question, run=run, device=device, n_best=n_best, decode=set_ or ())
    if picture is not None:
        from .picture import draw_text, marks_of

        draw_text(text, marks_of(found), picture)
        say(f"picture: {picture}")
    if json:
        emit_json({"track": track, "text": text, "found": found})
    elif found:
        table(_shortened(text), [name.replace("_", " ") for name in found[0]], [[_cell(value) for value in row.values()] for row in found])
    else:
        typer.echo(f"{_shortened(text)}\nnothing found")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "–".join(map(str, value))
    return value
