"""The kind of a Chinese question: rules of our own, for counts and scores that people read."""

from __future__ import annotations

import re

_RULES = {
    "why": "为什[么麽]|为甚么|为何|为啥|原因|何以",
    "when": "什[么麽]时[候间]|何[时年日]|啥时|哪一?[年天日月]|(?<!长)时间|日期|年份|几[月点时]|几号(?![线楼院])",
    "how many": "多少|多[大长高远重宽深厚快久]|几(?!乎)|价格|号码|电话",
    "who": "谁|何人|什[么麽]人|哪一?位|哪一?个人|哪些人",
    "where": "哪里|哪儿|[在去到]哪|何[处地]|什[么麽]地方|哪一?个?[省市县区国州]|地址|位置|位于",
    "how": "怎[么麽]|怎样|如何|咋|方法|步骤",
    "yes or no": "吗|是否|能否|可否|有没有|是不是|[能会要]不[能会要]|可不可以|还是",
    "which": "哪",
    "what": "什[么麽]|甚么|啥|何|意思|含义",
}
_PATTERNS = {kind: re.compile(rule) for kind, rule in _RULES.items()}
KINDS = (*_RULES, "other")
"""``other``: neither a question word nor a noun that search queries put in its place."""


def kind_of(question: str) -> str:
    """The first of :data:`KINDS` of which a word stands in the question."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(question)), "other")
