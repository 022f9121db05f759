"""Pictures hold what they show, in files that need nothing else."""

import re
import unicodedata
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pipelines.picture import WIDEST, Mark, draw_table, draw_text, marks_of

SVG = "{http://www.w3.org/2000/svg}"


def words(path):
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


def visible(text):
    return [character for character in text if unicodedata.category(character)[0] in "LNPS"]


def test_a_table_as_text(tmp_path):
    table = Table(title="scores")
    table.add_column("track")
    table.add_column("F1")
    table.add_row("relation <&>", "0.8123")
    draw_table(table, tmp_path / "table.svg")
    shown = " ".join(words(tmp_path / "table.svg")).replace("\u00a0", " ")
    assert "relation <&>" in shown and "0.8123" in shown and "scores" in shown
    assert not re.search(r"https?://(?!www\.w3\.org)", (tmp_path / "table.svg").read_text(encoding="utf-8"))


def test_relation_event_and_reading_become_marks():
    relation = {"predicate": "导演", "subject_span": [0, 1], "object_spans": {"@value": [2, 4], "inArea": [5, 6]}, "probability": 0.9}
    event = {"type": "人生-结婚", "role": "时间", "text": "昨天", "start": 3, "end": 5, "probability": 0.5}
    reading = {"text": "三年", "start": 1, "end": 3, "probability": 0.25}
    assert marks_of([relation, event, reading]) == [
        [Mark(0, 1, "导演"), Mark(2, 4, "→"), Mark(5, 6, "→ inArea")],
        [Mark(3, 5, "人生-结婚 · 时间")],
        [Mark(1, 3, "0.25")],
    ]


def test_bars_stand_under_their_characters(tmp_path):
    draw_text("雾ab山", [[Mark(0, 1, "甲"), Mark(3, 4, "乙")]], tmp_path / "text.svg")
    places = [float(span.get("x")) for span in ElementTree.parse(tmp_path / "text.svg").iter(f"{SVG}tspan")]
    bars = [bar for bar in ElementTree.parse(tmp_path / "text.svg").iter(f"{SVG}rect") if bar.get("x")]
    assert [float(bar.get("x")) for bar in bars] == [places[0], places[3]]
    assert places[1] - places[0] == 2 * (places[2] - places[1])
    assert words(tmp_path / "text.svg") == ["雾ab山", "甲", "乙"]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=3 * WIDEST), st.data())
def test_any_text_makes_a_picture(tmp_path_factory, text, data):
    path = tmp_path_factory.mktemp("picture") / "text.svg"
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    draw_text(text, [[Mark(*ends, "标 <&>")]], path)
    drawn = "".join(span.text for span in ElementTree.parse(path).iter(f"{SVG}tspan"))
    assert visible(drawn) == visible(text)
