import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text.overlap import bleu, lcs_length, mean_text_scores, rouge_l, rouge_n, text_scores, token_f1

# computed with rouge 1.0.0 and nltk 3.2.5, the versions of article 7259
GOLDEN = [
    ("今天天气不错", "今天的天气真不错", 0.8571428522448981, 0.499999995138889, 0.8333333284722222, 0.10714642219733597),
    ("中文文文信息", "中文信息抽取", 0.6666666616666668, 0.5999999950000001, 0.7999999952000001, 0.24028114141347542),
    ("the cat. the dog", "The dog. A cat", 0.8181818132231407, 0.6999999950500001, 0.999999995, 0.6289868866690355),
]
TEXT = st.text(st.sampled_from("abcdAB .天地"), max_size=14)
TOKENS = st.lists(st.integers(0, 4), max_size=12)


@pytest.mark.parametrize(("prediction", "reference", "one", "two", "l", "score"), GOLDEN)
def test_golden_values(prediction, reference, one, two, l, score):
    assert text_scores(prediction, reference) == pytest.approx((one, two, l, score), abs=1e-12)


def test_repeated_ngrams_count_as_often_as_on_both_sides_or_once():
    assert rouge_n("aab", "aac") == pytest.approx(2 / 3) and rouge_n("aab", "aac", distinct=True) == pytest.approx(1 / 2)
    assert rouge_n("abab", "abxab", 2) == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert rouge_l("aabb", "aabb") == pytest.approx(1.0)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_equal_to_the_rouge_package(prediction, reference):
    rouge = pytest.importorskip("rouge")
    try:
        theirs = rouge.Rouge(exclusive=False).get_scores(" ".join(prediction).lower(), " ".join(reference).lower())[0]
        exclusive = rouge.Rouge(exclusive=True).get_scores(" ".join(prediction).lower(), " ".join(reference).lower())[0]
    except ValueError:  # an empty side
        assert text_scores(prediction, reference)[:3] == (0.0, 0.0, 0.0)
        return
    ours, distinct = text_scores(prediction, reference), text_scores(prediction, reference, distinct=True)
    assert ours[:2] == pytest.approx((theirs["rouge-1"]["f"], theirs["rouge-2"]["f"]), abs=1e-12)
    assert distinct[:3] == pytest.approx(tuple(exclusive[name]["f"] for name in ("rouge-1", "rouge-2", "rouge-l")), abs=1e-12)
    assert ours.rouge_l == distinct.rouge_l  # rouge 1.0.0 counts distinct tokens here whatever is asked


@settings(deadline=None)
@given(TOKENS, TOKENS)
def test_equal_to_nltk(prediction, reference):
    translate = pytest.importorskip("nltk.translate.bleu_score")
    theirs = translate.sentence_bleu([reference], prediction, smoothing_function=translate.SmoothingFunction().method1)
    assert bleu(prediction, reference) == pytest.approx(theirs, abs=1e-12)


@given(TOKENS, TOKENS)
def test_longest_common_subsequence_against_its_recurrence(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, left in enumerate(first, start=1):
        for j, right in enumerate(second, start=1):
            table[i][j] = table[i - 1][j - 1] + 1 if left == right else max(table[i - 1][j], table[i][j - 1])
    assert lcs_length(first, second) == table[-1][-1]


@given(TOKENS, TOKENS)
def test_scores_lie_between_nothing_and_identity(prediction, reference):
    for score in (rouge_n, rouge_l, bleu, token_f1):
        assert 0.0 <= score(prediction, reference) <= 1.0
        if not set(prediction) & set(reference):
            assert score(prediction, reference) == 0.0
        if prediction and score is not bleu:
            assert score(prediction, prediction) == pytest.approx(1.0)
    assert token_f1(prediction, reference) == token_f1(reference, prediction)


def test_bleu_and_f1_by_hand():
    assert bleu("abcd", "abcd") == pytest.approx(1.0)
    assert bleu("abcde", "abcdf", max_n=2) == pytest.approx((4 / 5 * 3 / 4) ** 0.5)
    assert token_f1([1, 1, 2], [1, 2, 2, 3]) == pytest.approx(4 / 7)


def test_an_empty_side_scores_nothing():
    assert text_scores("", "天气") == text_scores("天气", "") == text_scores(" ", "天") == text_scores("", "") == (0, 0, 0, 0)
    assert token_f1([], []) == rouge_l([], []) == bleu([], []) == rouge_n([], [], 2) == 0.0


def test_means_and_bad_input():
    pairs = [("今天", "今天"), ("", "今天")]
    assert mean_text_scores(pairs) == pytest.approx([sum(column) / 2 for column in zip(*(text_scores(*pair) for pair in pairs), strict=True)])
    for call in (lambda: mean_text_scores([]), lambda: rouge_n("a", "a", 0), lambda: bleu("a", "a", max_n=0)):
        with pytest.raises(ValueError, match="at least 1"):
            call()
