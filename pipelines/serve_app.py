"""The HTTP side of ``lic serve``: what a request may be, what comes back, and the page to try it at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import InputError, Problem, WorkError

from .catalogue import chinese
from .serve_queue import BatchQueue, Full

if TYPE_CHECKING:
    from tasks.extraction import Extractor

PAGE = Path(__file__).with_name("serve_page.html")


@dataclass(frozen=True)
class Limits:
    """``batch``: texts that are read together; ``wait``: seconds that the first waits for others; ``queue``: texts that may wait;
    ``texts`` and ``characters``: of one request, and of one text or question."""

    batch: int = 32
    wait: float = 0.002
    queue: int = 256
    texts: int = 64
    characters: int = 20_000


class Texts(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"texts": ["昨天，星海科技裁员三百人。"]}]})

    texts: list[str] = Field(description="the texts to read", min_length=1)
    questions: list[str] | None = Field(None, description="for a reading model: one for every text")


class Findings(BaseModel):
    """What was found: for every text a list of findings, each with verbatim text, character offsets (half-open) and probability."""

    track: str
    found: list[list[dict[str, Any]]]


class Fault(BaseModel):
    """What is wrong, as everywhere in lic."""

    code: str
    found: str
    expected: str
    remedy: str
    zh: str | None = Field(None, description="the same in Chinese")


def make_app(extractor: Extractor, limits: Limits | None = None) -> FastAPI:
    """The service over an exported model."""
    limits = limits or Limits()
    queue = BatchQueue(extractor, batch=limits.batch, wait=limits.wait, most=limits.queue)

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
    )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return _fault(422, Problem("LIC-I011", f"{where}: {first['msg']}", "what /openapi.json says", "Correct the request."))

    faults: dict[int | str, dict[str, Any]] = {
        413: {"model": Fault, "description": "too long a text, or too many texts"},
        422: {"model": Fault, "description": "not a request of this kind"},
        500: {"model": Fault, "description": "the model failed"},
        503: {"model": Fault, "description": "too many texts wait"},
    }

    @app.post("/extract", response_model=Findings, responses=faults)
    async def extract(asked: Texts) -> Any:
        """Reads texts and says what is found in each."""
        problem = _too_large(asked, limits) or _unfit(asked, extractor)
        if problem is not None:
            return _fault(413 if problem.code == "LIC-I009" else 422, problem)
        try:
            found = await queue.ask(asked.texts, asked.questions)
        except Full:
            full = Problem("LIC-I010", f"{len(queue)} texts that wait", f"at most {limits.queue}", "Try again in a moment, with fewer texts at once.")
            return _fault(503, full, {"Retry-After": "1"})
        except (InputError, WorkError) as error:
            return _fault(500, error.problems[0])
        return {"track": extractor.track, "found": found}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the service answers, and with which model."""
        return {"status": "ok", "track": extractor.track, "design": extractor.design, "engine": extractor.engine.name, "waiting": len(queue)}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counters in the text form of Prometheus."""
        return PlainTextResponse(_metrics(queue), media_type="text/plain; version=0.0.4")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        text = PAGE.read_text(encoding="utf-8").replace("{{track}}", extractor.track).replace("{{asks}}", str(extractor.asks).lower())
        return HTMLResponse(text)

    return app


def _too_large(asked: Texts, limits: Limits) -> Problem | None:
    remedy = "Send fewer or shorter texts at once, or raise the limits of lic serve."
    if len(asked.texts) > limits.texts:
        return Problem("LIC-I009", f"{len(asked.texts)} texts", f"at most {limits.texts} in one request", remedy)
    longest = max(map(len, [*asked.texts, *(asked.questions or ())]))
    if longest > limits.characters:
        return Problem("LIC-I009", f"a text of {longest} characters", f"at most {limits.characters}", remedy)
    return None


def _unfit(asked: Texts, extractor: Extractor) -> Problem | None:
    from tasks.json_lines import encodable

    if (asked.questions is not None) is not extractor.asks or (asked.questions is not None and len(asked.questions) != len(asked.texts)):
        wanted = f"{len(asked.texts)} questions, one for every text" if extractor.asks else "no questions"
        given = "none" if asked.questions is None else f"{len(asked.questions)}"
        return Problem("LIC-I011", f"questions: {given}", f"{wanted}: this is a {extractor.track} model", "Correct the request.")
    if not all(map(encodable, [*asked.texts, *(asked.questions or ())])):
        return Problem("LIC-I011", "half of a surrogate pair in a text", "texts that are Unicode", "Correct the request.")
    return None


def _fault(status: int, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    said = {name: getattr(problem, name) for name in ("code", "found", "expected", "remedy")}
    content = {name: value.encode("utf-8", "replace").decode("utf-8") for name, value in said.items()}
    return JSONResponse({**content, "zh": chinese(problem.code)}, status_code=status, headers=headers)


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
        lines += [f"# HELP lic_{name} {text}", f"# TYPE lic_{name} {kind}", f"lic_{name} {value:g}"]
    taken = sorted(counts.latencies)
    if taken:
        lines += ["# HELP lic_latency_seconds of the last thousand requests", "# TYPE lic_latency_seconds summary"]
        lines += [f'lic_latency_seconds{{quantile="{share}"}} {taken[min(len(taken) - 1, int(share * len(taken)))]:g}' for share in (0.5, 0.9, 0.99)]
    return "\n".join(lines) + "\n"
