"""``lic serve``: an exported model behind HTTP, for as long as the process runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.errors import input_error

from .console import say
from .interrupt import CODES, after_this_step

if TYPE_CHECKING:
    import uvicorn


def serve(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8020,
    threads: int | None = None,
    batch: int = 32,
    queue: int = 256,
    max_texts: int = 64,
    max_characters: int = 20_000,
    max_bytes: int = 1 << 22,
) -> None:
    """Serves the folder ``model`` of ``lic export`` until SIGINT or SIGTERM; requests that wait are answered first, for at most 30 s.

    ``batch``: texts that are read together; ``queue``: texts that may wait; ``max_texts``, ``max_characters``, ``max_bytes``: of one request, of
    one text, of a request's body. Raises InputError: LIC-I001 to LIC-I003 for a folder that is no sound export, LIC-I005 without a package that
    is needed, LIC-I012 for an address that cannot be listened at.
    """
    import socket
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise input_error(
            "LIC-I005",
            found=f"lic serve without {' and '.join(missing)}",
            expected="fastapi and uvicorn installed",
            remedy="Install them: pip install 'lic2020[serve]'.",
        )
    import uvicorn

    from tasks.extraction import Extractor

    from .serve_app import make_app
    from .serve_request import Limits

    with after_this_step() as check_interrupt:  # paddle answers SIGTERM with a report of its own
        extractor = Extractor(model, threads=threads)
        check_interrupt()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as place:  # asyncio sends at once only from one that names its protocol
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((host, port))
            place.listen(1024)  # from here on a client waits instead of being turned away
        except (OSError, OverflowError) as error:
            found = f"{host}:{port}, where nobody can listen ({error})"
            raise input_error("LIC-I012", found=found, expected="a free address of this machine", remedy="Name another --host or --port.") from error
        app = make_app(extractor, Limits(batch, queue, max_texts, max_characters, max_bytes))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none", timeout_graceful_shutdown=30))
        name = f"[{host}]" if ":" in host else host
        with _told_to_end(server):
            say(f"{extractor.track}, {extractor.design}, by {extractor.engine.name}: http://{name}:{place.getsockname()[1]}/ (Ctrl-C ends it)")
            server.run(sockets=[place])
    say("lic: ended")


@contextmanager
def _told_to_end(server: uvicorn.Server) -> Iterator[None]:
    """SIGINT and SIGTERM end ``server``, before it catches them itself too; when it hands them on after its end, nothing is left to do."""

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="what lic export wrote")],
    host: Annotated[str, typer.Option(help="address to listen at; 0.0.0.0 is every address of this machine")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8020,
    threads: Annotated[int | None, typer.Option(min=1, help="of the engine; default all cores")] = None,
    batch: Annotated[int, typer.Option(min=1, help="texts that are read together")] = 32,
    queue: Annotated[int, typer.Option(min=1, help="texts that may wait; beyond, requests are refused with 503")] = 256,
    max_texts: Annotated[int, typer.Option(min=1, help="texts of one request")] = 64,
    max_characters: Annotated[int, typer.Option(min=1, help="characters of one text")] = 20_000,
    max_bytes: Annotated[int, typer.Option(min=1, help="bytes of a request's body")] = 1 << 22,
) -> None:
    """Serve an exported model over HTTP: POST /extract, a page to try it at /, health, metrics, OpenAPI."""
    serve(
        model,
        host=host,
        port=port,
        threads=threads,
        batch=batch,
        queue=queue,
        max_texts=max_texts,
        max_characters=max_characters,
        max_bytes=max_bytes,
    )
