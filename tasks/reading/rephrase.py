"""The same question in other words, by rules of our own that keep its meaning: for augmentation without a model, and to measure how often an
answer changes for no reason.

Each rule rewrites one thing that a Chinese question can say in several ways: its question word, a frame of courtesy, the mark at its end, the
order of a phrase of time, a noun asked for without a question word. A rule is left out wherever its words can mean something else.
"""

from __future__ import annotations

import re

_END = r"(?=[?？]?$)"
_PLACES = "地址|官网|网址"
_NUMBERS = "电话号码|电话|邮编|区号|身高|面积|人口|车牌号"

_WORDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("when", r"什么时候", ("何时", "什么时间")),
    ("when", r"什么时间", ("什么时候",)),
    ("when", r"何时", ("什么时候",)),
    ("when", r"哪一年", ("哪年",)),
    ("when", r"哪年", ("哪一年",)),
    ("when", r"哪一天", ("哪天",)),
    ("when", r"哪天", ("哪一天",)),
    ("why", r"为什么", ("为何", "为啥")),
    ("why", r"为何", ("为什么",)),
    ("why", r"为啥", ("为什么",)),
    ("how", r"怎么(?![样了办回])", ("如何", "怎样")),
    ("how", r"如何", ("怎么",)),
    ("how", r"怎样", ("如何",)),
    ("where", r"哪里", ("哪儿", "什么地方")),
    ("where", r"哪儿", ("哪里",)),
    ("where", rf"(?<=在)哪{_END}", ("哪里", "什么地方")),
    ("how long", r"多久", ("多长时间",)),
    ("how long", r"多长时间", ("多久",)),
    ("how many", r"(?<![第好十百千万上这那数])几(?=个小时|个月|[天克斤岁米集]|公里|毫升|分钟|小时)", ("多少",)),
    ("how many", r"^(.+?)(?:需要|需|要花|要|是|得|花)?多少钱(?=[?？]?$)", (r"\1的价格是多少",)),
    ("who", rf"(?<=是)谁{_END}", ("哪位", "哪个人")),
    ("meaning", rf"^(.+)是什么意思{_END}", (r"\1的意思是什么",)),
    ("meaning", rf"^(.+?)(?<!是)什么意思{_END}", (r"\1是什么意思",)),
    ("what", rf"^(.+)是啥{_END}", (r"\1是什么",)),
    ("whether", rf"^(.*?)能(?![不够])([^不]+)吗{_END}", (r"\1能不能\2",)),
    ("whether", rf"^(.*?)可以([^不]+)吗{_END}", (r"\1可不可以\2",)),
    ("asked noun", rf"^(.+?[^的])的?({_NUMBERS}){_END}", (r"\1的\2是多少",)),
    ("asked noun", rf"^(.+?[^的])的?({_PLACES}){_END}", (r"\1的\2是什么",)),
    ("order of time", r"^([^\d，,在]{2,10})在(\d{4}年(?:\d{1,2}月(?:\d{1,2}[日号])?)?)(?=[^的代到至前后以之起间\d,，])(.{2,})$", (r"在\2，\1\3",)),
)
_COMPILED = tuple((rule, re.compile(pattern), others) for rule, pattern, others in _WORDS)
_FRAMES = (("courtesy", "请问"), ("courtesy", "我想知道"), ("courtesy", "麻烦问一下，"))
_COURTEOUS = re.compile("^(?:请问|请|我想|麻烦|想问|帮)")
_PARTICLE = re.compile("[吗呢吧啊呀么嘛]$")
RULES = (*dict.fromkeys(rule for rule, _, _ in _WORDS), "courtesy", "particle", "mark")
"""Names of the rules, in the order in which :func:`rephrase` goes through them."""


def rephrase(question: str) -> list[tuple[str, str]]:
    """(rule, other words) for a question, each text once and none equal to it. Blanks at the ends stay out."""
    asked = question.strip()
    if not asked:
        return []
    mark = "?？".find(asked[-1]) >= 0
    bare = asked[:-1].rstrip() if mark else asked
    found = [(rule, pattern.sub(other, asked, count=1)) for rule, pattern, others in _COMPILED if pattern.search(asked) for other in others]
    if not _COURTEOUS.search(asked):
        found += [(rule, frame + asked) for rule, frame in _FRAMES]
    if bare and not _PARTICLE.search(bare) and re.search("什么|哪|谁|多少|几|怎|何", bare):
        found.append(("particle", f"{bare}呢{asked[len(bare) :]}"))
    if bare:
        found.append(("mark", bare if mark else f"{asked}？"))
    kept: dict[str, str] = {}
    for rule, text in found:
        if text not in (question, asked):
            kept.setdefault(text, rule)
    return [(rule, text) for text, rule in kept.items()]


_ANCHORS = re.compile(r"[0-9]+|[A-Za-z]+")
_NEGATIONS = re.compile("[不没非未无]")


def same_anchors(question: str, other: str) -> bool:
    """Whether both have the same numbers and Latin words, and as many negations outside ``X不X``: where they differ, so does the meaning."""
    left, right = (_frame(text) for text in (question, other))
    return left == right


def _frame(text: str) -> tuple[list[str], int]:
    plain = re.sub(r"(.)[不没]\1|可不可以|是不是|有没有", "", text)
    return sorted(word.lower() for word in _ANCHORS.findall(text)), len(_NEGATIONS.findall(plain))
