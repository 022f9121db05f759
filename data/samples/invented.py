"""What the three sample generators share: invented names and values, and what surrounds sentences in the wild.

Every name (of a person, work, company, place …) is put together from parts and belongs, by its checksum, either to training or to the tests: a test
never asks for a name that training said. Dates, amounts and other counted values are free.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

FAMILIES = [*"竺桑岑鹿骆闻郗蔺逄芮郦邬璩楼阙展晏巫佘苌", "端木", "钟离"]
GIVEN_FIRST = "砚若青知小望听疏怀枕拾云屿未简"
GIVEN_LAST = "舟满川禾远溪舷澄桐棠霁樵笙蘅"
FOREIGN = [
    f"{given}·{family}" for given in ("艾娃", "约纳", "米拉", "奥托", "赛琳", "洛克") for family in ("洛尔", "奎尔", "范布里", "托尔登", "阿什比")
]
LATIN = [f"{given} {family}" for given in ("Mira", "Jonas", "Ottilie", "Rune", "SELMA") for family in ("Tolden", "Quell", "van Brix", "Asheby")]
ROLE_TITLES = ("掌柜", "郎中", "船长", "师姐", "教授", "小妹", "镖头", "账房")
WORK_FIRST = ["纸月亮", "深井", "雾中", "倒流的", "第九盏", "云上", "候鸟", "打盹的", "半个", "十三号", "北窗", "迟到的", "借来的", "蓝皮", "空心"]
WORK_LAST = ["邮局", "来信", "灯塔", "修理铺", "电台", "渡口", "钟楼", "纽扣", "夏天", "观测站", "雪人", "来客", "航线", "账本", "邻居"]
LATIN_WORKS = [
    f"{first} {last}" for first in ("Slow", "PAPER", "After", "Ｎｏｖａ", "Kite &") for last in ("Tides", "Moon 7", "kite", "Stone", "Room")
]
SHOW_FIRST, SHOW_LAST = ["周五", "慢半拍", "屋顶", "街角", "反向", "明早", "隔壁"], ["会客厅", "擂台", "出发吧", "厨房", "唱片行", "问不倒"]
STEMS = [first + last for first in "星云松蓝白千石麦橡雾" for last in "桥杉鲤榆榴鹬梭苇"]
INDUSTRIES = ["钟表", "罐头", "影业", "风筝", "茶具", "乳业", "科技", "物流"]
LATIN_FIRMS = [
    f"{first}{last}" for first in ("Nova", "iPlume", "Ｌｕｍｏ", "QUILL", "Orbit&", "Tall ") for last in ("Kite", "tek", " Fern", "Larch Lab", "科技")
]
CITIES = [first + last + "市" for first in "雾临青望南栖石柳岚盐苇" for last in "泽渊螺汐霞埠汀雀鹭"]
SIGHTS = [first + last for first in ("听潮", "落星", "万竹", "歪柳", "铜铃", "半帆") for last in ("塔", "古桥", "岭公园", "石窟", "书院")]
AREAS = [first + last for first in ("洛", "北", "沙", "埃", "南", "维", "塔") for last in ("兰", "澜", "瓦兰", "弗里亚", "屿联邦", "伦")]
PRIZES = [first + last for first in ("玉兰镜", "星野", "群岛", "银梭", "稻田", "Larch ") for last in ("电影节", "奖", "影展", "Awards", "文学奖")]
PRIZE_KINDS = ["最佳男演员", "最佳女演员", "最佳新人", "最佳编剧", "评委会大奖", "观众之选"]
TEAMS = [
    first + last for first in ("青岚", "赤焰", "北斗湾", "潮汐", "雪鹀", "铁杉", "灰鹭", "云梯", "长柄") for last in ("队", "女队", "联队", "青年队")
]
TEAMS += [f"{first} {last}" for first in ("Red", "Team", "OLD") for last in ("Finch", "Larch", "Otters")]
CUPS = [
    first + last for first in ("玉兰", "海岸线", "星野", "秋林", "群岛", "Larch ") for last in ("杯", "公开赛", "锦标赛", "邀请赛", "Open", "联赛")
]
FAIRS = [
    first + last for first in ("湖畔", "国际", "稻田", "第六届", "海盐", "Mistral") for last in ("书市", "风筝节", "音乐周", "木作展", "灯会", "论坛")
]
GADGETS = [
    first + last
    for first in ("萤石X2", "松风3号", "PaperLeaf", "鲸落", "ｍｉｎｉ糖", "逐光Pro")
    for last in ("平板", "耳机", "阅读器", "相机", "拾音器", "电动车")
]
DISH_FIRST = ["云榴", "雾泽", "老渡口", "三更", "阿婆", "盐桥", "半帆", "听潮", "青鹬", "灯市口"]
DISH_LAST = ["糕", "豆花", "糖藕", "鱼丸", "米糕", "酱鸭", "面包", "腊肠", "茶饼", "肉干", "素鸡", "花卷"]

BEFORE = ["快讯：", "【晨报】", "早安☕ ", "🎬 ", "　　", "1、", "刚刚！", "#今日话题# ", "ＮＥＷ｜", "百科："]
AFTER = ["。", "。", "！", " 你怎么看？", "（记者 林间）", "🙏🙏", "　详情见第4版", " via 小报App", "……"]
FILLER = [
    "窗外的梧桐落了一地，编辑部的水壶又响了。",
    "有读者来信问，旧报纸能不能换一盆薄荷，答案是可以。",
    "气象台说夜里有风，请收好阳台上的伞和猫。",
    "本栏目每逢双数日更新，偶尔也会忘记。",
    "卖豆花的阿婆说，她见过更大的雾。",
]


def _person(rng: random.Random) -> str:
    if rng.random() < 0.08:
        return rng.choice(FOREIGN + LATIN)
    first = rng.choice(GIVEN_FIRST) if rng.random() < 0.8 else ""
    return rng.choice(FAMILIES) + first + rng.choice(GIVEN_LAST)


def _role(rng: random.Random) -> str:
    form = rng.random()
    if form < 0.4:
        return rng.choice("阿小") + rng.choice(GIVEN_LAST)
    return rng.choice(FAMILIES) + rng.choice(ROLE_TITLES)


def _work(rng: random.Random) -> str:
    return rng.choice(LATIN_WORKS) if rng.random() < 0.06 else rng.choice(WORK_FIRST) + rng.choice(WORK_LAST)


def _firm(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return rng.choice(LATIN_FIRMS)
    return rng.choice(STEMS) + rng.choice(INDUSTRIES) + rng.choice(("", "", "集团", "有限公司"))


def _of(names: list[str]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(names)


def _joined(*parts: Sequence[str]) -> Callable[[random.Random], str]:
    return lambda rng: "".join(map(rng.choice, parts))


NAMES: dict[str, Callable[[random.Random], str]] = {
    "person": _person,
    "role": _role,
    "work": _work,
    "show": lambda rng: rng.choice(SHOW_FIRST) + rng.choice(SHOW_LAST),
    "firm": _firm,
    "school": lambda rng: rng.choice(STEMS) + rng.choice(("大学", "学院", "师范大学", "戏剧学院")),
    "city": _of(CITIES),
    "sight": _of(SIGHTS),
    "area": _of(AREAS),
    "prize": lambda rng: rng.choice(PRIZES) + rng.choice(PRIZE_KINDS),
    "team": _of(TEAMS),
    "cup": _of(CUPS),
    "fair": _of(FAIRS),
    "gadget": _of(GADGETS),
    "title": _joined(WORK_FIRST, ("", "", "小", "旧", "老", "海边"), WORK_LAST),
    "programme": _joined(SHOW_FIRST, ("", "小", "深夜", "老友"), SHOW_LAST),
    "landmark": _joined(("听潮", "落星", "万竹", "歪柳", "铜铃", "半帆"), ("", "小", "北", "新"), ("塔", "古桥", "岭公园", "石窟", "书院")),
    "land": _joined("洛北沙埃南维塔", ("", "格", "多", "瓦"), ("兰", "澜", "伦", "弗里亚", "屿联邦", "诺尔")),
    "seat": _joined("索坎鲁费托", "维米恩尼莫", ("堡", "港", "城", "维克")),
    "language": _joined("提诺佩库密", "姆里洛恩加", ("丹语", "维语", "安语")),
    "county": _joined(STEMS, "县州郡盟"),
    "peak": _joined(STEMS, ("峰", "岭", "雪山", "火山")),
    "dynasty": _joined("前后东西南北大", "星云松麦橡桥鲤榆榴梭", "朝"),
    "pen_name": _joined("数借卖煮", "雪风云舟溪灯雾", ("居士", "山人", "先生", "散人", "老翁")),
    "major": _joined(("风筝", "灯塔", "茶具", "钟表", "潮汐", "唱片", "纽扣"), ("", "美术", "史料"), ("修复", "工程", "设计", "测绘", "鉴赏")),
    "institute": _joined(STEMS, ("研究所", "天文台", "博物馆", "图书馆", "交响乐团")),
    "dish": lambda rng: rng.choice(DISH_FIRST) + rng.choice(DISH_LAST),
}
"""Kind to how a name of that kind is put together."""


def full_width(digits: str) -> str:
    """ASCII digits as their full-width forms."""
    return digits.translate(str.maketrans("0123456789", "０１２３４５６７８９"))


def date(rng: random.Random) -> str:
    """A day, month or year, as people write them."""
    year, month, day = rng.randint(2031, 2049), rng.randint(1, 12), rng.randint(1, 28)
    forms = (f"{year}年{month}月{day}日", f"{year}年{month}月", f"{month}月{day}日", f"{year}.{month}.{day}", full_width(f"{year}年"))
    return rng.choices(forms, (6, 4, 4, 2, 1))[0]


def money(rng: random.Random) -> str:
    """An amount with its unit."""
    return rng.choice((f"{rng.randint(2, 90)}万元", f"{rng.randint(2, 30)}亿元", f"{rng.randint(1, 9)}.{rng.randint(1, 9)}亿美元"))


class Inventor:
    """Draws names and values of one split. ``unseen``: names that training never says, else only those that it may."""

    def __init__(self, rng: random.Random, *, unseen: bool):
        self.rng = rng
        self.unseen = unseen

    def name(self, kind: str) -> str:
        """A name of a kind in :data:`NAMES`, of this split's share."""
        while True:
            name = NAMES[kind](self.rng)
            if is_held_out(name) == self.unseen:
                return name

    def fresh(self, draw: Callable[[], str], said: Iterable[str]) -> str:
        """What ``draw`` gives, but nothing that is inside another value of the text or around one."""
        said = list(said)
        while True:
            value = draw()
            if not any(value in other or other in value for other in said):
                return value


def is_held_out(name: str) -> bool:
    """Whether a name belongs to the tests: a quarter of all do."""
    return zlib.crc32(name.encode()) % 4 == 0


def choose(pattern: str, rng: random.Random) -> str:
    """The pattern with one alternative of each ``[a|b|]``."""
    return re.sub(r"\[([^]]*)\]", lambda part: rng.choice(part[1].split("|")), pattern)


def dress(rng: random.Random, *, before: float = 0.2, after: float = 0.3) -> tuple[str, str]:
    """What stands before and after a sentence: a headline, emoji, U+3000, a byline; each with its probability, else nothing."""
    return (rng.choice(BEFORE) if rng.random() < before else ""), (rng.choice(AFTER) if rng.random() < after else "")


def identity(name: str) -> str:
    """An id in the official form, the same every time."""
    return hashlib.md5(f"sample {name}".encode()).hexdigest()


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines, UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
