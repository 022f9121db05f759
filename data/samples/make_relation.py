"""Writes the relation track's sample files: invented sentences about invented people, works, companies and places.

``python data/samples/make_relation.py`` gives the same bytes every time. Predicates, slots and type names are those of DuIE 2.0; every
sentence and name is our own. Names of dev and the tests never stand in train; test A has train's frames, test B frames of its own.

The traps of real data are put in on purpose: several objects of one subject and predicate, one pair under two predicates, subjects that are
objects too, equal or nested mentions, mentions that occur twice, two values that each have slots of their own, labels with their title
brackets, blanks, U+3000, full-width forms, emoji, Latin names in mixed case, two sentences in one text, and texts of more than 200 characters.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

from invented import FILLER, Inventor, choose, date, dress, full_width, write_lines
from relation_frames import HELD_OUT, TRAIN, frames

SEED = 20200331
SPLITS = {"train": (1800, TRAIN), "dev": (120, TRAIN), "test_a": (200, TRAIN), "test_b": (120, HELD_OUT)}
"""Name to number of records and frames."""

SCHEMA = {
    "毕业院校": ("人物", "学校"),
    "妻子": ("人物", "人物"),
    "丈夫": ("人物", "人物"),
    "父亲": ("人物", "人物"),
    "母亲": ("人物", "人物"),
    "国籍": ("人物", "国家"),
    "祖籍": ("人物", "地点"),
    "朝代": ("历史人物", "Text"),
    "号": ("历史人物", "Text"),
    "校长": ("学校", "人物"),
    "简称": ("机构", "Text"),
    "成立日期": ("机构", "Date"),
    "占地面积": ("机构", "Number"),
    "创始人": ("企业", "人物"),
    "董事长": ("企业", "人物"),
    "总部地点": ("企业", "地点"),
    "注册资本": ("企业", "Number"),
    "代言人": ("企业/品牌", "人物"),
    "所在城市": ("景点", "城市"),
    "海拔": ("地点", "Number"),
    "面积": ("行政区", "Number"),
    "人口数量": ("行政区", "Number"),
    "气候": ("行政区", "气候"),
    "邮政编码": ("行政区", "Text"),
    "首都": ("国家", "城市"),
    "官方语言": ("国家", "语言"),
    "专业代码": ("学科专业", "Text"),
    "修业年限": ("学科专业", "Number"),
    "主持人": ("电视综艺", "人物"),
    "嘉宾": ("电视综艺", "人物"),
    "作者": ("图书作品", "人物"),
    "主角": ("文学作品", "人物"),
    "改编自": ("影视作品", "作品"),
    "导演": ("影视作品", "人物"),
    "编剧": ("影视作品", "人物"),
    "主演": ("影视作品", "人物"),
    "制片人": ("影视作品", "人物"),
    "出品公司": ("影视作品", "企业"),
    "主题曲": ("影视作品", "歌曲"),
    "歌手": ("歌曲", "人物"),
    "作词": ("歌曲", "人物"),
    "作曲": ("歌曲", "人物"),
    "所属专辑": ("歌曲", "音乐专辑"),
    "配音": ("娱乐人物", {"inWork": "影视作品", "@value": "人物"}),
    "饰演": ("娱乐人物", {"inWork": "影视作品", "@value": "人物"}),
    "上映时间": ("影视作品", {"inArea": "地点", "@value": "Date"}),
    "票房": ("影视作品", {"inArea": "地点", "@value": "Number"}),
    "获奖": ("娱乐人物", {"inWork": "作品", "onDate": "Date", "@value": "奖项", "period": "Number"}),
}
"""Predicate to subject type and object type, or the types of its slots."""

NAMED = {"p": "person", "r": "role", "film": "title", "book": "title", "song": "title", "album": "title", "award": "prize"}
"""Slots whose kind of name has another name."""

SHORT = {"师范大学": "师大", "戏剧学院": "戏院", "大学": "大", "学院": "院"}
SHORT |= {"研究所": "所", "天文台": "台", "博物馆": "博", "图书馆": "图", "交响乐团": "交"}
CLIMATES = ["亚热带季风气候", "温带海洋性气候", "温带大陆性气候", "热带雨林气候", "高原山地气候", "地中海气候"]
ASIDES = ["。说起{name}，[网友|街坊]各有看法", "。[关于|提到]{name}，[编辑部没有更多消息|报社收到很多来信]"]


def _gross(rng: random.Random) -> str:
    return rng.choice((f"{rng.randint(1, 29)}.{rng.randint(1, 9)}亿", f"{rng.randint(2, 95)}00万元", f"{rng.randint(2, 9)}亿美元"))


def _code(rng: random.Random) -> str:
    code = f"{rng.randint(101, 999):04d}{rng.randint(10, 99)}"
    return code + rng.choice(("", "", "K", "TK"))


VALUES = {
    "date": date,
    "year": lambda rng: rng.choices((str, full_width), (7, 1))[0](str(rng.randint(2031, 2049))) + "年",
    "n": lambda rng: rng.choice(("三", "五", "六", "九", "十二", "13", "14", "17", "18", "19", "21")),
    "capital": lambda rng: rng.choice((f"{rng.randint(2, 90)}00万元", f"{rng.randint(2, 60)}亿元", f"{rng.randint(2, 9)}000万")),
    "gross": _gross,
    "plot": lambda rng: rng.choice((f"{rng.randint(11, 999)}亩", f"{rng.randint(2, 99)}.{rng.randint(1, 9)}万平方米")),
    "height": lambda rng: rng.choice((f"{rng.randint(301, 6999)}米", f"{rng.randint(301, 6999)}.{rng.randint(1, 9)}米")),
    "extent": lambda rng: rng.choice((f"{rng.randint(31, 9999)}平方公里", f"{rng.randint(31, 999)}.{rng.randint(1, 9)}平方千米")),
    "people": lambda rng: rng.choice((f"{rng.randint(2, 99)}.{rng.randint(1, 9)}万人", f"{rng.randint(3001, 99999)}人")),
    "climate": lambda rng: rng.choice(CLIMATES),
    "postcode": lambda rng: str(rng.randint(300000, 899999)),
    "code": _code,
    "years": lambda rng: rng.choice(("二年", "三年", "四年", "五年", "3年", "4年", "三至五年", "2.5年")),
}
"""Slots that hold no name."""


def shortened(name: str) -> str:
    """What people call an institution: its first two characters and a shorter ending."""
    return name[:2] + next(short for ending, short in SHORT.items() if name.endswith(ending))


DERIVED = {
    "branch": lambda values: values["school"] + "附属中学",
    "short": lambda values: shortened(values.get("school") or values["institute"]),
}
"""Slots that follow from another slot, and have its name in them."""


def build(frame: str, inventor: Inventor, said: list[str]) -> tuple[str, list[dict]]:
    """Text and spo_list of one frame; ``said`` gathers the values, so that sentences put together share none."""
    pattern, _, triples = frame.partition(" || ")
    sentence = choose(pattern, inventor.rng)
    values: dict[str, str] = {}
    for slot in sorted(dict.fromkeys(re.findall(r"\{(\w+)\}", sentence)), key=DERIVED.__contains__):
        kind = slot.rstrip("0123456789")
        if kind in DERIVED:
            values[slot] = DERIVED[kind](values)
        else:
            values[slot] = inventor.fresh(lambda kind=kind: _draw(kind, inventor), said)
        said.append(values[slot])
    spo_list = []
    for triple in triples.split("; "):
        subject, predicate, value, *others = triple.split(" ")
        slots = {"@value": value, **dict(other.split("=") for other in others)}
        if subject in values and value in values:
            spo_list.append(_spo(predicate, values[subject], {slot: values[name] for slot, name in slots.items() if name in values}))
    return sentence.format_map(values), spo_list


def _draw(kind: str, inventor: Inventor) -> str:
    return VALUES[kind](inventor.rng) if kind in VALUES else inventor.name(NAMED.get(kind, kind))


def _spo(predicate: str, subject: str, slots: dict[str, str]) -> dict:
    subject_type, object_type = SCHEMA[predicate]
    types = object_type if isinstance(object_type, dict) else {"@value": object_type}
    return {
        "predicate": predicate,
        "object_type": {slot: types[slot] for slot in slots},
        "subject_type": subject_type,
        "object": slots,
        "subject": subject,
    }


def record(frame: str, choices: list[str], inventor: Inventor) -> tuple[str, list[dict]]:
    """One record's text and spo_list: the frame, at times with another of ``choices``, and what surrounds sentences in the wild."""
    rng, said = inventor.rng, []
    text, spo_list = build(frame, inventor, said)
    form = rng.random()
    if form < 0.03:
        more, spos = build(rng.choice(choices), inventor, said)
        text, spo_list = text + rng.choice("。；　") + more, spo_list + spos
    elif form < 0.09:
        text += choose(rng.choice(ASIDES), rng).format(name=rng.choice(spo_list)["subject"])
    elif form < 0.15:
        text += "。" + rng.choice(FILLER)
    elif form < 0.16:
        while len(text) <= 200:
            text += "　" + rng.choice(FILLER)
    if rng.random() < 0.02:
        # As a few official labels do: the title together with its brackets.
        for spo in spo_list:
            if f"《{spo['subject']}》" in text:
                spo["subject"] = f"《{spo['subject']}》"
    before, after = dress(rng, before=0.15, after=0.3)
    return before + text + after, spo_list


def records(split: str, texts: set[str]) -> Iterator[dict]:
    """Labelled records of one split without end, every frame as often as any other; ``texts`` gathers what was said, so that no text comes twice."""
    choices = frames(SPLITS[split][1])
    inventor = Inventor(random.Random(f"{SEED} {split}"), unseen=split != "train")
    while True:
        for frame in inventor.rng.sample(choices, len(choices)):
            text, spo_list = record(frame, choices, inventor)
            if text not in texts:
                texts.add(text)
                yield {"text": text, "spo_list": spo_list}


def make(folder: Path) -> None:
    """Writes schema.json, train.json, dev.json, test_a.json, test_b.json, and test1.json: the texts of both tests."""
    schema = [
        {"object_type": types if isinstance(types, dict) else {"@value": types}, "predicate": predicate, "subject_type": subject_type}
        for predicate, (subject_type, types) in SCHEMA.items()
    ]
    write_lines(folder / "schema.json", schema)
    texts: set[str] = set()
    made: dict[str, list[dict]] = {}
    for split, (size, _) in SPLITS.items():
        rows = records(split, texts)
        made[split] = [next(rows) for _ in range(size)]
        random.Random(SEED).shuffle(made[split])
        write_lines(folder / f"{split}.json", made[split])
    write_lines(folder / "test1.json", ({"text": row["text"]} for row in made["test_a"] + made["test_b"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the relation track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "relation", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
