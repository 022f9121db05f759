"""Writes the relation track's sample files: invented sentences about invented people, works, companies and places.

``python data/samples/make_relation.py`` gives the same bytes every time. Predicates and type names are those of DuIE 2.0 (25 of its 48, the
five with several slots among them); every sentence and name is our own. The traps of real data are put in on purpose: several objects of one
subject and predicate, one pair under two predicates, subjects that are objects too, equal or nested mentions, mentions that occur twice, two
values that each have slots of their own, blanks, U+3000, full-width forms, emoji, Latin names, and texts of more than 200 characters.

A frame is ``sentence || triples``. ``{film}`` is a slot, its kind is the name without its number; a slot said twice has one value.
``[a|b|]`` is one of its alternatives. A triple is ``subject predicate value slot=other``; what the sentence does not say drops out of it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

SIZES = {"train": 600, "dev": 100, "test1": 80}
SEED = 20200331

SCHEMA = {
    "毕业院校": ("人物", "学校"),
    "妻子": ("人物", "人物"),
    "丈夫": ("人物", "人物"),
    "校长": ("学校", "人物"),
    "成立日期": ("机构", "Date"),
    "创始人": ("企业", "人物"),
    "董事长": ("企业", "人物"),
    "总部地点": ("企业", "地点"),
    "注册资本": ("企业", "Number"),
    "所在城市": ("景点", "城市"),
    "主持人": ("电视综艺", "人物"),
    "嘉宾": ("电视综艺", "人物"),
    "作者": ("图书作品", "人物"),
    "改编自": ("影视作品", "作品"),
    "导演": ("影视作品", "人物"),
    "主演": ("影视作品", "人物"),
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

FAMILIES = [*"竺桑岑鹿骆闻郗蔺逄芮郦邬璩楼阙展晏巫佘苌", "端木", "钟离"]
GIVEN_FIRST = "砚若青知小望听疏怀枕拾云屿未简"
GIVEN_LAST = "舟满川禾远溪舷澄桐棠霁樵笙蘅"
FOREIGN = [f"{given}·{family}" for given in ("艾娃", "约纳", "米拉", "奥托", "赛琳") for family in ("洛尔", "奎尔", "范布里", "托尔登")]
LATIN = [f"{given} {family}" for given in ("Mira", "Jonas", "Ottilie", "Rune") for family in ("Tolden", "Quell", "van Brix", "Asheby")]
ROLE_TITLES = ("掌柜", "郎中", "船长", "师姐", "教授", "小妹")
WORK_FIRST = ["纸月亮", "深井", "雾中", "倒流的", "第九盏", "云上", "候鸟", "打盹的", "半个", "十三号", "北窗"]
WORK_FIRST += ["迟到的", "借来的", "蓝皮", "空心", "慢火车与", "没有"]
WORK_LAST = ["邮局", "来信", "灯塔", "修理铺", "电台", "渡口", "钟楼", "纽扣", "夏天", "观测站", "雪人", "来客", "航线", "账本", "邻居"]
LATIN_WORKS = ["Slow Tides", "PAPER MOON 7", "Afterkite", "Ｎｏｖａ", "Kite & Stone", "Room 1107"]
SHOW_FIRST, SHOW_LAST = ["周五", "慢半拍", "屋顶", "街角", "反向", "明早"], ["会客厅", "擂台", "出发吧", "厨房", "唱片行", "问不倒"]
STEMS = [first + last for first in "星云松蓝白千石麦橡雾" for last in "桥杉鲤榆榴鹬梭苇"]
INDUSTRIES = ["钟表", "罐头", "影业", "风筝", "茶具", "乳业"]
LATIN_FIRMS = ["NovaKite", "iPlume", "Ｌｕｍｏ科技", "QUILLtek", "Orbit&Fern", "Tall Larch Lab"]
CITIES = ["雾泽市", "临渊市", "青螺市", "望湖市", "南汐市", "栖霞坞市", "石埠市", "柳汀市", "岚雀市", "白鹭洲市", "盐桥市", "苇川市"]
SIGHTS = [first + last for first in ("听潮", "落星", "万竹", "歪柳", "铜铃") for last in ("塔", "古桥", "岭公园", "石窟", "书院")]
AREAS = ["全球", "海外", "洛兰", "北澜", "沙瓦兰", "埃弗里亚", "南屿联邦"]
PRIZES = ["玉兰镜电影节", "星野奖", "群岛影展", "银梭奖", "Larch Awards", "稻田文学奖"]
PRIZE_KINDS = ["最佳男演员", "最佳女演员", "最佳新人", "最佳编剧", "评委会大奖", "观众之选"]


def _person(rng: random.Random, slots: dict[str, str]) -> str:
    if rng.random() < 0.08:
        return rng.choice(FOREIGN + LATIN)
    first = rng.choice(GIVEN_FIRST) if rng.random() < 0.8 else ""
    return rng.choice(FAMILIES) + first + rng.choice(GIVEN_LAST)


def _role(rng: random.Random, slots: dict[str, str]) -> str:
    form = rng.random()
    if form < 0.45:
        return rng.choice("阿小") + rng.choice(GIVEN_LAST)
    return rng.choice(FAMILIES) + rng.choice(ROLE_TITLES) if form < 0.92 else _person(rng, slots)


def _work(rng: random.Random, slots: dict[str, str]) -> str:
    return rng.choice(LATIN_WORKS) if rng.random() < 0.06 else rng.choice(WORK_FIRST) + rng.choice(WORK_LAST)


def _firm(rng: random.Random, slots: dict[str, str]) -> str:
    if rng.random() < 0.12:
        return rng.choice(LATIN_FIRMS)
    return rng.choice(STEMS) + rng.choice(INDUSTRIES) + rng.choice(("", "", "集团", "有限公司"))


def _date(rng: random.Random, slots: dict[str, str]) -> str:
    year, month, day = rng.randint(2031, 2049), rng.randint(1, 12), rng.randint(1, 28)
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    forms = (f"{year}年{month}月{day}日", f"{year}年{month}月", f"{month}月{day}日", f"{year}.{month}.{day}", f"{year}年".translate(wide))
    return rng.choices(forms, (6, 4, 4, 2, 1))[0]


def _pick(values: list[str]):
    return lambda rng, slots: rng.choice(values)


FILL = {
    "p": _person,
    "r": _role,
    "film": _work,
    "book": _work,
    "song": _work,
    "album": _work,
    "show": lambda rng, slots: rng.choice(SHOW_FIRST) + rng.choice(SHOW_LAST),
    "firm": _firm,
    "school": lambda rng, slots: rng.choice(STEMS) + rng.choice(("大学", "学院", "师范大学", "戏剧学院")),
    "branch": lambda rng, slots: slots["school"] + "附属中学",
    "city": _pick(CITIES),
    "museum": lambda rng, slots: slots["city"] + rng.choice(("博物馆", "植物园", "钟表陈列馆")),
    "sight": _pick(SIGHTS),
    "area": _pick(AREAS),
    "date": _date,
    "year": lambda rng, slots: f"{rng.randint(2031, 2049)}年",
    "capital": lambda rng, slots: rng.choice((f"{rng.randint(2, 90)}00万元", f"{rng.randint(2, 60)}亿元", f"{rng.randint(2, 9)}000万")),
    "gross": lambda rng, slots: f"{rng.randint(1, 29)}" + rng.choice((f".{rng.randint(1, 9)}亿", "00万元", ".5亿元", "亿美元")),
    "award": lambda rng, slots: rng.choice(PRIZES) + rng.choice(PRIZE_KINDS),
    "n": lambda rng, slots: rng.choice(("三", "五", "六", "九", "十二", "13", "14", "17", "18", "19", "21")),
}
DERIVED = {"branch", "museum"}

FRAMES = """
《{film}》由{p1}[执导|担任导演|导演]，{p2}、{p3}[主演|领衔主演|联袂主演] || film 导演 p1; film 主演 p2; film 主演 p3
{p1}[执导|导演]的[电影|剧集]《{film}》[杀青|开机|定档]，{p2}[主演|领衔主演] || film 导演 p1; film 主演 p2
导演{p1}说，《{film}》的主演{p2}每天提前两小时到片场 || film 导演 p1; film 主演 p2
《{film}》导演：{p1}　主演：{p2} / {p3}[ / {p4}|] || film 导演 p1; film 主演 p2; film 主演 p3; film 主演 p4
{p1}自导自演的《{film}》[入围{award}|只拍了二十天] || film 导演 p1; film 主演 p1
主演{p1}、{p2}、{p3}携《{film}》亮相{city} || film 主演 p1; film 主演 p2; film 主演 p3
{p1}主演的《{film1}》和{p2}主演的《{film2}》撞了档期 || film1 主演 p1; film2 主演 p2
《{film}》改编自{p}的小说《{book}》 || film 改编自 book; book 作者 p
根据{p1}小说《{book}》改编的[电影|电视剧]《{film}》由{p2}执导 || film 改编自 book; book 作者 p1; film 导演 p2
《{book}》被搬上银幕，片名改作《{film}》，导演{p}添了一条狗 || film 改编自 book; film 导演 p
《{film}》取材于{p1}笔下的《{book}》，主演{p2}读了三遍 || film 改编自 book; book 作者 p1; film 主演 p2
《{book}》作者{p}说，改编成《{film}》以后他只看过一遍 || film 改编自 book; book 作者 p
《{book}》是{p}[写|创作|笔耕五年写成]的[长篇小说|童话|散文集] || book 作者 p
[作家|诗人]{p}的《{book1}》与《{book2}》[同时再版|一起断货] || book1 作者 p; book2 作者 p
《{book}》（{p1}、{p2}合著）[卖到第七刷|放在柜台左手边] || book 作者 p1; book 作者 p2
书名：{book}　作者：{p}　定价：38元 || book 作者 p
《{song}》[由|是由]{p1}作词、{p2}作曲、{p3}演唱[的歌曲，收录在专辑《{album}》中|] || song 作词 p1; song 作曲 p2; song 歌手 p3; song 所属专辑 album
{song} - {p1}　作词：{p2}　作曲：{p3} || song 歌手 p1; song 作词 p2; song 作曲 p3
{p}[包办了|一手包办]《{song}》的作词和作曲 || song 作词 p; song 作曲 p
{p1}[演唱|翻唱]的《{song}》，作曲{p2} || song 歌手 p1; song 作曲 p2
专辑《{album}》里，{p}唱的《{song1}》和《{song2}》最受欢迎 || song1 所属专辑 album; song2 所属专辑 album; song1 歌手 p; song2 歌手 p
专辑《{album}》的同名主打歌由{p}演唱 || album 所属专辑 album; album 歌手 p
《{song}》收录于{p}的同名专辑 || song 歌手 p; song 所属专辑 song
歌手{p1}的《{song}》由{p2}作词，{p1}自己作曲 || song 歌手 p1; song 作词 p2; song 作曲 p1
收录《{song}》的专辑《{album}》今天发行，作词人{p}没有到场 || song 所属专辑 album; song 作词 p
{p}毕业于{school}[中文系|，后来开了一家面馆|] || p 毕业院校 school
{p}，[演员|作家|画家]，毕业于{school} || p 毕业院校 school
从{school}毕业的{p1}和{p2}合租了一间画室 || p1 毕业院校 school; p2 毕业院校 school
{p}[早年考入|本科就读于]{school}，毕业那年下了很大的雪 || p 毕业院校 school
{p}毕业于{school}，现任{branch}校长 || p 毕业院校 school; branch 校长 p
{branch}[现任|]校长{p1}与{school}校长{p2}一起种下一棵树 || branch 校长 p1; school 校长 p2
{school}校长{p}在开学典礼上[只讲了三分钟|唱了一首歌] || school 校长 p
{p1}卸任后，{p2}出任{school}校长 || school 校长 p2
学校：{school}　校长：{p} || school 校长 p
{firm}[成立于{date}|总部位于{city}] || firm 成立日期 date; firm 总部地点 city
{p1}[迎娶了|娶了]{p2}，没有摆酒 || p1 妻子 p2; p2 丈夫 p1
{p1}的妻子{p2}[毕业于{school}|在码头卖花] || p1 妻子 p2; p2 丈夫 p1; p2 毕业院校 school
{p1}和丈夫{p2}把存款捐给了{school} || p1 丈夫 p2; p2 妻子 p1
{p1}[嫁给了|嫁给]{p2}，婚后搬到{city} || p1 丈夫 p2; p2 妻子 p1
{p1}的丈夫{p2}是{firm}的创始人 || p1 丈夫 p2; p2 妻子 p1; firm 创始人 p2
{firm}由{p}[创立|创办]于{date} || firm 创始人 p; firm 成立日期 date
{firm}成立于{date}，总部[位于|设在]{city}[，注册资本{capital}|] || firm 成立日期 date; firm 总部地点 city; firm 注册资本 capital
{p1}与{p2}同为{firm}的[创始人|联合创始人] || firm 创始人 p1; firm 创始人 p2
{firm}创始人兼董事长{p}[在{city}出差|把办公室让给了猫] || firm 创始人 p; firm 董事长 p
{firm}董事长{p1}和创始人{p2}各执一词 || firm 董事长 p1; firm 创始人 p2
总部位于{city}的{firm}，[董事长是{p}|注册资本{capital}] || firm 总部地点 city; firm 董事长 p; firm 注册资本 capital
{firm}的总部搬到了{city}，董事长{p}第一个报到 || firm 总部地点 city; firm 董事长 p
注册资本{capital}的{firm}，成立于{date} || firm 注册资本 capital; firm 成立日期 date
公司：{firm}，注册资本：{capital}，董事长：{p}，成立日期：{date} || firm 注册资本 capital; firm 董事长 p; firm 成立日期 date
{p1}任{firm1}董事长，{p2}任{firm2}董事长 || firm1 董事长 p1; firm2 董事长 p2
创始人{p1}离开{firm}那天，{p2}送到楼下 || firm 创始人 p1
由{p1}主持的《{show}》，本期嘉宾是{p2}和{p3} || show 主持人 p1; show 嘉宾 p2; show 嘉宾 p3
{p1}与{p2}[搭档|联合]主持《{show}》 || show 主持人 p1; show 主持人 p2
{p1}做客《{show}》，主持人{p2}[讲起{city}旧事|忘了台词] || show 嘉宾 p1; show 主持人 p2
《{show}》请来{p1}、{p2}做嘉宾 || show 嘉宾 p1; show 嘉宾 p2
《{show}》主持人{p1}这一期改当嘉宾，和{p2}抢答 || show 主持人 p1; show 嘉宾 p1
{sight}位于{city}[东郊|，门票免费|] || sight 所在城市 city
{city}的{sight}[周一闭馆|正在大修]，{p}白跑一趟 || sight 所在城市 city
{museum}坐落在{city}老码头旁 || museum 所在城市 city
{sight1}和{sight2}都在{city}，{p}说一天走得完 || sight1 所在城市 city; sight2 所在城市 city
地址：{city}春水路7号{sight} || sight 所在城市 city
{p}为《{film}》中的{r}配音 || p 配音 r inWork=film
{r}的[声优|配音]是{p}，很多人没听出来 || p 配音 r
{p}在《{film}》里给{r1}和{r2}配音 || p 配音 r1 inWork=film; p 配音 r2 inWork=film
《{film}》声优：{r1} - {p1}，{r2} - {p2} || p1 配音 r1 inWork=film; p2 配音 r2 inWork=film
{p}曾为{r1}（《{film1}》）、{r2}（《{film2}》）配音 || p 配音 r1 inWork=film1; p 配音 r2 inWork=film2
{p}在《{film}》中[饰演|扮演]{r} || p 饰演 r inWork=film
{p}主演的《{film}》里，他饰演{r}，台词不到十句 || film 主演 p; p 饰演 r inWork=film
《{film}》里{p1}、{p2}分别[饰演|扮演]{r1}、{r2} || p1 饰演 r1 inWork=film; p2 饰演 r2 inWork=film
{r1}（{p1}饰）和{r2}（{p2}饰）在雨里吵了一架 || p1 饰演 r1; p2 饰演 r2
{p}饰演的{r}让人落泪 || p 饰演 r
《{film}》由{p1}执导，{p2}饰演{r} || film 导演 p1; p2 饰演 r inWork=film
{p}在《{film1}》里饰演{r1}，又在《{film2}》中饰演{r2} || p 饰演 r1 inWork=film1; p 饰演 r2 inWork=film2
《{film1}》里{p1}饰{r1}、{p2}饰{r2}；到了《{film2}》，{p1}饰{r3}、{p2}饰{r4} || \
p1 饰演 r1 inWork=film1; p2 饰演 r2 inWork=film1; p1 饰演 r3 inWork=film2; p2 饰演 r4 inWork=film2
{p1}在《{film1}》中饰演{r1}，在《{film2}》中饰演{r2}；{p2}在《{film2}》中饰演{r3}，在《{film1}》中饰演{r4} || \
p1 饰演 r1 inWork=film1; p1 饰演 r2 inWork=film2; p2 饰演 r3 inWork=film2; p2 饰演 r4 inWork=film1
{p}饰演的{r1}与配音的{r2}同时出现在《{film}》里 || p 饰演 r1 inWork=film; p 配音 r2 inWork=film
《{film}》[将于|定于]{date}[上映|公映] || film 上映时间 date
《{film}》{date}在{area}上映[，导演{p}|] || film 上映时间 date inArea=area; film 导演 p
{date}，《{film}》登陆{area}院线 || film 上映时间 date inArea=area
《{film}》{date1}在{area1}上映，{date2}在{area2}上映 || film 上映时间 date1 inArea=area1; film 上映时间 date2 inArea=area2
定档{date}的《{film}》由{p}主演 || film 上映时间 date; film 主演 p
《{film}》票房[突破|已达|收于]{gross} || film 票房 gross
《{film}》在{area}[拿下|收获]{gross}票房 || film 票房 gross inArea=area
{area}票房{gross}的《{film}》，主演是{p} || film 票房 gross inArea=area; film 主演 p
《{film}》{area1}票房{gross1}，{area2}票房{gross2} || film 票房 gross1 inArea=area1; film 票房 gross2 inArea=area2
《{film1}》票房{gross1}，《{film2}》在{area}票房{gross2} || film1 票房 gross1; film2 票房 gross2 inArea=area
《{film}》{date}在{area}上映，首周票房{gross} || film 上映时间 date inArea=area; film 票房 gross
{p}凭[借|]《{film}》[获得|摘得]第{n}届{award} || p 获奖 award inWork=film period=n
{year}，{p}[获得|荣获]{award} || p 获奖 award onDate=year
{p}[斩获|拿下]{award}，[感谢了《{film}》剧组|上台时踩空一级] || p 获奖 award
第{n}届{award}颁给了{p} || p 获奖 award period=n
{year}，{p}凭借《{film}》获得第{n}届{award} || p 获奖 award inWork=film onDate=year period=n
{p1}凭借《{film1}》获得第{n1}届{award1}，{p2}凭借《{film2}》获得{award2} || p1 获奖 award1 inWork=film1 period=n1; p2 获奖 award2 inWork=film2
{p}{year1}凭《{film1}》获得{award1}，{year2}凭《{film2}》获得{award2} || \
p 获奖 award1 inWork=film1 onDate=year1; p 获奖 award2 inWork=film2 onDate=year2
""".strip().splitlines()

NOISE = ["{p1}昨天路过{city}，买了两斤橘子", "有人在{city}看见{p1}和{p2}下棋", "{firm}的食堂今天有豆花", "{p1}说夜里有风，请收好阳台上的伞和猫"]
NOISE += ["旧报纸能不能换一盆薄荷，{p1}说可以", "气象台说{city}有雾"]
BEFORE = ["快讯：", "【晨报】", "🎬 ", "　　", "1、", "#今日话题# ", "ＮＥＷ｜", "百科："]
AFTER = ["。", "。", "！", " 你怎么看？", "🙏🙏", "　详情见第4版", " via 小报App", "……"]


def build(frame: str, rng: random.Random, said: list[str]) -> tuple[str, list[dict]]:
    """Text and spo_list of one frame; ``said`` gathers the values, so that sentences put together share none."""
    sentence, _, triples = frame.partition(" || ")
    sentence = re.sub(r"\[([^]]*)\]", lambda part: rng.choice(part[1].split("|")), sentence)
    values: dict[str, str] = {}
    for name in sorted(dict.fromkeys(re.findall(r"\{(\w+)\}", sentence)), key=DERIVED.__contains__):
        values[name] = FILL[name](rng, values) if name in DERIVED else _fresh(name.rstrip("0123456789"), rng, said)
        said.append(values[name])
    spo_list = []
    for triple in filter(None, triples.split("; ")):
        subject, predicate, value, *slots = triple.split(" ")
        if subject in values and value in values:
            names = {"@value": value, **dict(slot.split("=") for slot in slots)}
            spo_list.append(_spo(predicate, values[subject], {slot: values[name] for slot, name in names.items() if name in values}))
    return sentence.format_map(values), spo_list


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


def _fresh(kind: str, rng: random.Random, said: list[str]) -> str:
    """A value that nothing else in the text has."""
    while True:
        value = FILL[kind](rng, {})
        if not any(value in other or other in value for other in said):
            return value


def record(rng: random.Random, frame: str) -> tuple[str, list[dict]]:
    """One record's text and spo_list, dressed with what surrounds sentences in the wild."""
    said: list[str] = []
    text, spo_list = build(frame, rng, said)
    form = rng.random()
    if form < 0.12:
        length = rng.randint(200, 260) if form < 0.025 else len(text) + 1
        while len(text) < length:
            more, spos = build(rng.choice(FRAMES), rng, said)
            text, spo_list = text + rng.choice("。，；　") + more, spo_list + spos
    elif form < 0.24:
        more, _ = build(rng.choice(NOISE), rng, said)
        text = f"{text}，{more}" if rng.random() < 0.5 else f"{more}。{text}"
    before = rng.choice(BEFORE) if rng.random() < 0.2 else ""
    after = rng.choice(AFTER) if rng.random() < 0.4 else ""
    if rng.random() < 0.015:
        # As a few official labels do: the title together with its brackets.
        for spo in spo_list:
            if f"《{spo['subject']}》" in text:
                spo["subject"] = f"《{spo['subject']}》"
    return before + text + after, spo_list


def make(folder: Path) -> None:
    """Writes schema.json, train.json, dev.json and test1.json."""
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    schema = [
        {"object_type": types if isinstance(types, dict) else {"@value": types}, "predicate": predicate, "subject_type": subject_type}
        for predicate, (subject_type, types) in SCHEMA.items()
    ]
    _write(folder / "schema.json", schema)
    texts: set[str] = set()
    for split, size in SIZES.items():
        rows: list[dict] = []
        while len(rows) < size:
            for frame in rng.sample(FRAMES, len(FRAMES)):
                text, spo_list = record(rng, frame)
                if text not in texts and len(rows) < size:
                    texts.add(text)
                    rows.append({"text": text} if split == "test1" else {"text": text, "spo_list": spo_list})
        rng.shuffle(rows)
        _write(folder / f"{split}.json", rows)


def _write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the relation track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "relation", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
