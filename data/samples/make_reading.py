"""Writes the reading track's sample files: invented passages about invented places, events, people, works, dishes and schools.

``python data/samples/make_reading.py`` gives the same bytes every time. The shape is that of DuReader-robust (SQuAD 1.1): train has real
offsets, the labelled others -1 for every one of their 1 to 3 references, test1 (the questions of test_a and test_b) has no answers.

A passage says four or more values of one sort (prices, dates, persons …); a question wants one of them, and its words tell which: the sort
of the answer alone leaves at least four to choose from. ``candidates.json`` has all of them for every question of dev and the tests. Test A
and dev say new names and values in train's frames, test B in frames and question forms that train never has (``reading_facts.py``).

Traps of real data are put in on purpose: two things with the same facts, the answer said once more before or behind its place, one value
for two facts, values of other sorts, names in mixed case, full-width digits, blanks, U+3000, emoji, and passages of more than 512 characters.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from invented import Inventor, choose, date, dress, full_width, identity
from reading_facts import FILLER, TOPICS, Topic

SIZES = {"train": 1100, "dev": 120, "test_a": 200, "test_b": 120}
"""Passages; one of train is asked up to four questions, the others one."""
SEED = 20200401

BEFORE = ["有人说是{}，对不对？", "听说是{}？"]
AFTER = ["记住{}就好", "再说一遍：{}"]
JOINS = ["，"] * 12 + ["。"] * 4 + ["；"] * 2 + [" ", "　"]


@dataclass(frozen=True)
class Kind:
    """One kind of question: a line of a topic. What train and test A say of it, or what test B does."""

    topic: Topic
    name: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]


def kinds(*, held_out: bool) -> list[Kind]:
    """All kinds in the order of the topics."""
    found = []
    for topic in TOPICS.values():
        for line in topic.kinds.strip().splitlines():
            name, *parts = line.split(" || ")
            sentences, questions = (tuple(part.split("/")) for part in parts[2 * held_out :][:2])
            found.append(Kind(topic, name, sentences, questions))
    return found


@dataclass
class Fact:
    """What a passage says of ``entity``; ``spans`` are those of the references in the passage, the answer first."""

    kind: Kind
    entity: str
    text: str
    spans: list[tuple[int, int]]

    @property
    def value(self) -> str:
        start, end = self.spans[0]
        return self.text[start:end]


def _money(inventor: Inventor) -> str:
    rng, amount = inventor.rng, inventor.rng.randint(3, 280)
    return rng.choice((f"{amount}元", f"{amount}块", f"{amount}.5元", f"每人<{amount}元>", f"每次<{amount}块钱>"))


def _day(inventor: Inventor) -> str:
    """A date that says its year."""
    while not re.search(r"年|\.", day := date(inventor.rng)):
        pass
    return day


def _duration(inventor: Inventor) -> str:
    rng, few, many = inventor.rng, inventor.rng.randint(2, 9), inventor.rng.randint(10, 59)
    return rng.choice((f"{many}分钟", f"{many}分钟", f"{few}小时", f"{few}个半小时", f"{few}天", f"{few}个晚上", f"约<{many}分钟>"))


VALUES: dict[str, Callable[[Inventor], str]] = {
    "money": _money,
    "date": lambda inventor: date(inventor.rng),
    "day": _day,
    "duration": _duration,
    "person": lambda inventor: inventor.name("person"),
    "place": lambda inventor: inventor.name(inventor.rng.choice(("city", "sight", "area"))),
    "number": lambda inventor: str(inventor.rng.randint(2, 9)),
    "city": lambda inventor: inventor.name("city"),
}


def render(pattern: str, entity: str, inventor: Inventor, *, value: str = "", wide: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """Text and the spans of its ``<…>``, outermost first; ``value`` stands for ``<>``."""
    rng = inventor.rng
    pattern = choose(pattern, rng).replace("<>", f"<{value}>")
    pattern = re.sub(r"\{(\d+)-(\d+)\}", lambda part: str(rng.randint(int(part[1]), int(part[2]))), pattern)
    pattern = full_width(pattern) if wide else pattern
    pattern = re.sub(r"\{(\w+)\}", lambda part: entity if part[1] == "e" else VALUES[part[1]](inventor), pattern)
    text, opened, spans = "", [], []
    for character in pattern:
        if character == "<":
            opened.append(len(text))
        elif character == ">":
            spans.append((opened.pop(), len(text)))
        else:
            text += character
    return text, sorted(set(spans), key=lambda span: (span[0], -span[1]))


class Passage:
    """``context``, its ``facts`` with their spans, and ``candidates``: the spans of all values of their sort."""

    def __init__(self, topic: Topic, told: list[Kind], inventor: Inventor):
        self.topic, self.inventor, self.rng = topic, inventor, inventor.rng
        self.wide = self.rng.random() < 0.05
        self.said: list[str] = []
        entity = self._name()
        if self.rng.random() < 0.1:
            second, told = self._name(), self.rng.sample(told, 2)
            sections = [self._section(entity, told), self._section(second, told)]
        else:
            sections = [self._section(entity, told)]
        self.entities = len(sections)
        parts: list[str | Fact] = [part for section in sections for part in section]
        self.facts = [part for part in parts if isinstance(part, Fact)]
        if self.rng.random() < 0.1 and len(self.facts) > 4:  # three others are left
            self._share_a_value()
        self.asked = self.rng.choice(self.facts)
        self._join(parts)

    def _name(self) -> str:
        return self._fresh(lambda: self.inventor.name(self.topic.entity))

    def _fresh(self, draw: Callable[[], str]) -> str:
        self.said.append(self.inventor.fresh(draw, self.said))
        return self.said[-1]

    def _fact(self, kind: Kind, entity: str, value: str | None = None) -> Fact:
        pattern = self.rng.choice(kind.sentences)
        while True:
            drawn = VALUES[self.topic.sort](self.inventor) if value is None and "<>" in pattern else value or ""
            fact = Fact(kind, entity, *render(pattern, entity, self.inventor, value=drawn, wide=self.wide))
            if value is not None or not any(fact.value in other or other in fact.value for other in self.said):
                self.said.append(fact.value)
                return fact

    def _section(self, entity: str, told: list[Kind]) -> list[str | Fact]:
        parts: list[str | Fact] = [self._fact(kind, entity) for kind in told]
        self.rng.shuffle(parts)
        opening = choose(self.rng.choice(self.topic.openings), self.rng).replace("{e}", entity)
        return [opening, *parts]

    def _share_a_value(self) -> None:
        first, second = self.rng.sample(self.facts, 2)
        pattern = next((sentence for sentence in second.kind.sentences if "<>" in sentence), None)
        if pattern:
            second.text, second.spans = render(pattern, second.entity, self.inventor, value=first.value)

    def _join(self, parts: list[str | Fact]) -> None:
        rng, answer = self.rng, self.asked.value
        before, after = dress(rng, before=0.1, after=0.15)
        for aside in rng.sample(self.topic.asides, rng.choices((0, 1, 2), (6, 3, 1))[0]):
            parts.insert(rng.randint(1, len(parts)), self._fresh(lambda aside=aside: render(aside, "", self.inventor)[0]))
        form = rng.random()
        if form < 0.03:
            before += rng.choice(BEFORE).format(f"<{answer}>")
        elif form < 0.08:
            parts.append(rng.choice(AFTER).format(f"<{answer}>"))
        long, tail = rng.random() < 0.015, ""
        if rng.random() < 0.1:
            tail = rng.choice(FILLER)
        if "林间" in after and self.topic.sort == "person":
            after = ""
        join, self.context = rng.choice(JOINS), ""
        self.candidates: list[tuple[int, int]] = []
        self._say(before)
        while long and len(self.context) < rng.choice((20, 250, 560)):
            self._say(rng.choice(FILLER))
        for number, part in enumerate(parts):
            self._say(part)
            opening = isinstance(part, str) and part[-1] in "：，。？】"
            self._say(join if number + 1 < len(parts) and not opening else "")
        self._say("。" if not after or after[0] in " 　（🙏" else "")
        self._say(tail + after)
        while long and len(self.context) < 560:
            self._say(rng.choice(FILLER))

    def _say(self, part: str | Fact) -> None:
        """Appends a part; a fact's value and whatever stands in ``<>`` are candidates."""
        at = len(self.context)
        if isinstance(part, Fact):
            part.spans = [(at + start, at + end) for start, end in part.spans]
            self.candidates.append(part.spans[0])
            self.context += part.text
            return
        text, spans = render(part, "", self.inventor)
        self.candidates += [(at + start, at + end) for start, end in spans]
        self.context += text


def questions_of(passage: Passage, facts: Iterable[Fact]) -> Iterator[tuple[Fact, str]]:
    """A question for every fact; where the passage tells of two things, one that names its own."""
    for fact in facts:
        forms = [form for form in fact.kind.questions if "{e}" in form or passage.entities == 1]
        form = choose(passage.rng.choice(forms), passage.rng)
        if passage.entities == 1 and passage.rng.random() < 0.5:
            form = re.sub("^(《{e}》|{e})的?", "", form)
        yield fact, form.replace("{e}", fact.entity)


def make_split(split: str, contexts: set[str]) -> tuple[list[dict], dict[str, list[str]]]:
    """Paragraphs in the official form, and the candidates of every question."""
    rng = random.Random(f"{SEED} {split}")
    inventor = Inventor(rng, unseen=split != "train")
    known = kinds(held_out=split == "test_b")
    paragraphs: list[dict] = []
    candidates: dict[str, list[str]] = {}
    while len(paragraphs) < SIZES[split]:
        wanted = known[len(paragraphs) % len(known)]
        others = [kind for kind in known if kind.topic is wanted.topic and kind is not wanted]
        passage = Passage(wanted.topic, [wanted, *rng.sample(others, rng.choice((3, 3, 4)))], inventor)
        asked = [fact for fact in passage.facts if fact.kind is wanted]
        if passage.context in contexts or not asked:
            continue
        contexts.add(passage.context)
        facts = rng.sample(passage.facts, min(4, len(passage.facts))) if split == "train" else asked[:1]
        entries = []
        for fact, question in questions_of(passage, facts):
            spans = fact.spans[:1] if split == "train" else fact.spans
            answers = [
                {"text": passage.context[start:end], "answer_start": start if split == "train" else -1} for start, end in spans
            ]
            entry = {"question": question, "id": identity(f"reading {split} {len(candidates)}"), "answers": answers}
            candidates[entry["id"]] = [passage.context[start:end] for start, end in passage.candidates]
            entries.append(entry)
        paragraphs.append({"qas": entries, "context": passage.context})
    rng.shuffle(paragraphs)
    return paragraphs, candidates


def make(folder: Path) -> None:
    """Writes train, dev, test_a, test_b and test1.json, and candidates.json for all but train."""
    folder.mkdir(parents=True, exist_ok=True)
    contexts: set[str] = set()
    tests: list[dict] = []
    candidates: dict[str, list[str]] = {}
    for split in SIZES:
        paragraphs, found = make_split(split, contexts)
        _write(folder / f"{split}.json", paragraphs)
        if split != "train":
            candidates |= found
        if split.startswith("test"):
            tests += paragraphs
    for paragraph in tests:
        for entry in paragraph["qas"]:
            del entry["answers"]
    _write(folder / "test1.json", tests)
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(texts, ensure_ascii=False)}" for key, texts in candidates.items())
    (folder / "candidates.json").write_text(f"{{\n{rows}\n}}\n", encoding="utf-8", newline="\n")


def _write(path: Path, paragraphs: list[dict]) -> None:
    """One JSON object as the official files, but a paragraph a line, so that people can read it."""
    rows = ",\n".join(json.dumps(paragraph, ensure_ascii=False) for paragraph in paragraphs)
    path.write_text(f'{{"data": [{{"paragraphs": [\n{rows}\n], "title": ""}}]}}\n', encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the reading track's sample files.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "reading", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
