"""What the tests of several verbs need."""

import json

import pytest

from pipelines.cli import run


@pytest.fixture
def report(capfd):
    """Runs a command with --json and gives the one object that it prints."""

    def ask(*arguments):
        capfd.readouterr()
        assert run([*map(str, arguments), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return ask
