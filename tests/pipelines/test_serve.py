"""The service: right answers, clear refusals, requests that share a batch and do not share faults."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pipelines.cli import run
from pipelines.serve_app import make_app
from pipelines.serve_request import Limits
from tasks.extraction import Extractor

from .browser import needs_browser, seen
from .serving import Slow, answer_of, listening, send, until
from .test_export import loose  # noqa: F401 (a fixture)

JSON = {"content-type": "application/json"}
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


@pytest.fixture(scope="module")
def service(events):
    with TestClient(make_app(events)) as client:
        yield client


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
    answer = asked(app, {"texts": [{"text": TEXTS[0], "question": "谁裁员"}, {"text": TEXTS[1], "question": "哪里地震" * 40}]})
    assert answer.status_code == 200 and all(answer.json()["found"]) and answer.json()["cut_questions"] == [1]
    for rows in (TEXTS[:1], [{"text": TEXTS[0]}], [{"text": TEXTS[0], "question": "谁", "id": "1"}]):
        refused = asked(app, {"texts": rows})
        assert refused.status_code == 422 and refused.json()["code"] == "LIC-I011" and "reading model" in refused.json()["expected"]
    assert asked(app, {"texts": [{"text": "甲", "question": "乙" * 1001}]}).json()["found"] == "a question of 1001 characters"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"texts": []}, 422, "LIC-I011"),
        ({"texts": "甲"}, 422, "LIC-I011"),
        ({"texts": [3]}, 422, "LIC-I011"),
        ({"texts": [{"text": "甲"}]}, 422, "LIC-I011"),
        ({}, 422, "LIC-I011"),
        ([], 422, "LIC-I011"),
        ({"texts": ["甲"], "more": 1}, 422, "LIC-I011"),
        ({"texts": ["甲"] * 5}, 422, "LIC-I009"),
        ({"texts": ["甲" * 51]}, 422, "LIC-I009"),
        ({"texts": ["甲" * 1_000_000]}, 422, "LIC-I009"),
    ],
)
def test_requests_that_are_refused(events, body, status, code):
    answer = asked(make_app(events, Limits(texts=4, characters=50)), body)
    assert answer.status_code == status and answer.json()["code"] == code and answer.json()["remedy"] and answer.json()["zh"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"NaN",
        b'\xef\xbb\xbf{"texts": ["a"]}',
        '{"texts": ["甲"]}'.encode("utf-16"),
        '{"texts": ["甲"]}'.encode("gb18030"),
        b'{"texts": ["\\ud800"]}',
        b'{"\\udc00": 1}',
        b'{"texts": [NaN]}',
        b'{"texts": [-Infinity]}',
        b'{"texts": ["a"], "texts": ["b"]}',
        b'{"texts": [1' + b"0" * 10_000 + b"]}",
        b'{"texts": [1e999]}',
        b"[" * 200_000,
        b'{"texts":' * 50_000,
    ],
    ids=repr,
)
def test_bodies_that_are_no_request(service, content):
    answer = service.post("/extract", content=content, headers=JSON)
    assert answer.status_code == 422 and answer.json()["code"] == "LIC-I011" and len(answer.content) < 1000


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
def test_no_body_breaks_the_service(service, content):
    answer = service.post("/extract", content=content, headers=JSON)
    assert answer.status_code == 422 and set(answer.json()) == {"code", "found", "expected", "remedy", "zh"}


def test_what_is_no_request_to_the_service(service):
    for answer, status in (
        (service.get("/extract"), 405),
        (service.delete("/health"), 405),
        (service.get("/nothing"), 404),
        (service.post("/extract/", json={"texts": ["a"]}), 404),
        (service.post("/extract", content=b'{"texts": ["a"]}'), 415),
        (service.post("/extract", data={"texts": "a"}), 415),
        (service.post("/extract", content=b"\x1f\x8b", headers={**JSON, "content-encoding": "gzip"}), 415),
    ):
        assert answer.status_code == status and answer.json()["code"] == "LIC-I011" and answer.json()["zh"]
    assert service.get("/extract").headers["allow"] == "POST"


def test_bodies_that_are_too_large(events):
    with TestClient(make_app(events, Limits(size=5000))) as client:
        answer = client.post("/extract", content=b" " * 5001, headers=JSON)
        assert answer.status_code == 413 and answer.json()["code"] == "LIC-I009" and "5001 bytes" in answer.json()["found"]
        assert client.post("/extract", content=b'{"texts": ["a"]}' + b" " * 4000, headers=JSON).status_code == 200
    with listening(make_app(events, Limits(size=5000))) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/extract", content=(b" " * 1000 for _ in range(8)), headers=JSON)
        assert answer.status_code == 413 and "more than 5000 bytes" in answer.json()["found"]
        with send(port, b" " * 200, announced=10**12) as line:
            assert answer_of(line)[0] == 413


def test_a_body_that_does_not_come_blocks_nobody(events):
    with listening(make_app(events, Limits(patience=0.3))) as port, send(port, b'{"texts": ', announced=50) as slow:
        send(port, b"{", announced=9).close()
        assert httpx.post(f"http://127.0.0.1:{port}/extract", json={"texts": TEXTS}).status_code == 200
        status, said = answer_of(slow)
        assert status == 408 and said["code"] == "LIC-I011" and slow.recv(9) == b""


def test_bodies_that_come_at_once_have_a_limit(events):
    with listening(make_app(events, Limits(size=100_000, patience=60))) as port, ExitStack() as lines:
        held = [lines.enter_context(send(port, b" " * 99_990, announced=100_000)) for _ in range(16)]
        until(lambda: httpx.post(f"http://127.0.0.1:{port}/extract", content=b" " * 2000, headers=JSON).status_code == 503)
        held[0].close()
        until(lambda: httpx.post(f"http://127.0.0.1:{port}/extract", json={"texts": ["甲" * 500]}).status_code == 200)


def test_a_client_that_hangs_up_is_left_out(events):
    slow = Slow(events)
    with listening(make_app(slow)) as port:
        with send(port, json.dumps({"texts": ["一"]}).encode()) as first:
            until(lambda: slow.seen == ["一"])
            send(port, json.dumps({"texts": ["二", "三"]}).encode()).close()
            with send(port, json.dumps({"texts": ["四"]}).encode()) as last:
                until(lambda: figures(port)["lic_given_up_total"] == 2 and figures(port)["lic_waiting"] == 1)
                slow.go.set()
                assert [answer_of(line)[0] for line in (first, last)] == [200, 200]
        assert slow.seen == ["一", "四"] and figures(port)["lic_texts_total"] == 2


def figures(port):
    return figures_of(httpx.get(f"http://127.0.0.1:{port}/metrics").text)


def figures_of(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines() if line.startswith("lic_") and "{" not in line)}


def test_a_full_queue_refuses_and_the_rest_are_answered(events):
    slow = Slow(events)
    with listening(make_app(slow, Limits(queue=6, batch=4))) as port, ThreadPoolExecutor(24) as pool:
        wanted = TEXTS * 8
        asking = [pool.submit(httpx.post, f"http://127.0.0.1:{port}/extract", json={"texts": [text]}, timeout=30) for text in wanted]
        until(lambda: figures(port)["lic_refused_total"] >= len(wanted) - 6 - 4)
        slow.go.set()
        answers = [one.result() for one in asking]
        said = figures(port)
    alone = {text: events([text])[0] for text in TEXTS}
    for text, answer in zip(wanted, answers, strict=True):
        if answer.status_code == 503:
            assert answer.json()["code"] == "LIC-I010" and answer.headers["retry-after"] == "1"
        else:
            assert answer.status_code == 200 and bare(answer.json()["found"][0]) == bare(alone[text])
    refused = sum(answer.status_code == 503 for answer in answers)
    assert said["lic_refused_total"] == refused > 0 and said["lic_texts_total"] == said["lic_requests_total"] == len(wanted) - refused > 0


def bare(found):
    return [{name: value for name, value in one.items() if name != "probability"} for one in json.loads(json.dumps(found))]


def test_blank_and_strange_texts_are_answered(service):
    strange = ["", " \u3000", "\x00\x01", "\ufffd", "a" * 3000, "👨‍👩‍👧‍👦" * 40]
    answer = service.post("/extract", json={"texts": strange})
    assert answer.status_code == 200 and answer.json()["found"][:4] == [[], [], [], []]


def test_requests_at_once_share_batches_and_get_their_own_answers(events):
    alone = {text: events([text])[0] for text in TEXTS}
    slow = Slow(events)
    with TestClient(make_app(slow)) as client, ThreadPoolExecutor(12) as pool:
        wanted = [*TEXTS * 8, "长" * 700]
        asking = [pool.submit(client.post, "/extract", json={"texts": [text]}) for text in wanted]
        until(lambda: slow.seen)
        slow.go.set()
        answers = [one.result().json()["found"][0] for one in asking]
        said = figures_of(client.get("/metrics").text)
    for text, found in zip(wanted[:-1], answers, strict=False):
        assert bare(found) == bare(alone[text])
        assert [one["probability"] for one in found] == pytest.approx([one["probability"] for one in alone[text]], abs=1e-4)
    assert said["lic_texts_total"] == len(wanted) == said["lic_requests_total"]
    assert said["lic_batches_total"] < len(wanted) and said["lic_waiting"] == 0


def test_a_long_text_pads_no_short_ones(events, monkeypatch):
    texts = [*TEXTS * 10, "桐湾市发生里氏4.6级地震。" * 16]
    alone = [bare(events([text])[0]) for text in texts]
    shapes, run_graph = [], events.engine.run

    def watched(graph, inputs, **options):
        shapes.append(inputs["ids"].shape)
        return run_graph(graph, inputs, **options)

    monkeypatch.setattr(events.engine, "run", watched)
    assert [bare(found) for found in events(texts)] == alone
    tokens = sum(len(encoding.ids) + 2 for encoding in events.tokenizer.encode_batch(texts))
    assert sum(rows * length for rows, length in shapes) < 1.3 * tokens and len(shapes) <= 4


def test_weights_that_are_no_numbers_are_one_fault(loose, tmp_path):  # noqa: F811
    run_folder = shutil.copytree(loose("event"), tmp_path / "run")
    weights = load_file(run_folder / "weights.safetensors")
    name = next(name for name, values in weights.items() if values.ndim == 2)
    weights[name][:] = np.nan
    save_file(weights, run_folder / "weights.safetensors")
    assert run(["export", "event", "--run", str(run_folder), "--out", str(tmp_path / "model")]) == 0
    with TestClient(make_app(Extractor(tmp_path / "model", threads=1))) as client:
        for _ in range(2):
            answer = client.post("/extract", json={"texts": TEXTS})
            assert answer.status_code == 500 and answer.json()["code"] == "LIC-I008"
        assert client.get("/health").status_code == 200 and figures_of(client.get("/metrics").text)["lic_failed_total"] >= 2


def test_a_fault_of_the_program_is_said_and_the_service_goes_on(events, caplog):
    class Broken(Slow):
        def __call__(self, texts, questions=None):
            if "毒" in texts:
                raise ZeroDivisionError("secret")
            return self._extractor(texts, questions)

    with TestClient(make_app(Broken(events))) as client:
        answer = client.post("/extract", json={"texts": ["毒"]})
        assert answer.status_code == 500 and answer.json()["code"] == "LIC-I013"
        assert "secret" not in answer.text and "ZeroDivisionError" in caplog.text
        assert client.post("/extract", json={"texts": TEXTS}).status_code == 200


@pytest.mark.parametrize(("track", "allowed"), [("event", True), ("reading", False)])
def test_the_service_keeps_to_its_openapi(model, track, allowed):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    mode = schemathesis.GenerationMode.POSITIVE if allowed else schemathesis.GenerationMode.NEGATIVE
    with listening(make_app(Extractor(model(track), threads=1))) as port:
        described = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        described.validate()
        operations = [found.ok() for found in described.get_all_operations()]
        assert len(operations) == 3
        for operation in operations:
            if allowed or operation.method == "post":
                check_cases(operation.as_strategy(generation_mode=mode), 20 if operation.method == "post" else 1)


def check_cases(cases, count):
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(cases)
    def check(case):
        case.call_and_validate()

    check()


def test_health_openapi_and_page(service):
    assert service.get("/health").json() == {"status": "ok", "track": "event", "design": "crf", "engine": "onnx", "waiting": 0}
    described = service.get("/openapi.json").json()
    assert set(described["paths"]) == {"/extract", "/health", "/metrics"}
    assert set(described["paths"]["/extract"]["post"]["responses"]) == {"200", "408", "413", "415", "422", "500", "503"}
    page = service.get("/")
    assert page.headers["content-type"].startswith("text/html") and '"asks": false' in page.text and "{{" not in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text) and "default-src 'none'" in page.headers["content-security-policy"]


@needs_browser
def test_the_page_shows_what_the_model_finds(events, tmp_path):
    with listening(make_app(events)) as port:
        page, complaints = seen(port, tmp_path, text=TEXTS[0])
    found = events(TEXTS[:1])[0]
    assert sorted(row[2] for row in page.cells[1:]) == sorted(one["text"] for one in found) != [] and complaints == []
    assert page.texts["marked"] == TEXTS[0]


def start(folder, *arguments):
    command = [sys.executable, "-m", "pipelines.cli", "serve", str(folder), "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder.parent, encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(model, number):
    process = start(model("event"), "--threads", "1")
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
        assert address, process.stderr.read()
        texts = ["桐湾市发生里氏4.6级地震。" * 30] * 12
        with send(int(address[1]), json.dumps({"texts": texts}).encode()) as line:
            until(lambda: figures(int(address[1])).get("lic_batches_total"))
            process.send_signal(number)
            status, answer = answer_of(line)
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert status == 200 and len(answer["found"]) == 12
    assert process.returncode == 0 and rest == "lic: ended\n"


def test_what_cannot_be_served(fault, tmp_path, model):
    assert fault("serve", tmp_path)[1] == ["LIC-I001"]
    assert fault("serve", model("event"), "--host", "203.0.113.7")[1] == ["LIC-I012"]
    assert fault("serve", model("event"), "--host", "nowhere.invalid")[:2] == (2, ["LIC-I012"])


@pytest.mark.parametrize("name", ["model.json", "vocab.txt", "schema.json", "graphs.json", "constants.safetensors", "emissions.onnx"])
def test_a_damaged_model_is_not_served(fault, tmp_path, model, name):
    folder = shutil.copytree(model("event"), tmp_path / "model")
    whole = (folder / name).read_bytes()
    place = len(whole) // 3
    (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    code, codes, said = fault("serve", folder)
    assert code == 2 and codes in (["LIC-I001"], ["LIC-I003"]) and name in said
    (folder / name).unlink()
    code, codes, said = fault("serve", folder)
    assert code == 2 and codes in (["LIC-I001"], ["LIC-I003"]) and name in said


def test_a_model_of_another_version_is_not_served(fault, tmp_path, model):
    folder = shutil.copytree(model("event"), tmp_path / "model")
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**about, "version": 7}), encoding="utf-8")
    assert fault("serve", folder)[:2] == (2, ["LIC-I002"])
