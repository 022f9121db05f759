"""Writes the title task's sample files: invented abstracts of invented studies, each with the title that it would have.

``python data/samples/make_title.py`` gives the same bytes every time. The lines look like those of CSL, ``{"abst": …, "title": …}``; every study,
method, name and figure is our own. A title can be told from its abstract, yet seldom stands in it: its parts come in another order, and what kind
of study it is (a survey, a comparison, the effect of one thing on another) is said in words that the abstract does not have. The traps of real data
are put in on purpose: Latin names in mixed case, full-width forms, U+3000 before a text, blanks, and abstracts longer than a window.

dev and test are about things (methods, places, dishes …) that train never names.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from invented import Inventor, choose, is_held_out, write_lines

TRAIN_SIZE, DEV_SIZE, TEST_SIZE = 600, 60, 60
LONG = 0.03
"""Share of abstracts that go on for more than 224 characters."""
SEED = 20200713

METHOD_FIRST = ["双层", "渐进", "稀疏", "折返", "分段", "对称", "多尺度", "懒惰", "悬臂", "环形", "嵌套", "抖动"]
METHOD_MIDDLE = ["潮汐", "蜂巢", "棋盘", "回声", "榫卯", "候鸟", "涟漪", "年轮", "竹节", "沙漏", "蛛网", "鱼鳞"]
METHOD_LAST = ["算法", "网络", "模型", "滤波", "规划", "聚类", "编码"]
LATIN_METHODS = [f"{first}{last}" for first in ("iNest", "QL-3", "Ｄｕｎｅ", "TERN", "moth") for last in ("网络", "算法", "模型", " Filter")]
PLACES = ["海岛", "山地", "旧城", "高寒", "夜间", "小型", "潮间带", "河谷", "地下", "沿街"]
OBJECTS = ["灯塔", "风筝", "渡船", "钟楼", "温室", "茶窖", "盐田", "缆车", "邮路", "织机", "鱼塘", "水车", "晒场", "吊桥", "菌房"]
TASKS = ["故障诊断", "排班优化", "噪声估计", "能耗预测", "缺陷检测", "选址", "路径规划", "寿命评估", "客流预测", "湿度控制", "振动抑制", "色差校正"]
FACTORS = [
    first + last for first in ("月光", "海雾", "铃声", "灯光", "茶水", "夜风", "苔藓", "鼓点") for last in ("强度", "浓度", "频率", "温度", "时长")
]
LIVING = [
    first + last for first in ("青鹬", "云榴", "雪鹀", "石斑柳", "灰鹭", "梭苇", "盐桥蟹", "月光菇") for last in ("幼体", "成体", "种群", "标本")
]
TRAITS = ["生长速率", "睡眠时间", "弯曲强度", "飞行高度", "色素含量", "迁移距离", "鸣叫节律", "发芽率", "含水量", "摄食行为"]
EXTRACTS = ["多糖", "黄酮", "挥发油", "色素", "胶质", "有机酸"]
EFFECTS = ["抗氧化性", "保水性", "抑菌活性", "稳定性", "起泡性", "香气成分"]
FIELDS = ["造船业", "制茶业", "风筝产业", "民宿业", "邮政业", "灯具制造业", "盐业", "旧书交易"]
THEMES = ["时间意识", "叙事视角", "海洋意象", "父子关系", "沉默的修辞", "空间书写", "饮食描写", "书信体形式"]
GROWTH = ["不高", "过低", "偏低", "不稳定"]

FILLER = [
    "为今后的工作提供了参考",
    "有一定的推广价值",
    "可供同类研究借鉴",
    "仍有若干问题有待讨论",
    "与以往的认识基本一致",
]
LONGER = [
    "此外,课题组在连续三个冬季里保存了全部原始记录,并由两名互不相识的人员各自整理一遍,不一致之处由第三人裁定.",
    "需要说明的是,试验期间曾有两次停电和一次大雾,相应的数据没有计入,但保留在附录之中,供需要的读者查阅.",
    "有关经费由当地的读书会与合唱团共同承担,参加者在每次测量之后都得到一杯热茶,他们对结论不负任何责任.",
    "全文共分五个部分,依次交代背景、材料、步骤、所得和不足,图表集中放在末尾,以便装订.",
]

Slot = Callable[[random.Random], str]


def _method(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return rng.choice(LATIN_METHODS)
    return rng.choice(METHOD_FIRST) + rng.choice(METHOD_MIDDLE) + rng.choice(METHOD_LAST)


def _of(names: list[str]) -> Slot:
    return lambda rng: rng.choice(names)


NAMED: dict[str, Slot] = {
    "method": _method,
    "object": lambda rng: rng.choice(PLACES) + rng.choice(OBJECTS),
    "factor": _of(FACTORS),
    "living": _of(LIVING),
}
"""Things that are either train's or the tests'."""
FREE: dict[str, Slot] = {
    "task": _of(TASKS),
    "trait": _of(TRAITS),
    "extract": _of(EXTRACTS),
    "effect": _of(EFFECTS),
    "field": _of(FIELDS),
    "theme": _of(THEMES),
    "low": _of(GROWTH),
    "number": lambda rng: str(rng.randint(12, 480)),
    "few": lambda rng: rng.choice("三四五六"),
    "share": lambda rng: f"{rng.randint(3, 60)}.{rng.randint(1, 9)}%",
    "year": lambda rng: str(rng.randint(2031, 2049)),
}


class Frame(NamedTuple):
    """Patterns with ``{slot}`` for a value and, in the abstract, ``[a|b|]`` for one of several wordings."""

    title: str
    abstract: str


FRAMES = [
    Frame(
        "基于{method}的{object}{task}",
        "[针对|为了解决]{object}{task}[精度{low}|效率{low}]的问题,[提出|给出]一种[新的方案|改进方案],[其核心是|它的关键在于]{method}."
        "[首先对数据作预处理|先采集{number}组数据],再逐步求解.[仿真|试验][结果|]表明,误差降低了{share},{filler}.",
    ),
    Frame(
        "{factor}对{living}{trait}的影响",
        "[目的 |]探讨{living}的{trait}[如何随|是否随]{factor}[而|]变化.[方法 |]{year}年选取样品{number}份,[随机|]分为{few}组,"
        "[每组给予不同处理|逐日记录].[结果 |]各组差异[显著|有统计学意义](P<0.05).[结论 |][二者关系密切|适当调节即可],{filler}.",
    ),
    Frame(
        "{living}{trait}研究进展",
        "{trait}是[认识|了解]{living}的[基础|关键].[近年来|过去二十年],国内外学者[做了大量工作|取得了许多成果].[文中|本文]从{few}个方面"
        "[加以归纳|作了综述],[指出了存在的不足|比较了各家观点],并[对未来作了展望|提出若干设想].",
    ),
    Frame(
        "{object}{task}系统的设计与实现",
        "[介绍了|描述了]一套用于{object}的装置,[它|该装置]以{method}[为软件核心|处理信号],[可以|能够][自动|实时]完成{task}."
        "[给出了硬件结构和软件流程|讨论了各模块的分工].[运行|现场运行]{number}天的情况表明,[整机可靠|性能良好],{filler}.",
    ),
    Frame(
        "{city}{field}的现状与对策",
        "{field}是{city}的[支柱|传统产业|特色].[根据|通过]对{number}家单位的[调查|走访],[分析|梳理]了[其中|当前]存在的{few}类问题,"
        "[认为|指出]{share}的从业者缺少培训,[并|在此基础上]提出了[相应的建议|改进的办法],{filler}.",
    ),
    Frame(
        "{dish}中{extract}的提取及其{effect}",
        "以{dish}为原料,[采用|用]热水法[得到|制得]{extract},[考察|研究]了温度、时间和料液比[三个因素|的作用].[最佳条件下|优化之后]得率为{share}."
        "[进一步测定了|并评价了]产物的{effect},[结果优于对照|与对照相当],{filler}.",
    ),
    Frame(
        "两种方法用于{object}{task}的比较",
        "[分别用|先后采用]{method}与[人工经验|传统方式]对{object}进行{task},[记录|统计]了{number}次[运行|试验]的[用时和误差|结果]."
        "[前者|机器]的误差[低|少]{share},[但|而]用时[较长|稍多].[二者各有所长|两者可以互补],{filler}.",
    ),
    Frame(
        "论《{work}》的{theme}",
        "{person}的《{work}》[自{year}年问世以来|出版之后]一直[受到|得到][读者|评论界]的[关注|重视].[本文|文章]从{theme}入手,"
        "[细读|重读]了其中的{few}个[章节|段落],[认为|指出]它[既承接传统又有所创新|与作者的经历有关],{filler}.",
    ),
]


def record(frame: Frame, inventor: Inventor) -> dict[str, Any]:
    """One line."""
    rng = inventor.rng
    values: dict[str, str] = {}
    for kind in ("city", "dish", "work", "person"):
        values[kind] = inventor.name(kind)
    for kind, draw in NAMED.items():
        while is_held_out(found := draw(rng)) is not inventor.unseen:
            pass
        values[kind] = found
    values |= {kind: draw(rng) for kind, draw in FREE.items()}
    abstract = choose(frame.abstract, rng).format(**values, filler=rng.choice(FILLER))
    if rng.random() < LONG:
        abstract += "".join(rng.sample(LONGER, 4))
    if rng.random() < 0.1:
        abstract = rng.choice(["　　", " ", "摘要: "]) + abstract
    return {"abst": abstract, "title": frame.title.format(**values)}


def draw_split(size: int, inventor: Inventor, said: set[str]) -> list[dict[str, Any]]:
    """``size`` lines, of every frame as many; ``said``: abstracts of all splits so far, none of which comes again."""
    rows = []
    while len(rows) < size:
        row = record(FRAMES[len(rows) % len(FRAMES)], inventor)
        if row["abst"] not in said:
            said.add(row["abst"])
            rows.append(row)
    inventor.rng.shuffle(rows)
    return rows


def make(folder: Path) -> None:
    """Writes train.jsonl, dev.jsonl, test.jsonl (abstracts alone) and test_gold.jsonl (the same with their titles)."""
    rng = random.Random(SEED)
    known, unseen = Inventor(rng, unseen=False), Inventor(rng, unseen=True)
    said: set[str] = set()
    write_lines(folder / "train.jsonl", draw_split(TRAIN_SIZE, known, said))
    write_lines(folder / "dev.jsonl", draw_split(DEV_SIZE, unseen, said))
    test = draw_split(TEST_SIZE, unseen, said)
    write_lines(folder / "test_gold.jsonl", test)
    write_lines(folder / "test.jsonl", ({"abst": row["abst"]} for row in test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the title task's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "title", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
