"""Writes the event track's sample files: invented sentences about invented people, companies and places.

``python data/samples/make_event.py`` gives the same bytes every time. Type and role names are those of DuEE 1.0, so that the files read
like official ones; every sentence, name and id is our own. The traps of real data are put in on purpose: a span mentioned twice, one span
in two roles, two events of one type, one role filled several times, Latin names in mixed case, full-width forms, blanks, U+3000, emoji,
and texts of more than 200 characters.

A frame is (types, sentence). ``<trigger>`` and ``{role}`` belong to the first type, ``<2:trigger>`` and ``{2:role}`` to the second;
``{role|2:role}`` is one span in two roles; ``{+role}`` mentions the same value again as an argument, ``{=role}`` without being one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from pathlib import Path

SIZES = {"train": 400, "dev": 80, "test1": 60}
SEED = 20200310

SCHEMA = {
    "组织关系-裁员": ("时间", "裁员方", "裁员人数"),
    "组织关系-辞/离职": ("时间", "离职者", "原所属组织"),
    "组织关系-加盟": ("时间", "加盟者", "所加盟组织"),
    "竞赛行为-夺冠": ("时间", "冠军", "夺冠赛事"),
    "竞赛行为-胜负": ("时间", "败者", "胜者", "赛事名称"),
    "竞赛行为-退役": ("时间", "退役者"),
    "产品行为-发布": ("时间", "发布产品", "发布方"),
    "产品行为-召回": ("时间", "召回内容", "召回方"),
    "产品行为-上映": ("时间", "上映方", "上映影视"),
    "财经/交易-出售/收购": ("时间", "出售方", "交易物", "出售价格", "收购方"),
    "财经/交易-融资": ("时间", "跟投方", "领投方", "融资轮次", "融资金额", "融资方"),
    "财经/交易-涨价": ("时间", "涨价幅度", "涨价物", "涨价方"),
    "人生-结婚": ("时间", "结婚双方"),
    "人生-死亡": ("时间", "地点", "死者年龄", "死者"),
    "灾害/意外-地震": ("时间", "死亡人数", "震级", "震源深度", "震中", "受伤人数"),
    "灾害/意外-起火": ("时间", "地点", "死亡人数", "受伤人数"),
    "司法行为-罚款": ("时间", "罚款对象", "执法机构", "罚款金额"),
    "组织行为-开幕": ("时间", "地点", "活动名称"),
}

PEOPLE = [
    family + given
    for family in ("苏", "季", "温", "鹿", "乔", "骆", "竺", "桑", "闻", "岑")
    for given in ("砚舟", "小满", "若川", "青禾", "知远")
]
PEOPLE += ["Mira Tolden", "Jonas Quell", "艾娃·洛尔", "Otto van Brix"]
COMPANIES = [
    "星桥科技",
    "云杉食品",
    "海螺湾集团",
    "栗壳出行",
    "蓝鲤电器",
    "白榆资本",
    "千帆证券",
    "石榴影业",
    "NovaKite",
    "iPlume",
    "Ｌｕｍｏ科技",
    "QUILLtek",
    "橡子实验室",
]
COMPANIES += ["麦浪乳业", "长颈鹿物流", "Orbit&Fern"]
TEAMS = ["青岚队", "赤焰队", "北斗湾队", "潮汐队", "雪鹀队", "铁杉女队", "RedFinch", "Team Larch"]
PLACES = ["雾泽市", "临渊县", "青螺岛", "望湖镇", "南屏码头", "栖霞坞", "石埠村", "柳汀区", "岚山谷"]
WORKS = ["《纸月亮邮局》", "《深井来信》", "《第九盏灯》", "《云上修理铺》", "《Slow Tides》", "《候鸟电台》"]
PRODUCTS = ["萤石X2平板", "松风3号耳机", "PaperLeaf阅读器", "麦芽糖输入法", "鲸落相机", "ｍｉｎｉ拾音器", "逐光Pro电动车"]
CUPS = ["玉兰杯", "海岸线公开赛", "星野锦标赛", "秋林邀请赛", "Larch Open", "第三届群岛联赛"]
FAIRS = ["湖畔书市", "国际风筝节", "稻田音乐周", "第六届木作展", "Mistral灯会", "海盐论坛"]
OFFICES = ["雾泽市市场监管局", "临渊县税务局", "柳汀区消防大队", "群岛联盟纪律委员会"]


def _number(rng: random.Random, low: int, high: int, unit: str) -> str:
    return f"{rng.randint(low, high)}{unit}"


def _time(rng: random.Random) -> str:
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        (f"{month}月{day}日", f"{month}月{day}日晚", "昨天", "本周三", "今早", f"20{rng.randint(31, 49)}年{month}月", "上周末")
    )


def _pick(values: list[str]):
    return lambda rng: rng.choice(values)


def _count(rng: random.Random) -> str:
    return _number(rng, 2, 60, "人")


def _money(rng: random.Random) -> str:
    return rng.choice((_number(rng, 2, 90, "万元"), _number(rng, 2, 30, "亿元"), f"{rng.randint(1, 9)}.{rng.randint(1, 9)}亿美元"))


FILL = {
    "时间": _time,
    "地点": _pick(PLACES),
    "裁员方": _pick(COMPANIES),
    "裁员人数": lambda rng: _number(rng, 20, 900, "人"),
    "离职者": _pick(PEOPLE),
    "原所属组织": _pick(COMPANIES),
    "加盟者": _pick(PEOPLE),
    "所加盟组织": _pick(TEAMS + COMPANIES),
    "冠军": _pick(TEAMS + PEOPLE),
    "夺冠赛事": _pick(CUPS),
    "败者": _pick(TEAMS),
    "胜者": _pick(TEAMS),
    "赛事名称": _pick(CUPS),
    "退役者": _pick(PEOPLE),
    "发布产品": _pick(PRODUCTS),
    "发布方": _pick(COMPANIES),
    "召回内容": lambda rng: _number(rng, 100, 9000, "台") + rng.choice(PRODUCTS),
    "召回方": _pick(COMPANIES),
    "上映方": _pick(COMPANIES),
    "上映影视": _pick(WORKS),
    "出售方": _pick(COMPANIES),
    "交易物": lambda rng: rng.choice(COMPANIES) + f"{rng.randint(5, 95)}%股权",
    "出售价格": _money,
    "收购方": _pick(COMPANIES),
    "跟投方": _pick(COMPANIES),
    "领投方": _pick(COMPANIES),
    "融资轮次": _pick(["天使轮", "A轮", "B+轮", "Pre-C轮"]),
    "融资金额": _money,
    "融资方": _pick(COMPANIES),
    "涨价幅度": lambda rng: rng.choice((_number(rng, 2, 40, "%"), _number(rng, 1, 99, "元"))),
    "涨价物": _pick([*PRODUCTS, "盒装酸奶", "月票", "桶装水"]),
    "涨价方": _pick(COMPANIES),
    "结婚双方": _pick(PEOPLE),
    "死者年龄": lambda rng: _number(rng, 60, 99, "岁"),
    "死者": _pick(PEOPLE),
    "震级": lambda rng: f"{rng.randint(2, 6)}.{rng.randint(0, 9)}级",
    "震源深度": lambda rng: _number(rng, 5, 40, "千米"),
    "震中": _pick(PLACES),
    "死亡人数": _count,
    "受伤人数": _count,
    "罚款对象": _pick(COMPANIES + TEAMS),
    "执法机构": _pick(OFFICES),
    "罚款金额": _money,
    "活动名称": _pick(FAIRS),
}

FRAMES = [
    (["组织关系-裁员"], "{时间}，{裁员方}内部信流出，将<裁员>{裁员人数}。"),
    (["组织关系-裁员"], "为省开支，{裁员方}<裁掉>{裁员人数}"),
    (["组织关系-裁员"], "{裁员方}的食堂空了一半：{+裁员方}{时间}起<裁员>"),
    (["组织关系-辞/离职"], "{离职者}{时间}从{原所属组织}<离职>，说想去种橘子。"),
    (["组织关系-辞/离职"], "{原所属组织}确认财务主管{离职者}已<辞职>"),
    (["组织关系-加盟"], "欢迎{加盟者}！{时间}他正式<加盟>{所加盟组织}"),
    (["组织关系-加盟"], "{所加盟组织}迎来新人，{加盟者}与{加盟者}同日<加入>。"),
    (["竞赛行为-夺冠"], "{时间}的{夺冠赛事}，{冠军}<夺冠>，泪洒看台。"),
    (["竞赛行为-夺冠"], "{冠军}<捧起>{夺冠赛事}的奖杯，{=冠军}的故乡放起烟花"),
    (["竞赛行为-胜负"], "{赛事名称}：{胜者}3比1<战胜>{败者}"),
    (["竞赛行为-胜负"], "{时间}，{败者}在{赛事名称}中<不敌>{胜者}，仍谢场三次。"),
    (["竞赛行为-退役"], "{退役者}在{时间}的直播里宣布<退役>。"),
    (["竞赛行为-退役"], "再见球场，{退役者}<挂靴>"),
    (["产品行为-发布"], "{发布方}{时间}<发布>{发布产品}，排队的人绕楼两圈。"),
    (["产品行为-发布"], "{发布方}把{发布产品}和{发布产品}一起<推出>"),
    (["产品行为-召回"], "因旋钮松脱，{召回方}<召回>{召回内容}。"),
    (["产品行为-召回"], "{时间}起，{召回方}将免费<召回>{召回内容}"),
    (["产品行为-上映"], "{上映方}拍了三年的{上映影视}{时间}<上映>。"),
    (["产品行为-上映"], "{上映影视}{时间}<登陆影院>，票根可换一枝花"),
    (["财经/交易-出售/收购"], "{收购方}掏出{出售价格}，从{出售方}手里<买下>{交易物}。"),
    (["财经/交易-出售/收购"], "{时间}，{出售方}把{交易物}<卖给>{收购方}"),
    (["财经/交易-融资"], "账上添了{融资金额}！{融资方}{融资轮次}<融资>由{领投方}牵头，{跟投方}、{跟投方}跟着掏钱。"),
    (["财经/交易-融资"], "{时间}{融资方}请来{领投方}，{融资轮次}<融资>就此落袋"),
    (["财经/交易-涨价"], "{涨价方}{时间}将{涨价物}<涨价>{涨价幅度}。"),
    (["财经/交易-涨价"], "{涨价物}又<贵了>{涨价幅度}，邻居们开始自己动手"),
    (["人生-结婚"], "{时间}，{结婚双方}与{结婚双方}<结婚>，没有摆酒。"),
    (["人生-结婚"], "{结婚双方}骑着旧单车，和{结婚双方}<领证>去啦"),
    (["人生-死亡"], "修钟人{死者}{时间}在{地点}<去世>，享年{死者年龄}。"),
    (["人生-死亡"], "{死者}<病逝>，{死者年龄}，学生们在窗前点灯。"),
    (["灾害/意外-地震"], "{时间}{震中}人被摇醒：{震级}<地震>，震源在地下{震源深度}。"),
    (["灾害/意外-地震"], "{震中}那场{震级}的<地震>带走{死亡人数}，另有{受伤人数}缠着绷带"),
    (["灾害/意外-起火"], "{时间}，{地点}一间仓库<起火>，{受伤人数}受伤。"),
    (["灾害/意外-起火"], "浓烟盖住月亮，{地点}<着火>，{死亡人数}没能走出来"),
    (["司法行为-罚款"], "{执法机构}对{罚款对象}<罚款>{罚款金额}。"),
    (["司法行为-罚款"], "{时间}，{罚款对象}被{执法机构}<罚>了{罚款金额}"),
    (["组织行为-开幕"], "{活动名称}{时间}在{地点}<开幕>。"),
    (["组织行为-开幕"], "{地点}的{活动名称}今年如约<揭幕>，鼓声里下起小雨"),
    (["组织关系-辞/离职", "组织关系-加盟"], "{离职者|2:加盟者}{时间}<离开>{原所属组织}，随即<2:加盟>{2:所加盟组织}。"),
    (["竞赛行为-夺冠", "竞赛行为-胜负"], "{冠军|2:胜者}2比0<2:击败>{2:败者}，<夺得>{夺冠赛事|2:赛事名称}桂冠！"),
    (["产品行为-发布", "财经/交易-涨价"], "{发布方|2:涨价方}<发布>{发布产品}，旧款{2:涨价物}反而<2:涨价>{2:涨价幅度}。"),
    (["产品行为-上映", "产品行为-上映"], "{上映影视}{时间}<上映>，{2:上映影视}改到{2:时间}<2:上映>。"),
    (["人生-结婚", "人生-结婚"], "一天两场喜事：{结婚双方}和{结婚双方}<结婚>，{2:结婚双方}也与{2:结婚双方}<2:成婚>。"),
    (["组织关系-裁员", "组织关系-裁员"], "{裁员方}<裁员>{裁员人数}，{2:裁员方}也<2:裁员>{2:裁员人数}"),
    (["灾害/意外-地震", "灾害/意外-起火"], "{时间|2:时间}{震中|2:地点}{震级}<地震>后又<2:起火>，{2:受伤人数}受伤。"),
    (["司法行为-罚款", "组织关系-辞/离职"], "{罚款对象|2:原所属组织}被<罚款>{罚款金额}次日，掌门人{2:离职者}<2:请辞>"),
]

BEFORE = ["快讯：", "【晨报】", "早安☕ ", "🎉", "　　", "刚刚！", "#今日话题# ", "ＮＥＷ｜"]
AFTER = [" 你怎么看？", "（记者 林间）", "🙏🙏", "　详情见第4版", " via 小报App", "……"]
FILLER = [
    "窗外的梧桐落了一地，编辑部的水壶又响了。",
    "有读者来信问，旧报纸能不能换一盆薄荷，答案是可以。",
    "气象台说夜里有风，请收好阳台上的伞和猫。",
    "本栏目每逢双数日更新，偶尔也会忘记。",
    "卖豆花的阿婆说，她见过更大的雾。",
]


def build(frame: tuple[list[str], str], rng: random.Random) -> tuple[str, list[dict]]:
    """Text and event list of one frame, before anything is put around it."""
    types, sentence = frame
    events = [
        {"event_type": name, "trigger": "", "trigger_start_index": 0, "arguments": [], "class": name.split("-", 1)[0]} for name in types
    ]
    said: dict[str, str] = {}
    text, end = "", 0
    for part in re.finditer(r"\{([^}]+)\}|<([^>]+)>", sentence):
        text += sentence[end : part.start()]
        end = part.end()
        if part[2]:
            index, trigger = _owner(part[2])
            events[index] |= {"trigger": trigger, "trigger_start_index": len(text)}
            text += trigger
            continue
        mark = part[1][0] if part[1][0] in "+=" else ""
        owners = [_owner(role) for role in part[1].lstrip("+=").split("|")]
        value = said[owners[0][1]] if mark else _fresh(FILL[owners[0][1]], rng, said)
        said.setdefault(owners[0][1], value)
        for index, role in owners if mark != "=" else ():
            events[index]["arguments"].append({"argument_start_index": len(text), "role": role, "argument": value, "alias": []})
        said[f"{part.start()}"] = value
        text += value
    return text + sentence[end:], events


def _owner(name: str) -> tuple[int, str]:
    number, colon, rest = name.rpartition(":")
    return (int(number) - 1, rest) if colon else (0, name)


def _fresh(fill, rng: random.Random, said: dict[str, str]) -> str:
    """A value that nothing else in the sentence has."""
    while True:
        value = fill(rng)
        if not any(value in other or other in value for other in said.values()):
            return value


def record(rng: random.Random, frame: tuple[list[str], str]) -> tuple[str, list[dict]]:
    """One record's text and event list, dressed with what surrounds sentences in the wild."""
    text, events = build(frame, rng)
    before = rng.choice(BEFORE) if rng.random() < 0.25 else ""
    after = rng.choice(AFTER) if rng.random() < 0.25 else ""
    if rng.random() < 0.03:
        before = "".join(rng.choice(FILLER) for _ in range(rng.randint(9, 12))) + before
    for event in events:
        event["trigger_start_index"] += len(before)
        for argument in event["arguments"]:
            argument["argument_start_index"] += len(before)
    return before + text + after, events


def make(folder: Path) -> None:
    """Writes schema.json, train.json, dev.json and test1.json."""
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    schema = [
        {
            "event_type": name,
            "role_list": [{"role": role} for role in roles],
            "id": _identity(f"type {name}"),
            "class": name.split("-", 1)[0],
        }
        for name, roles in SCHEMA.items()
    ]
    _write(folder / "schema.json", schema)
    texts: set[str] = set()
    for split, size in SIZES.items():
        rows = []
        while len(rows) < size:
            text, events = record(rng, FRAMES[len(rows) % len(FRAMES)])
            if text in texts:
                continue
            texts.add(text)
            row = {"text": text, "id": _identity(f"{split} {len(rows)}")}
            rows.append(row if split == "test1" else {**row, "event_list": events})
        rng.shuffle(rows)
        _write(folder / f"{split}.json", rows)


def _identity(name: str) -> str:
    return hashlib.md5(f"sample event {name}".encode()).hexdigest()


def _write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the event track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "event", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
