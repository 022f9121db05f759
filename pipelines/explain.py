"""``lic explain``: what a code of a message means."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    code: Annotated[str | None, typer.Argument(help="e.g. LIC-D003 or d003; without it, all codes")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="all codes as the Markdown of docs/errors.md")] = False,
) -> None:
    """Say what a code of a message means, in English and Chinese."""
    from shared.errors import input_error

    from .catalogue import as_markdown, catalogue, find
    from .console import CHINESE, table

    if markdown and code is not None:
        raise input_error("LIC-C003", found=f"--markdown with {code}", expected="one of the two", remedy="Leave one out.")
    if markdown:
        typer.echo(as_markdown(), nl=False)
    elif code is None:
        table("codes of messages", ["code", "meaning", "中文"], [[name, *entry] for name, entry in catalogue().items()])
    else:
        name, entry = find(code)
        typer.echo(f"{name}: {entry.en}\n{CHINESE}{entry.zh}")
