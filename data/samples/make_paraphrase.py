"""Writes the sample files of the paraphrase task: invented everyday questions, in several wordings each.

``python data/samples/make_paraphrase.py`` gives the same bytes every time. A group is one question (a topic about one name) in all the wordings of
``paraphrase_frames.py``; a pair of one meaning is two wordings of a group. A pair of two meanings shares words: the same frame with another name,
or the same name in the frame of another topic. So shared characters tell nothing, or the wrong thing. Dev and test ask about names that train
never says, so none of their wordings stands in train. ``test.jsonl`` is ``test_a.jsonl`` without labels.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from invented import Inventor
from paraphrase_frames import ENDINGS, OPENINGS, TOPICS

GROUPS = {"train": 200, "dev": 40, "test_a": 60}
"""Groups, the topics by turns; each gives four pairs of each label."""
SEED = 20200518


def dressed(rng: random.Random, text: str) -> str:
    """A question as people type it: at times with a greeting, a mark at its end."""
    opening = rng.choice(OPENINGS) if rng.random() < 0.1 else ""
    return opening + text + (rng.choice(ENDINGS) if rng.random() < 0.3 else "")


def pairs_of(topic: str, name: str, other: str, rng: random.Random) -> Iterator[tuple[str, str, int]]:
    """The eight pairs of one group; ``other``: another name of its kind. Five wordings are joined by the pairs of one meaning."""
    _, kind, frames = TOPICS[topic]
    own = [dressed(rng, frame.format(name)) for frame in rng.sample(frames, len(frames))]
    for left, right in pairwise(own[:5]):
        yield left, right, 1
    place = rng.randrange(len(frames))
    yield dressed(rng, frames[place].format(name)), dressed(rng, frames[place].format(other)), 0
    yield rng.choice(own), dressed(rng, rng.choice(frames).format(other)), 0
    beside = [key for key, (_, its, _) in TOPICS.items() if its == kind and key != topic]
    for key in rng.sample(beside, 2):
        yield rng.choice(own), dressed(rng, rng.choice(TOPICS[key][2]).format(name)), 0


def make_split(split: str, said: set[str]) -> list[dict[str, Any]]:
    """The pairs of one file, each once; none of a text that is ``said`` in an earlier one. Its own texts come into ``said``."""
    rng = random.Random(f"{SEED} {split}")
    inventor = Inventor(rng, unseen=split != "train")
    topics = list(TOPICS)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for number in range(GROUPS[split]):
        topic = topics[number % len(topics)]
        field, kind = TOPICS[topic][:2]
        name, other = inventor.name(kind), inventor.name(kind)
        while other == name:
            other = inventor.name(kind)
        for left, right, label in pairs_of(topic, name, other, rng):
            texts = (left, right) if rng.random() < 0.5 else (right, left)
            if said.isdisjoint(texts):
                rows.setdefault(texts, {"text": texts[0], "pair": texts[1], "label": label, "source": field})
    said.update(*rows)
    made = list(rows.values())
    rng.shuffle(made)
    return made


def make(folder: Path) -> None:
    """Writes train, dev, test_a and test.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    said: set[str] = set()
    for split in GROUPS:
        rows = make_split(split, said)
        _write(folder / f"{split}.jsonl", rows)
        if split == "test_a":
            _write(folder / "test.jsonl", [{name: value for name, value in row.items() if name != "label"} for row in rows])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the sample files of the paraphrase task.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "paraphrase", help="where to (default: beside this script)")
    make(parser.parse_args().folder)
