"""A page as headless Chromium shows it, for tests."""

import os
import shutil
import subprocess
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


class Page(HTMLParser):
    """``pieces``: (text, title) of every mark; ``tags``: texts; ``cells``: rows of the table; ``texts``: what stands in an element, by its id."""

    EMPTY = frozenset({"meta", "link", "input", "br"})

    def __init__(self, source):
        super().__init__()
        self.open, self.pieces, self.tags, self.cells, self.texts, self.inside = [], [], [], [], {}, set()
        self.feed(source)

    def handle_starttag(self, name, attributes):
        given = dict(attributes)
        if name not in self.EMPTY:
            self.open.append((name, given))
        if any(one.get("id") == "marked" for _, one in self.open[:-1]):
            self.inside.add(name)
        if name == "mark":
            self.pieces.append(["", given["title"]])
        elif given.get("class") == "tag":
            self.tags.append("")
        elif name == "tr":
            self.cells.append([])
        elif name in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, name):
        while self.open and self.open.pop()[0] != name:
            pass

    def handle_data(self, data):
        if not self.open:
            return
        name, given = self.open[-1]
        if name == "mark":
            self.pieces[-1][0] += data
        if given.get("class") == "tag":
            self.tags[-1] += data
            return
        if any(one in ("td", "th") for one, _ in self.open):
            self.cells[-1][-1] += data
        for _, one in self.open:
            if one.get("id"):
                self.texts[one["id"]] = self.texts.get(one["id"], "") + data


def seen(port, folder, **values):
    """The page after it has asked for what its address says."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=10000", "--dump-dom", f"http://127.0.0.1:{port}/?{urlencode(values)}"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, env={**os.environ, "HOME": str(folder)})
    assert "data-done" in done.stdout, done.stderr
    return Page(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
