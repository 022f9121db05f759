"""A service that listens at a socket of this process, for tests of what only a socket shows."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import uvicorn


@contextmanager
def listening(app):
    """Serves ``app`` until the block ends; yields the port."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield place.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()


def send(port, body, *, announced=None, kind="application/json"):
    """A connection over which a request to /extract has gone out, its answer not read yet."""
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"POST /extract HTTP/1.1\r\nHost: lic\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if announced is None else announced}\r\n\r\n"
    line.sendall(head.encode() + body)
    return line


def answer_of(line):
    """(status, JSON) of the answer that comes over a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = line.recv(1 << 16)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")]
    while len(body) < lengths[0]:
        more = line.recv(1 << 16)
        assert more, data
        body += more
    return int(head.split()[1]), json.loads(body)


class Slow:
    """Stands where an extractor does; a text is read when ``go`` is set, and what was read is in ``seen``."""

    def __init__(self, extractor):
        self.go, self.seen, self._extractor = threading.Event(), [], extractor

    def __getattr__(self, name):
        return getattr(self._extractor, name)

    def __call__(self, texts, questions=None):
        self.seen += texts
        assert self.go.wait(30)
        return self._extractor(texts, questions)


def until(done):
    patience = time.monotonic() + 30
    while not done():
        assert time.monotonic() < patience
        time.sleep(0.01)
