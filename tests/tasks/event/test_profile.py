from tasks.event.profile import profile
from tasks.event.records import Argument, Event, EventRecord
from tasks.event.schema import EventSchema

SCHEMA = EventSchema(("甲-得", "乙-失"), {"甲-得": ("人", "物"), "乙-失": ("人",)})


def record(text, *events, line=1):
    return EventRecord(str(line), text, events, line)


def event(kind, *arguments, trigger=None):
    return Event(kind, trigger, None, tuple(Argument(role, text, start) for role, text, start in arguments))


def kinds(made):
    return [(what, index) for what, index, _ in made.suspects]


def test_lengths_labels_and_keys():
    rows = [record("温青禾得到旧伞", event("甲-得", ("人", "温青禾", 0), ("物", "旧伞", 5))), EventRecord("2", "简宁丢了船", None, 2)]
    made = profile(rows, SCHEMA)
    assert made.lengths == {"text": [7, 5]} and made.lines == [1, 2] and made.labelled == 1
    assert made.labels == {"type": {"甲-得": 1}, "role": {"甲-得 · 人": 1, "甲-得 · 物": 1}}
    assert made.known == {"type": ("甲-得", "乙-失"), "role": ("甲-得 · 人", "甲-得 · 物", "乙-失 · 人")}
    assert made.keys == {"text": ["温青禾得到旧伞", "简宁丢了船"]} and made.answers[1] is None
    assert profile(rows, None).known == {} and not made.suspects


def test_overlaps():
    rows = [
        record("温青禾得到旧伞", event("甲-得", ("人", "温青禾", 0)), event("乙-失", ("人", "温青禾", 0))),
        record("温青禾和简宁得到伞", event("甲-得", ("人", "温青禾", 0), ("人", "简宁", 4)), event("甲-得", ("物", "温青", 0))),
        record("温青禾得到旧伞旧伞", event("甲-得", ("人", "青禾得", 1), ("物", "旧伞", 7)), event("甲-得", ("人", "温青禾", 0))),
        record("温青禾得到旧伞", event("甲-得")),
    ]
    assert profile(rows, SCHEMA).overlaps == {
        "several events": 3,
        "several events of one type": 2,
        "a role filled twice in one event": 1,
        "one span in several roles": 1,
        "an argument inside another": 1,
        "arguments that cross": 1,
        "an argument that occurs several times": 1,
    }


def test_suspicious_places():
    rows = [
        record("温青禾得到旧伞", line=1),
        record("温青禾得到旧伞", event("甲-得", trigger="得到"), event("乙-失", ("人", "温青禾", 0), ("人", "温青禾", 0)), line=2),
        record("温青禾得到旧伞", event("甲-得", ("物", "得到", 3), ("人", "温", 0), trigger="得到"), line=3),
        record("简宁得到\x07伞", event("甲-得", ("人", "简宁", 0)), line=4),
    ]
    assert kinds(profile(rows, SCHEMA)) == [
        ("labelled texts without an event", 0),
        ("arguments given twice", 1),
        ("events without an argument", 1),
        ("arguments equal to their trigger", 2),
        ("arguments of one character", 2),
        ("texts with a control character", 3),
    ]


def test_answers_tell_labels_and_not_their_order_or_repetition():
    one, other = ("人", "温青禾", 0), ("物", "旧伞", 5)
    text = "温青禾得到旧伞"
    orders = (event("甲-得", one, other),), (event("甲-得", other), event("甲-得", one, one)), (event("甲-得", one),)
    same, again, different = profile([record(text, *order) for order in orders], SCHEMA).answers
    assert same == again != different
