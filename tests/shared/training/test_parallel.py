"""Two processes train as one does on the same settings, whose batch is then the double of each one's."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from shared.features.batches import token_budget_batches
from shared.training.checkpoint import load_arrays
from shared.training.order import DataOrder
from shared.training.parallel import Ranks, join, launched_world
from shared.training.run_state import capture
from shared.training.snapshots import save_snapshot

from . import ranks_script as script
from . import toy

LOST = "the processes did not come to their end"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where one process and where two left what they found."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    stopped = script.training(Ranks())
    for count, _ in enumerate(stopped.run(), start=1):
        if count == script.STOP:
            break
    save_snapshot(two / "one", capture(stopped), b"", keep=1)
    environment = {**os.environ, "PADDLE_DISTRI_BACKEND": "gloo", "OMP_NUM_THREADS": "1"}
    environment.pop("LIC_THREADS", None)
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", str(two / "log")]
    process = subprocess.Popen(
        [*command, str(Path(script.__file__)), str(two)], env=environment, cwd=two, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    script.run(one, Ranks())
    output, _ = process.communicate(timeout=300)
    logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted((two / "log").glob("workerlog.*")))
    assert process.returncode == 0, f"{LOST}: {output[-2000:]}\n{logs}"
    return one, two


def figures(folder, name, rank=0):
    return json.loads((folder / f"{name}-{rank}.json").read_text())


def weights(folder, name, rank=0):
    return load_arrays(folder / f"{name}-{rank}.safetensors")[0]


def near(found, expected, tolerance):
    """To ``tolerance`` of each tensor's largest number."""
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance * np.abs(value).max(), err_msg=key)


# -- one process and two -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", script.TRAININGS)
def test_two_ranks_follow_the_curve_of_one_process(folders, name):
    one, two = folders
    alone, together = figures(one, name), figures(two, name)
    assert len(together["losses"]) >= 20 and together["tokens"] == alone["tokens"]
    differences = name in ("central", "one_sided")  # the penalty's difference quotient has a step of its own for each share
    tolerance = 1e-4 if differences else 1e-5
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=tolerance)
    np.testing.assert_allclose(together["scores"], alone["scores"], rtol=tolerance, atol=1e-6)
    assert len(alone["scores"]) >= 2 and [len(row) for row in together["scores"]] == [len(toy.LENGTHS)] * len(alone["scores"])
    for ours, theirs in zip(together["extra"], alone["extra"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-7)
    near(weights(two, name), weights(one, name), 1e-3 if differences else 1e-5)


@pytest.mark.parametrize("name", [*script.TRAININGS, "straight", "resumed", "widened"])
def test_both_ranks_hold_the_same_weights_and_say_the_same(folders, name):
    _, two = folders
    toy.equal(weights(two, name, 0), weights(two, name, 1))
    first, second = figures(two, name, 0), figures(two, name, 1)
    first.pop("rows", None), second.pop("rows", None)
    assert first == second


@pytest.mark.parametrize("name", script.TRAININGS)
def test_every_row_once_an_epoch(folders, name):
    one, two = folders
    made = toy.settings(**script.TRAININGS[name])
    order = DataOrder(toy.LENGTHS, made)
    expected = Counter((order.epoch_of(index), int(row)) for index in range(order.total_steps) for row in order.batch(index))
    shares = [Counter((epoch, row) for epoch, *rows in figures(two, name, rank)["rows"] for row in rows) for rank in (0, 1)]
    assert shares[0] + shares[1] == expected and set(expected.values()) == {1} and not shares[0] & shares[1]
    assert Counter((epoch, row) for epoch, *rows in figures(one, name)["rows"] for row in rows) == expected
    assert all((epoch, row) in expected for epoch in range(int(made.epochs)) for row in range(len(toy.LENGTHS)))


def test_some_shares_were_empty_and_some_uneven(folders):
    """Else the tests above say nothing of them."""
    _, two = folders
    sizes = [len(rows) for rows in token_budget_batches(toy.LENGTHS, 18, seed=toy.SETTINGS.seed, epoch=0)]
    assert 1 in sizes and any(size % 2 for size in sizes if size > 1)
    assert len(figures(two, "uneven", 1)["rows"]) == len(sizes) - sizes.count(1) == len(figures(two, "uneven", 0)["rows"]) - sizes.count(1)


# -- going on ----------------------------------------------------------------------------------------------------


def test_as_many_ranks_go_on_bit_for_bit(folders):
    _, two = folders
    resumed, straight = figures(two, "resumed"), figures(two, "straight")
    assert resumed.pop("remarks") == [] and resumed == straight
    for rank in (0, 1):
        toy.equal(weights(two, "resumed", rank), weights(two, "straight", rank))


def test_two_go_on_where_one_stopped_and_it_is_said(folders):
    one, two = folders
    widened, alone = figures(two, "widened"), figures(one, "plain")
    (remark,) = widened["remarks"]
    assert "written by 1 processes and 2 go on" in remark
    done = len(alone["losses"]) - len(widened["losses"])
    assert 0 < done < script.STOP
    np.testing.assert_allclose(widened["losses"], alone["losses"][done:], rtol=1e-5)
    near(weights(two, "widened"), weights(one, "plain"), 1e-5)


def test_a_loss_that_one_rank_alone_finds_broken_stops_both_at_once(folders):
    _, two = folders
    first, second = figures(two, "divergence", 0), figures(two, "divergence", 1)
    assert first == second and sorted(first) == ["central", "fgm", "one_sided", "plain"]
    assert all(code == "LIC-N001" and sound for code, _, sound in first.values())


# -- the meetings ------------------------------------------------------------------------------------------------


def test_meetings(folders):
    _, two = folders
    first, second = figures(two, "meetings", 0), figures(two, "meetings", 1)
    for found in (first, second):
        assert found["gradients"] == [[3.0], [0.25], None, [5.0]]
        assert found["half"][0].endswith("float32") and found["half"][1] == [1.0] * 4  # a master gradient, on the rank without one too
        assert found["numbers"][:3] == [0.2, 1.0, 2.0**54] and np.isnan(found["numbers"][3])
        assert found["gathered"] == [{"rank": 0, "text": "甲"}, {"rank": 1, "text": "甲" * 101}]
        assert found["merged"] == ["00", "10", "01", "11", "02"] and found["empty"] == []
        assert found["shared"] == first["before"] != second["before"]
    assert first["world"] == [0, 2, True, 2, True] and second["world"] == [1, 2, False, 2, True]


def test_one_process_meets_nobody():
    ranks = join()
    assert ranks == Ranks() and ranks.first
    assert ranks.sum_numbers([1.5, 2]) == [1.5, 2] and ranks.gather("x") == ["x"] and ranks.merge([1, 2]) == [1, 2]
    layer = toy.Tagger()
    before = toy.weights_of(layer)
    ranks.share_weights(layer), ranks.sum_gradients(layer.parameters()), ranks.wait()
    toy.equal(toy.weights_of(layer), before)


def test_what_launch_says():
    assert launched_world({}) == launched_world({"PADDLE_TRAINERS_NUM": "1"}) == launched_world({"PADDLE_TRAINERS_NUM": "two"}) == 1
    assert launched_world({"PADDLE_TRAINERS_NUM": "4"}) == 4
