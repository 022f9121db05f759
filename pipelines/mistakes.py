"""What ``lic evaluate`` and ``lic data roundtrip`` do with mistakes (:mod:`tasks.mistakes`): write them as JSON lines, count them, show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def write_mistakes(path: Path, mistakes: Sequence[dict[str, Any]]) -> None:
    """One object a line, atomically; an empty file where there is no mistake."""
    from tasks.json_lines import write_json_lines

    write_json_lines(path, mistakes)


def faults_frame(mistakes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Per ``fault``: its ``count``, in how many ``records``, the ``label`` that has most of them and how many that are (``of_label``)."""
    import pandas as pd

    columns = ["fault", "count", "records", "label", "of_label"]
    if not mistakes:
        return pd.DataFrame(columns=columns)
    frame = pd.DataFrame([{"fault": one["fault"], "label": one["label"], "record": (one.get("id"), one["line"])} for one in mistakes])
    counts = frame.groupby("fault").agg(count=("record", "size"), records=("record", "nunique"))
    labels = frame.groupby(["fault", "label"]).size().rename("of_label").reset_index()
    most = labels.sort_values(["of_label", "label"], ascending=[False, True]).drop_duplicates("fault").set_index("fault")
    return counts.join(most).reset_index().sort_values(["count", "fault"], ascending=[False, True], ignore_index=True)[columns]


def show_faults(faults: Sequence[Mapping[str, Any]]) -> None:
    """The counts as a table on standard output."""
    from .console import table

    if faults:
        rows = [[one["fault"], one["count"], one["records"], f"{one['label']} ({one['of_label']})"] for one in faults]
        table("mistakes", ["fault", "count", "records", "mostly in"], rows)


def as_line(mistake: Mapping[str, Any]) -> str:
    """One mistake in one line: place, fault, what should and what does stand there, cause; separated by tabs."""
    place = mistake.get("id", mistake["line"])
    parts = (place, mistake["fault"], _words(mistake["gold"]), _words(mistake["predicted"]), mistake.get("cause", ""))
    return "\t".join(" ".join(str(part).split()) for part in parts)


def _words(value: Any) -> str:
    """The strings of a gold or predicted object, without offsets."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_words(inner)}" if isinstance(inner, str) else _words(inner) for key, inner in value.items()).strip()
    if isinstance(value, list):
        return " | ".join(filter(None, map(_words, value)))
    return ""
