"""What titles are scored with, where and how they differ from gold, what takes no learning, and the file to hand in."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from tasks.registry import get_task
from tasks.title import submission
from tasks.title.baseline import lead
from tasks.title.predictions import Prediction
from tasks.title.records import TitleRecord, write_records

TASK = get_task("title")
ROWS = [
    TitleRecord("白露昨天得了一把旧伞,后来丢了.", "白露RBF得伞记", 1),
    TitleRecord("今天没有事", "无事", 2),
    TitleRecord("简宁丢了他的船票", "船票", 3),
]
TITLES = st.text(st.sampled_from("白露得伞记rRbB .，"), max_size=10)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TITLES, TITLES.filter(str.strip)), min_size=1, max_size=4))
def test_scores_are_the_means_of_the_articles_libraries(pairs):
    rouge = pytest.importorskip("rouge")
    translate = pytest.importorskip("nltk.translate.bleu_score")
    rows = [TitleRecord("白露", gold) for _, gold in pairs]
    told = TASK.score(rows, [[Prediction(text, 1.0)] for text, _ in pairs])
    sums = dict.fromkeys(TASK.shown_scores, 0.0)
    for made, gold in pairs:
        made, gold = " ".join(made).lower(), " ".join(gold).lower()
        if made.strip():
            try:
                exact = rouge.Rouge(exclusive=False).get_scores(made, gold)[0]
                sums["rouge_1"] += exact["rouge-1"]["f"]
                sums["rouge_2"] += exact["rouge-2"]["f"]
                sums["rouge_l"] += rouge.Rouge().get_scores(made, gold)[0]["rouge-l"]["f"]
            except ValueError:  # full stops only
                pass
            smoothing = translate.SmoothingFunction().method1
            sums["bleu"] += translate.sentence_bleu([gold.split(" ")], made.split(" "), smoothing_function=smoothing)
    assert {name: told[name] for name in sums} == pytest.approx({name: total / len(pairs) for name, total in sums.items()}, abs=1e-9)
    assert (told["records"], told["empty"]) == (len(pairs), sum(not made.strip() for made, _ in pairs)) and TASK.shown_scores[-1] == "bleu"


def test_case_does_not_count_and_an_empty_title_scores_nothing():
    told = TASK.score(ROWS, [[Prediction("白露rbf得伞记", 0.5)], [Prediction("", 0.1)], [Prediction("船票", 1.0)]])
    assert told["rouge_1"] == pytest.approx(2 / 3) and told["empty"] == 1 and told["records"] == 3
    assert TASK.score([], [])["bleu"] == 0.0
    (mistake,) = TASK.mistakes(ROWS, [[Prediction("白露rbf得伞记", 0.5)], [Prediction("", 0.1)], [Prediction("船票", 1.0)]])
    assert (mistake["line"], mistake["fault"], mistake["gold"], mistake["predicted"]) == (2, "missing", {"title": "无事"}, None)
    wrong = TASK.mistakes(ROWS[2:], [[Prediction("船", 0.5)]])[0]
    assert wrong["fault"] == "other words" and 0 < wrong["bleu"] < 1 and wrong["predicted"] == {"title": "船", "probability": 0.5}


def test_the_beginning_is_the_baseline():
    assert [row[0].text for row in lead([*ROWS, TitleRecord("，。"), TitleRecord("白" * 50)])] == [
        "白露昨天得了一把旧伞,后来丢了.", "今天没有事", "简宁丢了他的船票", "。", "白" * 50,
    ]  # fmt: skip
    longer = TitleRecord("针对旧城灯塔故障诊断中精度不高的问题,提出一种以双层潮汐网络为核心的方法。试验表明误差降低", None)
    assert lead([longer])[0][0].text == "针对旧城灯塔故障诊断中精度不高的问题"
    assert TASK.baseline([], [longer]) == lead([longer])


def test_a_reranker_is_refused():
    with pytest.raises(InputError) as caught:
        _ = TASK.candidates.evidence
    assert [problem.code for problem in caught.value.problems] == ["LIC-T002"]


# -- the file to hand in -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4))
def test_any_titles_come_back_from_the_zip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("zip") / "title.zip"
    rows = [tuple(part.encode("utf-8", "ignore").decode() for part in row) for row in rows]
    submission.write_submission(path, rows)
    if rows:
        assert submission.read_submission(path) == rows == submission.read_submission(path.with_suffix(".json"))


def checked(tmp_path, rows, against=ROWS):
    write_records(tmp_path / "test.jsonl", [TitleRecord(row.text) for row in against])
    submission.write_submission(tmp_path / "title.zip", rows)
    problems = TASK.check_submission(tmp_path / "title.zip", against=tmp_path / "test.jsonl")
    return [(problem.code, problem.line) for problem in problems]


def test_faults_of_a_zip(tmp_path):
    good = [(row.text, row.title) for row in ROWS]
    assert checked(tmp_path, good) == []
    assert checked(tmp_path, good[:2]) == [("LIC-S005", None)]
    assert checked(tmp_path, [*good, ("别的", "题")]) == [("LIC-S006", None)]
    assert checked(tmp_path, [*good, good[0]]) == [("LIC-D016", 4)]
    assert checked(tmp_path, [*good, good[0]], [*ROWS, ROWS[0]]) == []
    assert checked(tmp_path, [*good, (good[0][0], "另一题")], [*ROWS, ROWS[0]]) == [("LIC-D016", 4)]
    assert checked(tmp_path, [good[0], (good[1][0], " "), (good[2][0], "船\n票")]) == [("LIC-D012", 2), ("LIC-S040", 3)]


def test_files_are_scored_by_text(tmp_path):
    write_records(tmp_path / "gold.jsonl", ROWS)
    made = [[Prediction("旧伞", 1.0)], [Prediction("无事", 1.0)], [Prediction("票", 1.0)]]
    TASK.write_submission(tmp_path / "title.zip", ROWS[::-1], made[::-1], None)
    assert TASK.score_files(tmp_path / "gold.jsonl", tmp_path / "title.zip") == TASK.score(ROWS, made)
    (tmp_path / "bare.json").write_text(json.dumps({"abst": ROWS[1].text, "title": "无事"}, ensure_ascii=False) + "\n", encoding="utf-8")
    told = TASK.score_files(tmp_path / "gold.jsonl", tmp_path / "bare.json")
    assert told["empty"] == 2 and told["rouge_1"] == pytest.approx(1 / 3)
    with pytest.raises(InputError) as caught:
        TASK.score_files(tmp_path / "gold.jsonl", tmp_path / "bare.json", alias=tmp_path / "alias.json")
    assert [problem.code for problem in caught.value.problems] == ["LIC-F006"]
    (tmp_path / "bad.json").write_text('{"abst": "今天没有事"}\n', encoding="utf-8")
    with pytest.raises(InputError):
        TASK.score_files(tmp_path / "gold.jsonl", tmp_path / "bad.json")
