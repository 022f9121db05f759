"""The service: right answers, clear refusals, requests that share a batch and do not share faults."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from pipelines.cli import run
from pipelines.serve_app import Limits, make_app
from pipelines.serve_queue import BatchQueue, Full
from tasks.extraction import Extractor

from .test_export import loose, texts  # noqa: F401 (a fixture)

TEXTS = ["昨天，星海科技裁员三百人。", "桐湾市发生里氏4.6级地震。", "𠮷川夺得冠军。"]


@pytest.fixture(scope="module")
def model(loose, tmp_path_factory):  # noqa: F811
    """The folder of an exported model: ``model(track)``."""
    made = {}

    def give(track):
        if track not in made:
            made[track] = tmp_path_factory.mktemp("served") / track
            assert run(["export", track, "--run", str(loose(track)), "--out", str(made[track])]) == 0
        return made[track]

    return give


@pytest.fixture(scope="module")
def events(model):
    return Extractor(model("event"), threads=1)


def asked(app, body, **options):
    with TestClient(app) as client:
        return client.post("/extract", json=body, **options)


def test_answers_are_those_of_the_model(events):
    answer = asked(make_app(events), {"texts": TEXTS})
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps({"track": "event", "found": events(TEXTS)})) and any(answer.json()["found"])
    for text, found in zip(TEXTS, answer.json()["found"], strict=True):
        assert all(text[one["start"] : one["end"]] == one["text"] for one in found)


def test_a_reading_model_asks_for_questions(model):
    app = make_app(Extractor(model("reading"), threads=1))
    answer = asked(app, {"texts": TEXTS[:1], "questions": ["谁裁员"]})
    assert answer.status_code == 200 and answer.json()["found"][0]
    for body in ({"texts": TEXTS[:1]}, {"texts": TEXTS[:2], "questions": ["谁裁员"]}):
        refused = asked(app, body)
        assert refused.status_code == 422 and refused.json()["code"] == "LIC-I011" and "reading model" in refused.json()["expected"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"texts": []}, 422, "LIC-I011"),
        ({"texts": "甲"}, 422, "LIC-I011"),
        ({"texts": [3]}, 422, "LIC-I011"),
        ({}, 422, "LIC-I011"),
        ([], 422, "LIC-I011"),
        ({"texts": ["甲"], "more": 1}, 422, "LIC-I011"),
        ({"texts": ["甲"], "questions": ["乙"]}, 422, "LIC-I011"),
        ({"texts": ["甲"] * 5}, 413, "LIC-I009"),
        ({"texts": ["甲" * 51]}, 413, "LIC-I009"),
    ],
)
def test_requests_that_are_refused(events, body, status, code):
    answer = asked(make_app(events, Limits(texts=4, characters=50)), body)
    assert answer.status_code == status and answer.json()["code"] == code and answer.json()["remedy"] and answer.json()["zh"]


def test_bodies_that_are_no_request(events):
    with TestClient(make_app(events)) as client:
        for content in (b"", b"{", b"\xff", b'{"texts": ["\\ud800"]}', b"null"):
            answer = client.post("/extract", content=content, headers={"content-type": "application/json"})
            assert answer.status_code == 422 and answer.json()["code"] == "LIC-I011", content
        assert client.get("/extract").status_code == 405 and client.get("/nothing").status_code == 404


def test_a_full_queue_refuses(events):
    answer = asked(make_app(events, Limits(queue=2)), {"texts": TEXTS})
    assert answer.status_code == 503 and answer.json()["code"] == "LIC-I010" and answer.headers["retry-after"] == "1"


def test_blank_and_strange_texts_are_answered(events):
    strange = ["", " \u3000", "\x00\x01", "\ufffd", "a" * 3000, "👨‍👩‍👧‍👦" * 40]
    answer = asked(make_app(events), {"texts": strange})
    assert answer.status_code == 200 and answer.json()["found"][:4] == [[], [], [], []]


def test_requests_at_once_share_batches_and_get_their_own_answers(events):
    alone = {text: events([text])[0] for text in TEXTS}
    with TestClient(make_app(events, Limits(wait=0.05))) as client, ThreadPoolExecutor(12) as pool:
        wanted = TEXTS * 8
        answers = list(pool.map(lambda text: client.post("/extract", json={"texts": [text]}).json()["found"][0], wanted))
        said = dict(line.split() for line in client.get("/metrics").text.splitlines() if line.startswith("lic_") and "{" not in line)
    for text, found in zip(wanted, answers, strict=True):
        assert [one["text"] for one in found] == [one["text"] for one in alone[text]]
    assert float(said["lic_texts_total"]) == len(wanted) == float(said["lic_requests_total"])
    assert float(said["lic_batches_total"]) < len(wanted) and float(said["lic_waiting"]) == 0


def test_health_openapi_and_page(events):
    with TestClient(make_app(events)) as client:
        health = client.get("/health").json()
        assert health == {"status": "ok", "track": "event", "design": "crf", "engine": "onnx", "waiting": 0}
        described = client.get("/openapi.json").json()
        assert set(described["paths"]) == {"/extract", "/health", "/metrics"}
        assert set(described["paths"]["/extract"]["post"]["responses"]) == {"200", "413", "422", "500", "503"}
        page = client.get("/")
        assert page.headers["content-type"].startswith("text/html") and "const asks = false" in page.text and "{{" not in page.text
        assert not re.search(r'(src|href)="https?:', page.text)


def in_loop(work):
    return asyncio.run(asyncio.wait_for(work(), 30))


def test_a_bad_text_spoils_no_other():
    def read(given, questions):
        if "毒" in given:
            raise ValueError("no such thing")
        return [[{"text": text}] for text in given]

    async def work():
        queue = BatchQueue(read, batch=8, wait=0.01, most=99)
        await queue.start()
        answers = await asyncio.gather(*(queue.ask([text], None) for text in ("甲", "毒", "乙")), return_exceptions=True)
        await queue.stop()
        return answers, queue.counts

    answers, counts = in_loop(work)
    assert answers[0] == [[{"text": "甲"}]] and answers[2] == [[{"text": "乙"}]] and isinstance(answers[1], ValueError)
    assert counts.failed == 1 and counts.texts == 2


def test_a_client_that_goes_is_left_out():
    read_texts = []

    def read(given, questions):
        read_texts.extend(given)
        time.sleep(0.1)
        return [[] for _ in given]

    async def work():
        queue = BatchQueue(read, batch=1, wait=0, most=3)
        await queue.start()
        first = asyncio.create_task(queue.ask(["一"], None))
        await asyncio.sleep(0.03)
        gone = asyncio.create_task(queue.ask(["二"], None))
        last = asyncio.create_task(queue.ask(["三", "四"], None))
        await asyncio.sleep(0.01)
        with pytest.raises(Full):
            await queue.ask(["五"], None)
        gone.cancel()
        assert await first == [[]] and await last == [[], []]
        await queue.stop()
        return queue.counts

    counts = in_loop(work)
    assert read_texts == ["一", "三", "四"] and counts.given_up == 1 and counts.refused == 1


def start(folder, *arguments):
    command = [sys.executable, "-m", "pipelines.cli", "serve", str(folder), "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder.parent, encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_the_command_serves_until_it_is_told_to_end(model):
    process = start(model("event"))
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
        assert address, process.stderr.read()
        patience = time.monotonic() + 60
        while True:
            try:
                answer = httpx.post(f"{address[0]}extract", json={"texts": TEXTS}, timeout=30)
                break
            except httpx.ConnectError:
                assert time.monotonic() < patience
                time.sleep(0.05)
        assert answer.status_code == 200 and len(answer.json()["found"]) == 3
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode in (0, 130) and "Traceback" not in rest


def test_what_cannot_be_served(fault, tmp_path, model):
    assert fault("serve", tmp_path)[1] == ["LIC-I001"]
    assert fault("serve", model("event"), "--host", "203.0.113.7")[1] == ["LIC-I012"]
