"""A training that is killed at any moment goes on as if nothing had happened (rounds.py says what that means).

``make crash`` goes 200 rounds, spread over all points of a run; LIC_CRASH_ROUNDS=all takes every point once.
"""

import os
import random
import signal

from .rounds import KILL, by_kind, differing, go, outcome, spread, train_to_the_end

ROUNDS = os.environ.get("LIC_CRASH_ROUNDS", "10")
SEED = int(os.environ.get("LIC_CRASH_SEED", "5"))
FEW = 4 if ROUNDS == "10" else 20


def rounds_of(points, seconds, count, draws):
    """Plans: three of ten killed at a random moment, the rest at points; every third is killed again while it goes on, perhaps twice."""
    moments = count * 3 // 10
    first = [{"kill_after": draws.uniform(0, seconds)} for _ in range(moments)]
    first += [{"signals": {number: KILL}} for number in spread(points, count - moments, draws)]
    plans = []
    for number, stop in enumerate(first):
        again = draws.randint(1, 2) if number % 3 == 2 else 0
        later = [{"signals": {draws.randint(1, len(points)): KILL}} for _ in range(again)]
        plans.append([stop, *later])
    return plans


def test_a_killed_training_goes_on_as_if_nothing_had_happened(servers, reference, tmp_path):
    wanted, points, seconds, _ = reference
    draws = random.Random(SEED)
    if ROUNDS == "all":
        plans = [[{"signals": {number: KILL}}] for number in range(1, len(points) + 1)]
    else:
        plans = rounds_of(points, seconds, int(ROUNDS), draws)
    killed = []

    def check(server, place, plan):
        told = train_to_the_end(server, place, [], plan, toy=True)
        killed.append(sum(one["signal"] == KILL for one in told))
        assert not (different := differing(outcome(place / "run"), wanted)), different

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join([f"{len(faults)} of {len(plans)} rounds:", *faults])
    assert sum(killed) >= len(plans) * 8 // 10  # the harness does kill


def test_points_are_before_within_and_after_all_that_a_training_does_to_its_files(reference):
    kinds = by_kind(reference[1])
    for wanted in (
        "within write run/metrics.jsonl",
        "within write run/timing.jsonl",
        "within write run/.weights.safetensors.part",
        "within write run/.best.json.part",
        "within write run/.finished.json.part",
        "before fsync run/checkpoints/.N-step-N.part/.optimizer.safetensors.part",
        "before replace run/checkpoints/.N-step-N.part",
        "after replace run/checkpoints/.N-step-N.part",
        "before fsync-folder run/checkpoints",
        "before replace run/checkpoints/N-step-N",
        "after rmdir run/checkpoints/.N-step-N.part",
        "after unlink run/run.lock",
    ):
        assert wanted in kinds, (wanted, sorted(kinds))


def points_of_training(points):
    """Numbers of the points between the first step's figures and the last but one checkpoint."""
    lines = [number for number, point in enumerate(points, 1) if point == "after write run/metrics.jsonl"]
    return range(lines[0] + 1, lines[-3])


def test_a_disk_that_is_full_from_any_point_on(servers, reference, tmp_path):
    wanted, points, _, _ = reference
    draws = random.Random(SEED + 1)
    plans = spread(points[: len(points) - 10], FEW, draws)

    def check(server, place, number):
        told = train_to_the_end(server, place, [], [{"full_from": number}], toy=True)
        assert [one["code"] for one in told] == [1, 0] and told[0]["err"].count("[LIC-O001]") == 1, told[0]["err"]
        assert not (different := differing(outcome(place / "run"), wanted)), different

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join(faults)


def test_sigterm_and_ctrl_c_end_the_step_and_keep_it(servers, reference, tmp_path):
    wanted, points, _, _ = reference
    draws = random.Random(SEED + 2)
    inside = points_of_training(points)
    plans = [(number, draws.choice((signal.SIGTERM, signal.SIGINT))) for number in draws.sample(inside, FEW)]

    def check(server, place, plan):
        number, sent = plan
        told = train_to_the_end(server, place, [], [{"signals": {number: sent}}], toy=True)
        assert [one["code"] for one in told] == [128 + sent, 0], told[0]
        said = told[0]["err"].splitlines()
        assert said[-1] == {signal.SIGTERM: "lic: terminated", signal.SIGINT: "lic: interrupted"}[sent]
        step = told[0]["kept"]
        assert any(line.startswith(f"stopped after step {step}: go on with the same command and --resume") for line in said), said
        assert f"resumed at step {step} of 15" in told[1]["err"], told[1]["err"]
        assert not (different := differing(outcome(place / "run"), wanted)), different

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join(faults)


def test_a_second_signal_at_any_point_tears_nothing(servers, reference, tmp_path):
    wanted, points, _, _ = reference
    draws = random.Random(SEED + 3)
    inside = points_of_training(points)
    writing = [number for number, point in enumerate(points, 1) if point == "before write run/.weights.safetensors.part"]
    lines = by_kind(points)["before write run/metrics.jsonl"]
    plans = [{number: signal.SIGINT, number + 1: signal.SIGINT} for number in (writing[-1], lines[4], lines[6])]
    for number in draws.sample(inside, FEW):
        plans.append({number: signal.SIGTERM, number + draws.randint(1, 12): draws.choice((signal.SIGTERM, signal.SIGINT))})

    def check(server, place, signals):
        told = train_to_the_end(server, place, [], [{"signals": signals}], toy=True)
        assert told[0]["code"] in (130, 143), told[0]
        assert not (different := differing(outcome(place / "run"), wanted)), different

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join(faults)
