"""The page of the service in a browser: the text marked, overlapping marks and all, and nothing that a text says done."""

import importlib
from types import SimpleNamespace

from pipelines.serve_app import make_app
from pipelines.serve_request import Limits

from .browser import needs_browser, seen
from .serving import listening

pytestmark = needs_browser
TEXT = "𠮷川与<b onclick='x()'>星海大学</b> &amp; 桐湾的<script>document.title = 'taken'</script>\n远山"


class Told:
    """Stands where an extractor does and finds what it is told, in every text."""

    def __init__(self, track, rows):
        module = importlib.import_module(f"tasks.{track}.extraction")
        self.track, self.design, self.engine, self.rows = track, module.DESIGNS[0], SimpleNamespace(name="none"), rows
        self.finding, self.example, self.asks = module.FINDING, module.EXAMPLE, track == "reading"

    def __call__(self, texts, questions=None):
        return [self.rows for _ in texts]

    def cut_questions(self, questions):
        return [number for number, one in enumerate(questions) if len(one) > 9]


def test_overlapping_arguments_are_marked_and_no_markup_is_run(tmp_path):
    def argument(role, text, probability):
        start = TEXT.index(text)
        return {"type": "迁址", "role": role, "text": text, "start": start, "end": start + len(text), "probability": probability, "events": [0]}

    whole = "𠮷川与<b onclick='x()'>星海大学"
    rows = [argument("谁", whole, 0.9), argument("校", "星海大学", 0.8), argument("名", "星海", 0.25), argument("处", "远山", 1.0)]
    with listening(make_app(Told("event", rows))) as port:
        page, complaints = seen(port, tmp_path, text=TEXT)
    assert page.texts["marked"] == TEXT and page.inside == {"mark", "span"} and page.texts.get("title") == "事件抽取 · events"
    assert [(text, title.split("\n")) for text, title in page.pieces] == [
        ("𠮷川与<b onclick='x()'>", ["迁址 · 谁 90%"]),
        ("星海", ["迁址 · 谁 90%", "迁址 · 校 80%", "迁址 · 名 25%"]),
        ("大学", ["迁址 · 谁 90%", "迁址 · 校 80%"]),
        ("远山", ["迁址 · 处 100%"]),
    ]
    assert page.tags == ["名 25%", "谁 90%", "校 80%", "处 100%"]
    assert page.cells[1:] == [["1", "迁址", row["role"], row["text"], f"{row['start']}–{row['end']}", f"{row['probability']:.3f}"] for row in rows]
    assert complaints == []


def test_triples_share_a_subject(tmp_path):
    def triple(predicate, **slots):
        spans = {slot: [TEXT.index(text), TEXT.index(text) + len(text)] for slot, text in slots.items()}
        named = {"@value" if slot == "value" else slot: text for slot, text in slots.items()}
        spans = {"@value" if slot == "value" else slot: span for slot, span in spans.items()}
        return {"subject": "𠮷川", "predicate": predicate, "object": named, "subject_span": [0, 2], "object_spans": spans, "probability": 0.5}

    rows = [triple("母校", value="星海大学"), triple("获奖", value="远山", onDate="桐湾")]
    with listening(make_app(Told("relation", rows))) as port:
        page, complaints = seen(port, tmp_path, text=TEXT)
    assert [text for text, _ in page.pieces] == ["𠮷川", "星海大学", "桐湾", "远山"] and page.texts["marked"] == TEXT
    assert page.tags == ["主体 subject 50%", "母校 50%", "获奖 · onDate 50%", "获奖 50%"] and complaints == []
    assert page.cells[1:] == [["𠮷川", "母校", "星海大学", "0.500"], ["𠮷川", "获奖", "远山\nonDate: 桐湾", "0.500"]]


def test_a_question_and_what_goes_wrong(tmp_path):
    rows = [{"text": "1987", "start": 4, "end": 8, "probability": 0.75}, {"text": "", "start": 0, "end": 0, "probability": 0.25}]
    with listening(make_app(Told("reading", rows), Limits(characters=60))) as port:
        page, complaints = seen(port, tmp_path / "one", text="它创办于1987年。", question="它是哪一年创办的？？？")
        assert page.cells[1:] == [["1987", "4–8", "0.750"], ["（无答案 · no answer）", "0–0", "0.250"]]
        assert page.pieces == [["1987", "答案 answer 75%"]] and "问题过长" in page.texts["said"] and complaints == []
        page, _ = seen(port, tmp_path / "two", text="长" * 61, question="谁")
    assert "[LIC-I009] found a text of 61 characters" in page.texts["said"] and "请求过大" in page.texts["said"] and page.pieces == []
