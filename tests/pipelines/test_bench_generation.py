"""``lic bench generation`` at a tiny size: every engine writes what the uncached search writes, and is timed."""

import pytest

from pipelines.bench_generation import generation

TINY = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "sources": 2, "shortest": 5, "longest": 8, "target": 4, "words": 20, "repeats": 1}


def test_every_candidate_is_timed_beside_the_uncached_search():
    report = generation(**TINY, beams=(1, 2), engines=("eager", "static"))
    assert [(row["beam"], row["name"]) for row in report["rows"]] == [(beam, name) for beam in (1, 2) for name in ("uncached", "eager", "static")]
    for row in report["rows"]:
        uncached = next(other for other in report["rows"] if other["beam"] == row["beam"])
        assert row["step_ms"] > 0 and row["ratio"] == pytest.approx(uncached["step_ms"] / row["step_ms"])


def test_counts_below_1_are_refused():
    with pytest.raises(ValueError, match="target 0"):
        generation(**{**TINY, "target": 0})
