"""Writes the event track's sample files: invented sentences about invented people, companies and places.

``python data/samples/make_event.py`` gives the same bytes every time. Type and role names are those of DuEE 1.0, all 65 types with all their
roles, so that the files read like official ones; every sentence, name and id is our own. The traps of real data are put in on purpose: a span
mentioned twice, one span in two roles, two events of one type, one role filled several times, Latin names in mixed case, full-width forms,
blanks, U+3000, emoji, and texts of more than 200 characters.

dev and test_a have names that train never says in train's frames, test_b has such names in frames of its own; test1 is the texts of both tests.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from event_frames import FRAMES, MIXED, MIXED_HELD_OUT
from invented import FILLER, Inventor, choose, date, dress, identity, money, write_lines

TRAIN_ROUNDS, DEV_SIZE, TEST_A_ROUNDS, TEST_B_ROUNDS = 6, 120, 1, 2
LONG = 0.01
"""Share of texts that stand behind more than 200 characters of something else."""
SEED = 20200310
FREE = {"date": date, "money": money}

ROLES = {
    "组织关系-裁员": ("时间", "裁员方", "裁员人数"),
    "组织关系-辞/离职": ("时间", "离职者", "原所属组织"),
    "组织关系-加盟": ("时间", "加盟者", "所加盟组织"),
    "组织关系-解雇": ("时间", "解雇方", "被解雇人员"),
    "组织关系-解散": ("时间", "解散方"),
    "组织关系-解约": ("时间", "被解约方", "解约方"),
    "组织关系-停职": ("时间", "所属组织", "停职人员"),
    "组织关系-退出": ("时间", "退出方", "原所属组织"),
    "组织行为-罢工": ("时间", "所属组织", "罢工人数", "罢工人员"),
    "组织行为-闭幕": ("时间", "地点", "活动名称"),
    "组织行为-开幕": ("时间", "地点", "活动名称"),
    "组织行为-游行": ("时间", "地点", "游行组织", "游行人数"),
    "竞赛行为-夺冠": ("时间", "冠军", "夺冠赛事"),
    "竞赛行为-晋级": ("时间", "晋级方", "晋级赛事"),
    "竞赛行为-禁赛": ("时间", "禁赛时长", "被禁赛人员", "禁赛机构"),
    "竞赛行为-胜负": ("时间", "败者", "胜者", "赛事名称"),
    "竞赛行为-退赛": ("时间", "退赛赛事", "退赛方"),
    "竞赛行为-退役": ("时间", "退役者"),
    "产品行为-发布": ("时间", "发布产品", "发布方"),
    "产品行为-获奖": ("时间", "获奖人", "奖项", "颁奖机构"),
    "产品行为-上映": ("时间", "上映方", "上映影视"),
    "产品行为-下架": ("时间", "下架产品", "被下架方", "下架方"),
    "产品行为-召回": ("时间", "召回内容", "召回方"),
    "财经/交易-出售/收购": ("时间", "出售方", "交易物", "出售价格", "收购方"),
    "财经/交易-跌停": ("时间", "跌停股票"),
    "财经/交易-涨停": ("时间", "涨停股票"),
    "财经/交易-加息": ("时间", "加息幅度", "加息机构"),
    "财经/交易-降息": ("时间", "降息幅度", "降息机构"),
    "财经/交易-降价": ("时间", "降价方", "降价物", "降价幅度"),
    "财经/交易-涨价": ("时间", "涨价幅度", "涨价物", "涨价方"),
    "财经/交易-融资": ("时间", "跟投方", "领投方", "融资轮次", "融资金额", "融资方"),
    "财经/交易-上市": ("时间", "地点", "上市企业", "融资金额"),
    "交往-道歉": ("时间", "道歉对象", "道歉者"),
    "交往-点赞": ("时间", "点赞方", "点赞对象"),
    "交往-感谢": ("时间", "致谢人", "被感谢人"),
    "交往-会见": ("时间", "地点", "会见主体", "会见对象"),
    "交往-探班": ("时间", "探班主体", "探班对象"),
    "人生-产子/女": ("时间", "产子者", "出生者"),
    "人生-出轨": ("时间", "出轨方", "出轨对象"),
    "人生-订婚": ("时间", "订婚主体"),
    "人生-分手": ("时间", "分手双方"),
    "人生-怀孕": ("时间", "怀孕者"),
    "人生-婚礼": ("时间", "地点", "参礼人员", "结婚双方"),
    "人生-结婚": ("时间", "结婚双方"),
    "人生-离婚": ("时间", "离婚双方"),
    "人生-庆生": ("时间", "生日方", "生日方年龄", "庆祝方"),
    "人生-求婚": ("时间", "求婚者", "求婚对象"),
    "人生-失联": ("时间", "地点", "失联者"),
    "人生-死亡": ("时间", "地点", "死者年龄", "死者"),
    "司法行为-罚款": ("时间", "罚款对象", "执法机构", "罚款金额"),
    "司法行为-拘捕": ("时间", "拘捕者", "被拘捕者"),
    "司法行为-举报": ("时间", "举报发起方", "举报对象"),
    "司法行为-开庭": ("时间", "开庭法院", "开庭案件"),
    "司法行为-立案": ("时间", "立案机构", "立案对象"),
    "司法行为-起诉": ("时间", "被告", "原告"),
    "司法行为-入狱": ("时间", "入狱者", "刑期"),
    "司法行为-约谈": ("时间", "约谈对象", "约谈发起方"),
    "灾害/意外-爆炸": ("时间", "地点", "死亡人数", "受伤人数"),
    "灾害/意外-车祸": ("时间", "地点", "死亡人数", "受伤人数"),
    "灾害/意外-地震": ("时间", "死亡人数", "震级", "震源深度", "震中", "受伤人数"),
    "灾害/意外-洪灾": ("时间", "地点", "死亡人数", "受伤人数"),
    "灾害/意外-起火": ("时间", "地点", "死亡人数", "受伤人数"),
    "灾害/意外-坍/垮塌": ("时间", "坍塌主体", "死亡人数", "受伤人数"),
    "灾害/意外-袭击": ("时间", "地点", "袭击对象", "死亡人数", "袭击者", "受伤人数"),
    "灾害/意外-坠机": ("时间", "地点", "死亡人数", "受伤人数"),
}
"""Every type's roles, as DuEE 1.0 has them."""

VALUES = {
    "{person}": "离职者 加盟者 被解雇人员 被解约方 停职人员 被禁赛人员 退役者 获奖人 道歉者 道歉对象 点赞方 点赞对象 致谢人 被感谢人 会见主体 "
    "会见对象 探班主体 探班对象 产子者 出轨方 出轨对象 订婚主体 分手双方 怀孕者 参礼人员 结婚双方 离婚双方 生日方 庆祝方 求婚者 求婚对象 失联者 "
    "死者 被拘捕者 退出方 举报发起方 入狱者 袭击对象",
    "{firm}": "裁员方 原所属组织 解雇方 所属组织 发布方 上映方 被下架方 下架方 召回方 出售方 收购方 跌停股票 涨停股票 降价方 涨价方 跟投方 领投方 "
    "融资方 上市企业 罚款对象 举报对象 立案对象 约谈对象",
    "[{person}|{firm}]": "被告 原告",
    "[{team}|{firm}]": "所加盟组织 解散方 解约方",
    "[{team}|{person}]": "冠军 晋级方 退赛方",
    "{team}": "败者 胜者",
    "{cup}": "夺冠赛事 晋级赛事 赛事名称 退赛赛事",
    "{cup}组委会": "禁赛机构",
    "{fair}": "活动名称",
    "{gadget}": "发布产品 下架产品 降价物 涨价物",
    "{100-9000}台{gadget}": "召回内容",
    "{prize}": "奖项",
    "{area}[作家|影视|设计师]协会": "颁奖机构",
    "{area}央行": "加息机构 降息机构",
    "《{work}》": "上映影视",
    "{firm}{5-95}%股权": "交易物",
    "{city}[市场监管局|税务局|消防大队|纪律委员会]": "执法机构 立案机构 约谈发起方",
    "{city}[警方|公安局]": "拘捕者",
    "{city}[中级|]人民法院": "开庭法院",
    "[{person}盗窃案|{person}诈骗案|{firm}合同纠纷案]": "开庭案件",
    "[{city}|{sight}]": "地点",
    "{city}": "震中",
    "{city}证券交易所": "财经/交易-上市/地点",
    "{sight}": "坍塌主体",
    "{city}[教师|果农|渔民|司机]联合会": "游行组织",
    "[{date}|{date}|{date}|{1-12}月{1-28}日晚|昨天|昨晚|今早|本周三|上周末|去年冬天]": "时间",
    "{money}": "出售价格 融资金额 罚款金额",
    "[{2-40}%|{1-99}元]": "降价幅度 涨价幅度",
    "{5-90}个基点": "加息幅度 降息幅度",
    "[天使轮|A轮|B+轮|Pre-C轮|D轮]": "融资轮次",
    "{20-900}人": "裁员人数",
    "[{20-900}名|{2-9}千名]": "罢工人数",
    "[司机|清洁工|护士|矿工|船员]": "罢工人员",
    "[{20-900}人|{2-9}万人]": "游行人数",
    "[{2-12}个月|{2-20}场|两年|三年]": "禁赛时长",
    "[一名|]{5-9}斤重的[男婴|女婴]": "出生者",
    "{60-99}岁": "死者年龄",
    "{19-80}岁": "生日方年龄",
    "{2-60}人": "死亡人数 受伤人数",
    "{2-6}.{0-9}级": "震级",
    "{5-40}[千米|公里]": "震源深度",
    "[有期徒刑|]{2-15}年": "刑期",
    "[一名|两名|三名][蒙面|持刀|醉酒][男子|歹徒]": "袭击者",
}
"""What fills which roles: ``{kind}`` is a name of :data:`invented.NAMES`, ``{date}`` and ``{money}`` are values, ``{2-60}`` is a number."""
PATTERNS = {role: pattern for pattern, roles in VALUES.items() for role in roles.split()}
"""Role, or type/role where it differs, to its pattern."""


class Frame(NamedTuple):
    """A sentence about one event or two."""

    types: tuple[str, ...]
    sentence: str


TRAINED = [Frame((name,), sentence) for name, sentences in FRAMES.items() for sentence in sentences[:-1]]
TRAINED += [Frame((first, second), sentence) for first, second, sentence in MIXED]
HELD_OUT = [Frame((name,), sentences[-1]) for name, sentences in FRAMES.items()]
HELD_OUT += [Frame((first, second), sentence) for first, second, sentence in MIXED_HELD_OUT]


def pattern_of(event_type: str, role: str) -> str:
    """The pattern of :data:`VALUES` that fills a role of a type."""
    return PATTERNS.get(f"{event_type}/{role}") or PATTERNS[role]


def value(inventor: Inventor, event_type: str, role: str) -> str:
    """What fills a role of a type."""
    rng = inventor.rng

    def part(match: re.Match[str]) -> str:
        low, dash, high = match[1].partition("-")
        if dash:
            return str(rng.randint(int(low), int(high)))
        return FREE[low](rng) if low in FREE else inventor.name(low)

    return re.sub(r"\{([^}]+)\}", part, choose(pattern_of(event_type, role), rng))


def build(frame: Frame, inventor: Inventor) -> tuple[str, list[dict[str, Any]]]:
    """Text and event list of one frame, before anything is put around it."""
    events = [{"event_type": name, "trigger": "", "trigger_start_index": 0, "arguments": [], "class": _class_of(name)} for name in frame.types]
    said: dict[str, str] = {}
    values: list[str] = []
    sentence = choose(frame.sentence, inventor.rng)
    text, end = "", 0
    for part in re.finditer(r"\{([^}]+)\}|<([^>]+)>", sentence):
        text += sentence[end : part.start()]
        end = part.end()
        if part[2]:
            index, trigger = _owner(part[2])
            events[index] |= {"trigger": trigger, "trigger_start_index": len(text)}
            text += trigger
            continue
        again = part[1][0] in "+="
        owners = [_owner(role) for role in part[1].lstrip("+=").split("|")]
        index, role = owners[0]
        if again:
            filler = said[role]
        else:
            filler = inventor.fresh(partial(value, inventor, frame.types[index], role), values)
            values.append(filler)
            said.setdefault(role, filler)
        for index, role in owners if part[1][0] != "=" else ():
            events[index]["arguments"].append({"argument_start_index": len(text), "role": role, "argument": filler, "alias": []})
        text += filler
    return text + sentence[end:], events


def _owner(name: str) -> tuple[int, str]:
    number, colon, rest = name.rpartition(":")
    return (int(number) - 1, rest) if colon else (0, name)


def _class_of(name: str) -> str:
    return name.split("-", 1)[0]


def record(frame: Frame, inventor: Inventor) -> tuple[str, list[dict[str, Any]]]:
    """One record's text and event list, dressed with what surrounds sentences in the wild."""
    text, events = build(frame, inventor)
    rng = inventor.rng
    before, after = dress(rng, after=0.5)
    if rng.random() < LONG:
        before = "".join(rng.choice(FILLER) for _ in range(rng.randint(9, 12))) + before
    for event in events:
        event["trigger_start_index"] += len(before)
        for argument in event["arguments"]:
            argument["argument_start_index"] += len(before)
    return before + text + after, events


def draw(split: str, frames: Sequence[Frame], inventor: Inventor, texts: set[str]) -> list[dict[str, Any]]:
    """One record a frame, in mixed order; ``texts``: those of all splits so far, none of which comes again."""
    rows = []
    for frame in frames:
        while True:
            text, events = record(frame, inventor)
            if text not in texts:
                break
        texts.add(text)
        rows.append({"text": text, "id": identity(f"event {split} {len(rows)}"), "event_list": events})
    inventor.rng.shuffle(rows)
    return rows


def make(folder: Path) -> None:
    """Writes schema.json, train.json, dev.json, test_a.json, test_b.json and test1.json."""
    rng = random.Random(SEED)
    known, unseen = Inventor(rng, unseen=False), Inventor(rng, unseen=True)
    texts: set[str] = set()
    train = draw("train", TRAINED * TRAIN_ROUNDS, known, texts)
    dev = draw("dev", rng.sample(TRAINED, DEV_SIZE), unseen, texts)
    test_a = draw("test_a", TRAINED * TEST_A_ROUNDS, unseen, texts)
    test_b = draw("test_b", HELD_OUT * TEST_B_ROUNDS, unseen, texts)
    schema = [
        {"event_type": name, "role_list": [{"role": role} for role in roles], "id": identity(f"event type {name}"), "class": _class_of(name)}
        for name, roles in ROLES.items()
    ]
    write_lines(folder / "schema.json", schema)
    write_lines(folder / "train.json", train)
    write_lines(folder / "dev.json", dev)
    write_lines(folder / "test_a.json", test_a)
    write_lines(folder / "test_b.json", test_b)
    write_lines(folder / "test1.json", ({"text": row["text"], "id": row["id"]} for row in test_a + test_b))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the event track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "event", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
