"""The HTTP side of ``lic serve``: its routes, what comes back, and the page to try it at."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import logging
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared.errors import InputError, Problem, WorkError

from .catalogue import chinese
from .serve_queue import BatchQueue, Full
from .serve_request import Intake, Limits, Refused, answer_schema, request_schema, wanted

if TYPE_CHECKING:
    from tasks.extraction import Extractor

PAGE = Path(__file__).with_name("serve_page.html")
BATCH_CHARACTERS = 8192
"""Characters that are read together: a long text makes a small batch, so that nobody waits long for it."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Fault(BaseModel):
    """What is wrong, as everywhere in lic."""

    code: str = Field(pattern="^LIC-[A-Z][0-9]{3}$")
    found: str
    expected: str
    remedy: str
    zh: str | None = Field(description="the same in Chinese")


class Health(BaseModel):
    """The service answers, and with which model."""

    status: str
    track: str
    design: str
    engine: str
    waiting: int = Field(ge=0, description="texts that wait")


def make_app(extractor: Extractor, limits: Limits | None = None) -> FastAPI:
    """The service over an exported model."""
    limits = limits or Limits()
    queue = BatchQueue(extractor, batch=limits.batch, most=limits.queue, characters=BATCH_CHARACTERS)
    intake = Intake(limits)

    @asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        await queue.start()
        yield
        await queue.stop()

    app = FastAPI(
        title=f"lic: {extractor.track}",
        description="Texts in, what is found in them out. 输入文本，返回抽取结果。",
        version="1",
        lifespan=working,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    @app.exception_handler(HTTPException)
    async def strange(request: Request, error: HTTPException) -> JSONResponse:
        found = f"{request.method} {request.url.path[:80]}"
        problem = Problem("LIC-I011", found, "POST /extract, GET /health, /metrics, /openapi.json or /", "Correct the method or the path.")
        return _fault(error.status_code, problem, error.headers)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return _fault(error.status, error.problem, error.headers)

    asks = {"requestBody": {"required": True, "content": {"application/json": {"schema": request_schema(extractor, limits)}}}}
    answer = {"description": "for every text what is found in it", "content": {"application/json": {"schema": answer_schema(extractor)}}}
    again = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    faults: dict[int | str, dict[str, Any]] = {
        200: answer,
        408: {"model": Fault, "description": "the body did not come"},
        413: {"model": Fault, "description": "too large a body"},
        415: {"model": Fault, "description": "a body that is not said to be JSON"},
        422: {"model": Fault, "description": "not a request of this kind, too long a text or too many texts"},
        500: {"model": Fault, "description": "the model failed"},
        503: {"model": Fault, "description": "too many texts wait", "headers": again},
    }

    @app.post("/extract", summary="Read texts", response_model=None, responses=faults, openapi_extra=asks)
    async def extract(request: Request) -> Response:
        """Reads texts and says what is found in each, with verbatim text, character offsets (half-open) and probability."""
        try:
            body = await intake.read(request.headers, request.stream())
            texts, questions = wanted(body, extractor, limits)
            found = await _while_there(request, queue.ask(texts, questions))
            cut = {"cut_questions": extractor.cut_questions(questions)} if questions is not None else {}
            return JSONResponse({"track": extractor.track, "found": found, **cut})
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Full:
            full = Problem("LIC-I010", f"{len(queue)} texts that wait", f"at most {limits.queue}", "Try again in a moment, with fewer texts at once.")
            return _fault(503, full, {"Retry-After": "1"})
        except (InputError, WorkError) as error:
            return _fault(500, error.problems[0])
        except Refused:
            raise
        except Exception as error:
            _log.exception("a request failed")
            remedy = "This is a fault of lic: report it with what the service printed."
            problem = Problem("LIC-I013", f"{type(error).__name__} while texts were read", "findings", remedy)
            return _fault(500, problem)

    @app.get("/health", summary="Whether the service answers")
    async def health() -> Health:
        """Whether the service answers, and with which model."""
        return Health(status="ok", track=extractor.track, design=extractor.design, engine=extractor.engine.name, waiting=len(queue))

    @app.get("/metrics", summary="Counters", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counters in the text form of Prometheus."""
        return PlainTextResponse(_metrics(queue), media_type="text/plain; version=0.0.4")

    text, headers = _page(extractor, limits)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(text, headers=headers)

    return app


GONE = 499
"""Nobody hears it: the client has gone."""


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client goes. Raises ClientDisconnect then."""
    asking = asyncio.ensure_future(work)
    going = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({asking, going}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise ClientDisconnect
        return asking.result()
    finally:
        asking.cancel()
        going.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _fault(status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    said = {name: str(getattr(problem, name)).encode("utf-8", "replace").decode("utf-8") for name in ("code", "found", "expected", "remedy")}
    return JSONResponse(Fault(**said, zh=chinese(problem.code)).model_dump(), status_code=status, headers=headers)


def _page(extractor: Extractor, limits: Limits) -> tuple[str, dict[str, str]]:
    """The page and its headers, which let it load nothing but what is written in it and call nothing but this service."""
    text = PAGE.read_text(encoding="utf-8")
    given = {"track": extractor.track, "asks": extractor.asks, "example": extractor.example, "characters": limits.characters}
    text = text.replace("{{track}}", html.escape(extractor.track)).replace("{{given}}", json.dumps(given).replace("<", "\\u003c"))
    sources = {
        name: " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts)
        for name in ("script", "style")
        if (parts := re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL))
    }
    policy = f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; connect-src 'self'; img-src data:"
    policy += "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return text, {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def _metrics(queue: BatchQueue) -> str:
    counts = queue.counts
    rows: list[tuple[str, str, str, float]] = [
        ("requests_total", "counter", "requests that were answered", counts.requests),
        ("refused_total", "counter", "requests that found the queue full", counts.refused),
        ("texts_total", "counter", "texts that were read", counts.texts),
        ("failed_total", "counter", "texts that the model failed on", counts.failed),
        ("given_up_total", "counter", "texts whose client went", counts.given_up),
        ("batches_total", "counter", "batches that the model read", counts.batches),
        ("model_seconds_total", "counter", "seconds that the model was at work", counts.seconds),
        ("waiting", "gauge", "texts that wait", len(queue)),
    ]
    lines = []
    for name, kind, text, value in rows:
        lines += [f"# HELP lic_{name} {text}", f"# TYPE lic_{name} {kind}", f"lic_{name} {value:.12g}"]
    taken = sorted(counts.latencies)
    if taken:
        lines += ["# HELP lic_latency_seconds of the last thousand requests", "# TYPE lic_latency_seconds summary"]
        lines += [f'lic_latency_seconds{{quantile="{share}"}} {taken[min(len(taken) - 1, int(share * len(taken)))]:g}' for share in (0.5, 0.9, 0.99)]
    return "\n".join(lines) + "\n"
