"""Writes the reading track's sample files: invented passages about invented places, products, dishes, plants, series and courses.

``python data/samples/make_reading.py`` gives the same bytes every time. The shape is that of DuReader-robust (SQuAD 1.1, one question a
paragraph): train has real offsets, dev has -1 for every one of its 1 to 3 references, test1 has no answers. The traps of real data are put in
on purpose: other dates, prices and times than those asked for, the same fact about a second thing, answers that occur twice (once before
their place), blanks, U+3000 and full-width digits, and contexts of more than 512 characters.

A fact is ``sentences || questions``, alternatives parted by ``/``. ``<…>`` is a reference, the outermost one the answer; ``{20-90}`` is a
number, ``{person}`` another slot, ``{e}`` the thing itself; ``[a|b|]`` is one of its alternatives.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from pathlib import Path

SIZES = {"train": 500, "dev": 80, "test1": 60}
SEED = 20200401

GIVEN = [first + last for first in "砚若青知望听疏怀枕拾" for last in "舟川禾溪舷澄棠霁樵蘅"]
CITIES = ["雾泽市", "临渊市", "青螺市", "望湖市", "石埠市", "柳汀市", "岚雀市", "盐桥市"]
STREETS = ["春水路", "旧钟街", "白榴巷", "北窗大道", "豆花弄", "灯市口"]
WORK_FIRST = ["纸月亮", "深井", "倒流的", "第九盏", "打盹的", "十三号", "借来的"]
WORK_LAST = ["邮局", "渡口", "修理铺", "纽扣", "雪人", "账本"]
SIGHT_FIRST, SIGHT_LAST = ["听潮", "落星", "万竹", "歪柳", "铜铃", "半帆"], ["塔", "古桥", "岭公园", "石窟", "书院", "植物园"]
GADGET_FIRST, GADGET_LAST = ["萤石X2", "松风3号", "PaperLeaf", "鲸落", "mini糖"], ["平板", "耳机", "阅读器", "相机", "拾音器"]
DISH_FIRST, DISH_LAST = ["云榴", "雾泽", "老渡口", "三更", "阿婆", "盐桥"], ["蛋糕", "豆花", "糖藕", "鱼丸", "米糕", "酱鸭"]
PLANT_FIRST, PLANT_LAST = ["雾叶", "铃舌", "青鹬", "夜糖", "石榆", "半月"], ["草", "兰", "藤", "莓", "蕨", "菊"]
COURSE_FIRST, COURSE_LAST = ["修钟", "制灯", "航标", "纸艺", "养蜂", "酿醋"], ["师资格考试", "专业", "夜校", "证书班", "进修班", "学院"]


def _pair(first: list[str], last: list[str]):
    return lambda rng: rng.choice(first) + rng.choice(last)


def _opening(rng: random.Random) -> str:
    hour = rng.randint(5, 10)
    return rng.choice((f"{hour}:{rng.choice(('00', '15', '30', '45'))}", f"早上{hour}点"))


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(2031, 2049), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice((f"{year}年{month}月{day}日", f"{year}年{month}月", f"{month}月{day}日"))


SLOTS = {
    "person": lambda rng: rng.choice("竺桑岑骆闻郗蔺芮郦邬璩晏巫") + rng.choice(GIVEN),
    "city": lambda rng: rng.choice(CITIES),
    "address": lambda rng: rng.choice(CITIES) + rng.choice(STREETS) + f"{rng.randint(2, 199)}号",
    "opening": _opening,
    "date": _date,
    "months": lambda rng: f"{(low := rng.randint(1, 9))}-{low + rng.randint(1, 3)}月",
    "phone": lambda rng: f"0{rng.randint(100, 999)}-555{rng.randint(1000, 9999)}",
}

TOPICS = {
    _pair(SIGHT_FIRST, SIGHT_LAST): """
{e}是<{city}的[一处老景点|一座免费开放的园子|地标]>/[说起|提到]{e}，它其实是<{city}的[旧粮仓|一处老景点]> || {e}是什么/{e}是什么地方
[门票|票价]<<{20-90}>元>[，学生半价|一位|]/门票现在是<每人<{20-90}元>> || {e}门票多少钱/{e}[门票|票价]多少/去{e}的门票要多少钱
停车费<<{5-19}>元>[一天|]/停车场收费<每小时<{3-12}元>> || {e}停车费多少钱/{e}停车收费多少
[始建于|建于]<{date}>[，至今没有搬过|]/<{date}>建成[，当时只有一层|] || {e}始建于什么时候/{e}什么时候建的/{e}建成时间
[地址在|位于]<{address}>/就在<{address}>[，坐3路车能到|] || {e}在哪里/{e}地址/{e}在什么地方
[由|由建筑师]<{person}>设计/设计者是<{person}>[，图纸画了八年|] || {e}是谁设计的/{e}设计者是谁
[又名|又叫|别名]<[歪脖|听雨|铁皮|小号][塔|楼|台|坊]>[，本地人才懂|] || {e}别名/{e}又叫什么/{e}的别名是什么
[逛完|走完一圈]<[大约|大概]<{2-5}个小时>>/逛完一圈需要<大概<<{30-90}分钟>左右>> || 逛完{e}要多久/{e}逛完多长时间
[问讯电话|电话]<{phone}> || {e}电话是多少/{e}问讯电话
[每天|平日]<{opening}>开门[，周一除外|] || {e}几点开门/{e}早上几点开门
""",
    _pair(GADGET_FIRST, GADGET_LAST): """
{e}是<一款[给老人用的|不联网的|太阳能][小玩意|家用设备]> || {e}是什么/{e}是什么东西
[售价|官网售价|标价]<<{199-999}>元>/价格是<<{1099-4999}>元>[，不讲价|] || {e}多少钱/{e}售价多少/{e}价格
[租用的话押金|押金]<<{50-180}>元>/押金要<{50-180}元>[，七天退|] || {e}押金多少钱/租{e}押金多少
[续航|电池能用]<[约|大约]<{6-40}小时>>/续航<<{2-9}天>左右> || {e}续航多久/{e}电池能用多久
充满电需要<<{20-90}分钟>[左右|]>/充电<[约|大概]<{2-6}小时>> || {e}充电要多久/{e}充满电要多长时间
[重|重量]<[约|大约]<{120-980}克>>/整机重<<{2-19}>公斤> || {e}有多重/{e}重量是多少
[于|在]<{date}>上市/<{date}>正式上市[，首日断货|] || {e}什么时候上市/{e}上市时间
设计师是<{person}>[，画了九稿|]/外观由<{person}>设计 || {e}的设计师是谁/{e}谁设计的
保修<<{1-5}年>>[，进水不保|] || {e}保修多久/{e}保修几年
[重启|死机了]就<[长按侧键十秒|拔掉电池再装回去|同时按两个音量键]>[，别摔|] || {e}怎么重启/{e}死机怎么办
""",
    _pair(DISH_FIRST, DISH_LAST): """
先[打|准备]<<{2-9}个>[鸡蛋|]>，[打散备用|再加糖] || {e}要几个鸡蛋/做{e}放几个鸡蛋
[上锅蒸|蒸]<[大约|]<{10-55}分钟>>[，中途别揭盖|] || {e}蒸多久/{e}要蒸多长时间
[腌|腌制]<<{2-9}小时>左右>/提前腌<<{15-50}分钟>> || {e}要腌多久/{e}腌制多长时间
[烤箱|炉温]调到<<{150-230}>度>[，上下火|] || {e}烤箱多少度/{e}炉温调到几度
去腥[只要|要]<[加两片姜和一勺料酒|用淘米水泡半小时|抹一层柠檬汁]>[，切记|] || {e}怎么去腥/做{e}如何去腥
[热量|每份热量]<约<<{120-680}>大卡>> || {e}热量多少/{e}一份有多少热量
[盐放|放盐]<约<<{2-9}>克>> || {e}放多少盐/做{e}要多少盐
创始人是<{person}>[，一位船上的厨子|]/相传由<{person}>发明 || {e}是谁发明的/{e}创始人是谁
[店里卖|卖]<<{8-68}>元>[一份|] || {e}多少钱一份/{e}多少钱
""",
    _pair(PLANT_FIRST, PLANT_LAST): """
{e}是<一种[耐旱的|怕光的|爱水的][多年生|一年生]植物> || {e}是什么/{e}是什么植物
[别名|又名]<[铁扫帚|懒人菜|猫耳朵|水铃铛|月下客]>[，各地叫法不同|] || {e}别名/{e}又叫什么/{e}的别名是什么
[花期|开花]在<每年<{months}>>/花期<{months}>[，花白色|] || {e}什么时候开花/{e}花期是几月
[播种|宜播种]在<{months}>[，不能太深|] || {e}什么时候播种/{e}几月播种
[高|株高]<约<<{12-98}>厘米>> || {e}能长多高/{e}株高多少
[浇水|水要]<每<{2-9}天>一次>[，宁干勿湿|] || {e}多久浇一次水/{e}几天浇水
[功效是|主要功效为]<[清热安神|化痰止咳|健脾开胃|明目]>[，孕妇慎用|] || {e}有什么功效/{e}的功效
[生虫时|防虫]可以<[喷淡醋水|埋两瓣大蒜|换一次盆土]>[，一周见效|] || {e}生虫怎么办/{e}怎么防虫
[原产地是|原产]<{city}>[，喜欢海风|] || {e}原产地是哪里/{e}原产哪里
[花市上|市价]<<{8-88}>元>一盆 || {e}多少钱一盆/{e}多少钱
""",
    lambda rng: f"《{_pair(WORK_FIRST, WORK_LAST)(rng)}》": """
[全剧|一共]<<{12-60}>集>[，每周更新|] || {e}一共多少集/{e}有几集
[导演是|执导的是]<{person}>[，第一次拍剧|] || {e}导演是谁/{e}谁导演的
主演是<{person}>[，戏份最重|]/由<{person}>主演 || {e}主演是谁/{e}谁主演的
[定于|在]<{date}>开播/<{date}>开播[，每晚两集|] || {e}什么时候开播/{e}开播时间
[大结局在|大结局定在]<{date}> || {e}什么时候大结局/{e}大结局时间
[主题曲叫|主题曲是]<[慢灯|半个夏天|Slow Tides|回信]>[，很好听|] || {e}主题曲叫什么/{e}的主题曲
[每集时长|每集]<[约|]<{30-59}分钟>> || {e}每集多久/{e}一集多长时间
[会员价|看全集]<<{6-48}>元>[，不限次数|] || 看{e}要多少钱/{e}会员价多少
""",
    _pair(COURSE_FIRST, COURSE_LAST): """
[报名时间是|报名从]<{date}>[开始|起] || {e}什么时候报名/{e}报名时间
[考试时间为|考试在]<{date}>[，带好证件|] || {e}什么时候考试/{e}考试时间
[学费|学费每年]<<{800-6800}>元> || {e}学费多少钱/{e}学费多少
[报名费|另收报名费]<<{20-180}>元> || {e}报名费多少钱/{e}报名费多少
[学制|学制为]<<{2-6}年>> || {e}学制几年/{e}要读几年
[今年招|计划招收]<<{30-320}人>> || {e}招多少人/{e}今年招收多少人
[校区在|上课地点是]<{address}> || {e}在哪里上课/{e}校区在哪里
[报名电话|电话]<{phone}> || {e}电话是多少/{e}报名电话
[及格线|及格线是]<<{45-72}>分> || {e}及格线多少分/{e}多少分及格
[需要带|报名要带]<[身份证和两张照片|户口本|一支旧钟和螺丝刀]> || {e}报名要带什么/{e}需要带什么
""",
}

FACTS = [[tuple(part.split("/") for part in line.split(" || ")) for line in lines.strip().splitlines()] for lines in TOPICS.values()]
OPENINGS = ["关于{e}", "{e}简介", "下面说说{e}", "你好，{e}的情况如下", "{e}", "不少人问起{e}", "【{e}】"]
FILLER = [
    "窗外的梧桐落了一地，编辑部的水壶又响了",
    "有读者来信问，旧报纸能不能换一盆薄荷，答案是可以",
    "夜里有风，请收好阳台上的伞和猫",
    "卖豆花的阿婆说，她见过更大的雾",
    "以上内容由热心网友整理，如有变动请以现场告示为准",
    "朋友{person}去年试过，说值得一试，不过人多的时候要耐心",
    "另外提醒一句，雨天路滑，别穿新鞋",
    "这里补充一点背景，早年的资料被水泡过，只剩下半本",
    "如果还有疑问，可以在下面留言，看到都会回",
    "记得把这一页收藏起来，省得下回再找",
]
BEFORE = ["有人说是{}，下面细说", "听说{}？来看看对不对"]
AFTER = ["总之记住{}就好", "再说一遍：{}"]
JOINS = ["。", "。", "。", "，", "；", " ", "|", "　", "。 "]


def render(pattern: str, entity: str, rng: random.Random, wide: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """Text and the spans of its ``<…>``, outermost first."""
    pattern = re.sub(r"\[([^]]*)\]", lambda part: rng.choice(part[1].split("|")), pattern)
    pattern = re.sub(r"\{(\d+)-(\d+)\}", lambda part: _number(rng.randint(int(part[1]), int(part[2])), wide), pattern)
    pattern = re.sub(r"\{(\w+)\}", lambda part: entity if part[1] == "e" else SLOTS[part[1]](rng), pattern)
    text, opened, spans = "", [], []
    for character in pattern:
        if character == "<":
            opened.append(len(text))
        elif character == ">":
            spans.append((opened.pop(), len(text)))
        else:
            text += character
    return text, list(dict.fromkeys(sorted(spans, key=lambda span: (span[0], -span[1]))))


def _number(value: int, wide: bool) -> str:
    return str(value).translate(str.maketrans("0123456789", "０１２３４５６７８９")) if wide else str(value)


def record(rng: random.Random, topic: int) -> tuple[str, str, list[tuple[int, int]]]:
    """Question, context and the spans of the references, the answer first."""
    name, facts = list(TOPICS)[topic], FACTS[topic]
    entity, wide, long = name(rng), rng.random() < 0.05, rng.random() < 0.04
    told = rng.sample(facts, rng.randint(3, 6))
    asked = told[0]
    parts = [(sentence, spans if fact is asked else []) for fact in told for sentence, spans in [render(rng.choice(fact[0]), entity, rng, wide)]]
    answer, spans = parts[0]
    answer = answer[slice(*spans[0])]
    rng.shuffle(parts)
    sections = [[(rng.choice(OPENINGS).replace("{e}", entity), []), *parts]]
    if long or rng.random() < 0.2:
        sections.append(_rival(rng, name, facts, entity, asked))
        rng.shuffle(sections)
    parts = [part for section in sections for part in section]
    for _ in range(rng.randint(0, 2)):
        parts.append((render(rng.choice(FILLER), entity, rng)[0], []))
    form = rng.random()
    if form < 0.06:
        parts.insert(0, (rng.choice(BEFORE).format(answer), []))
    elif form < 0.16:
        parts.append((rng.choice(AFTER).format(answer), []))
    while (length := sum(len(text) + 1 for text, _ in parts)) < 66 or (long and length < 530):
        at = rng.choice((0, len(parts)))
        parts.insert(at, (render(rng.choice(FILLER), entity, rng)[0], []))
    join, context, places = rng.choice(JOINS), "", []
    for text, found in parts:
        places += [(len(context) + start, len(context) + end) for start, end in found]
        context += text + join
    question = render(rng.choice(asked[1]), entity, rng)[0].replace("《", "").replace("》", "")
    return question, context.rstrip("，；|。 　") + rng.choice("。。！"), places


def _rival(rng: random.Random, name, facts: list, entity: str, asked: tuple) -> list[tuple[str, list]]:
    """The asked fact and others about a second thing of the same kind."""
    while (other := name(rng)) == entity:
        pass
    told = [asked, *rng.sample([fact for fact in facts if fact is not asked], 2)]
    rng.shuffle(told)
    return [(other, []), *((render(rng.choice(fact[0]), other, rng)[0], []) for fact in told)]


def make(folder: Path) -> None:
    """Writes train.json, dev.json and test1.json."""
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    contexts: set[str] = set()
    for split, size in SIZES.items():
        paragraphs: list[dict] = []
        while len(paragraphs) < size:
            question, context, spans = record(rng, len(paragraphs) % len(TOPICS))
            if context in contexts:
                continue
            contexts.add(context)
            asked = {"question": question, "id": hashlib.md5(f"sample reading {split} {len(paragraphs)}".encode()).hexdigest()}
            if split == "train":
                asked["answers"] = [{"text": context[slice(*spans[0])], "answer_start": spans[0][0]}]
            elif split == "dev":
                asked["answers"] = [{"text": context[start:end], "answer_start": -1} for start, end in spans]
            paragraphs.append({"qas": [asked], "context": context})
        rng.shuffle(paragraphs)
        _write(folder / f"{split}.json", paragraphs)


def _write(path: Path, paragraphs: list[dict]) -> None:
    """One JSON object as the official files, but a paragraph a line, so that people can read it."""
    rows = ",\n".join(json.dumps(paragraph, ensure_ascii=False) for paragraph in paragraphs)
    path.write_text(f'{{"data": [{{"paragraphs": [\n{rows}\n], "title": ""}}]}}\n', encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the reading track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "reading", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
