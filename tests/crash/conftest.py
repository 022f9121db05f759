"""Servers of children, and the run that was never interrupted."""

import sys

import pytest

from .rounds import Server, check_while_down, outcome


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """As many as run at once."""
    if sys.platform != "linux":
        pytest.skip("forks, and reads /proc")
    folder = tmp_path_factory.mktemp("servers")
    made = [Server(folder / str(number)) for number in range(2)]
    yield made
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def reference(servers, tmp_path_factory):
    """(what an uninterrupted toy run comes to, the points it passes, its seconds, its folder)."""
    place = tmp_path_factory.mktemp("reference")
    told = servers[0].ask(place, ["train", "event", "--run", "run"], toy=True)
    assert told["code"] == 0, told["err"]
    check_while_down(place / "run", told["kept"])
    return outcome(place / "run"), told["points"], told["seconds"], place / "run"
