"""Work in threads keeps its order, raises what it raises, and makes no more ahead than it says."""

import threading

import pytest

from shared.workers import map_in_threads, one_ahead


def test_one_ahead_gives_all_and_makes_one():
    made, seen = [], []
    for item in one_ahead(made.append(number) or number for number in range(20)):
        seen.append(item)
        assert len(made) <= len(seen) + 1
    assert seen == list(range(20)) == made and list(one_ahead([])) == []


def test_one_ahead_raises_in_its_turn_and_ends_its_thread():
    def items():
        yield 1
        raise ValueError("no more")

    taken = one_ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="no more"):
        next(taken)
    early = one_ahead(iter(range(9)))
    next(early)
    early.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_keep_the_order_and_stop_at_a_fault(threads):
    assert list(map_in_threads(lambda number: number * number, range(50), threads=threads)) == [number * number for number in range(50)]
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise ValueError("two")
        return number

    with pytest.raises(ValueError, match="two"):
        list(map_in_threads(work, range(1000), threads=threads))
    assert len(begun) < 1000 and not [thread for thread in threading.enumerate() if thread.name.startswith("work")]


def test_work_really_runs_at_once():
    both = threading.Barrier(2, timeout=30)
    assert sorted(map_in_threads(lambda _: both.wait(), range(2), threads=2)) == [0, 1]
