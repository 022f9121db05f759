"""What the answer's type alone finds: the official scores of all candidates, each equally likely."""

import pytest

from tasks.reading.baseline import type_only


def test_every_candidate_counts_equally():
    told = type_only({"a": ["海螺湾", "岑若川", "旧伞", "九条船"], "b": ["12元", "7元"]}, {"a": ["海螺湾"], "b": ["12元"]})
    assert told["em"] == (1 / 4 + 1 / 2) / 2
    # 7元 shares 元 with 12元: one token of two on both sides
    assert told["f1"] == pytest.approx((1 / 4 + (1 + 1 / 2) / 2) / 2)


def test_the_best_reference_and_a_repeated_value_count():
    assert type_only({"a": ["每人12元", "7块", "7块", "12元"]}, {"a": ["每人12元", "12元"]}) == {"em": 0.5, "f1": 0.5}


def test_only_questions_with_references_count():
    assert type_only({"a": ["旧伞"], "z": ["九条船"]}, {"a": ["旧伞"]}) == {"em": 1.0, "f1": 1.0}
    assert type_only({}, {}) == {"em": 0.0, "f1": 0.0}


@pytest.mark.parametrize("candidates", [{}, {"a": []}])
def test_a_question_needs_candidates(candidates):
    with pytest.raises(ValueError, match="'a'"):
        type_only(candidates, {"a": ["旧伞"]})
