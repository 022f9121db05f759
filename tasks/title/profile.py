"""What ``lic data check`` tabulates of abstracts and titles: see :mod:`tasks.profile`."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.profile import Profile, odd_text

from .records import TitleRecord

LONG_TEXT, LONG_TITLE = 1000, 48
"""Characters."""
OVERLAPS = ("a title that stands in its abstract", "a title whose characters all stand in its abstract", "an abstract of several titles")


def profile(rows: Sequence[TitleRecord]) -> Profile:
    """Lengths of abstracts and titles, how much of a title its abstract has, suspicious places."""
    made = Profile(lines=[one.line for one in rows])
    made.lengths = {"abstract": [len(one.text) for one in rows], "title": [len(one.title) for one in rows if one.title is not None]}
    made.keys = {"abstract": [one.text for one in rows]}
    made.overlaps = dict.fromkeys(OVERLAPS, 0)
    titles: dict[str, set[str]] = {}
    for one in rows:
        titles.setdefault(one.text, set()).update(() if one.title is None else {one.title})
    for index, one in enumerate(rows):
        made.suspect(index, odd_text("abstract", one.text, longest=LONG_TEXT))
        made.answers.append(one.title)
        if one.title is None:
            continue
        made.labelled += 1
        made.suspect(index, odd_text("title", one.title, longest=LONG_TITLE))
        text, title = one.text.lower(), one.title.lower()
        if text.strip() == title.strip():
            made.suspect(index, [("titles that are their whole abstract", one.title)])
        for kind, there in zip(OVERLAPS, (title in text, set(title) <= set(text), len(titles[one.text]) > 1), strict=True):
            made.overlaps[kind] += there
    return made
