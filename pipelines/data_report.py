"""The tables at the end of ``lic data check``: lengths, labels, overlaps and what is suspicious, of every file side by side.

Each table is a DataFrame made by a plain function of the files' profiles (:class:`tasks.profile.Profile`), split to profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from tasks.profile import Profile

    Profiles = Mapping[str, Profile]

WINDOWS = (126, 254, 510)
"""Characters that the usual windows of 128, 256 and 512 tokens hold beside [CLS] and [SEP], were every character one token."""
RARE = 10
"""A label with fewer occurrences in train is marked: too few to learn from, or to trust a score of."""
PLACES = 3
LONGEST_ID = 24
SHOWN_LABELS = 12
TESTS = ("test1", "test2")
"""Splits that may share records: test2 holds test1."""
STATISTICS = ("min", "median", "mean", "90 %", "99 %", "max")


def data_report(profiles: Profiles, files: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """``lengths``, ``labels``, ``overlaps`` and ``suspicious`` as plain rows; ``files``: split to what a place calls its file."""
    frames = {
        "lengths": lengths_frame(profiles),
        "labels": labels_frame(profiles),
        "overlaps": overlaps_frame(profiles),
        "suspicious": suspicious_frame(profiles, files),
    }
    return {name: _as_rows(frame) for name, frame in frames.items()}


def _as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values: no figure is None."""
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def lengths_frame(profiles: Profiles) -> pd.DataFrame:
    """Per ``split`` and what is measured (``of``): ``count``, :data:`STATISTICS` of the characters, ``longer_than_126`` … as shares."""
    import pandas as pd

    rows = []
    for split, profile in profiles.items():
        for what, lengths in profile.lengths.items():
            if lengths:
                series = pd.Series(lengths)
                figures = (series.min(), series.median(), series.mean(), series.quantile(0.9), series.quantile(0.99), series.max())
                longer = {f"longer_than_{window}": float((series > window).mean()) for window in WINDOWS}
                shown = {name: float(figure) for name, figure in zip(STATISTICS, figures, strict=True)}
                rows.append({"split": split, "of": what, "count": len(series), **shown, **longer})
    return pd.DataFrame(rows, columns=["split", "of", "count", *STATISTICS, *(f"longer_than_{window}" for window in WINDOWS)])


def labels_frame(profiles: Profiles) -> pd.DataFrame:
    """Per ``level`` and ``label``: how often it occurs in each split that has labels, and ``mark``: what is odd about that.

    Labels of the schema that occur nowhere are in it. Sorted by level, then by the counts of the splits in their order.
    """
    import pandas as pd

    levels = list(dict.fromkeys(level for profile in profiles.values() for level in profile.labels))
    splits = [split for split, profile in profiles.items() if any(profile.labels.values())]
    frames = []
    for level in levels:
        counts = {split: pd.Series(profiles[split].labels.get(level, {}), dtype="int64") for split in splits}
        known = [name for profile in profiles.values() for name in profile.known.get(level, ())]
        names = pd.Index(dict.fromkeys([*known, *(name for series in counts.values() for name in series.index)]), dtype=object)
        frame = pd.DataFrame({split: series.reindex(names, fill_value=0) for split, series in counts.items()}, index=names)
        frame.insert(0, "label", frame.index)
        frame.insert(0, "level", level)
        frames.append(frame.sort_values(splits, ascending=False, kind="stable") if splits else frame)
    whole = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["level", "label"])
    whole["mark"] = ""
    if splits:
        total, first = whole[splits].sum(axis=1), whole["train" if "train" in splits else splits[0]]
        whole.loc[first < RARE, "mark"] = f"rare: fewer than {RARE}"
        if "train" in splits:
            whole.loc[(first == 0) & (total > 0), "mark"] = "not in train"
        whole.loc[total == 0, "mark"] = "never"
    return whole


def overlaps_frame(profiles: Profiles) -> pd.DataFrame:
    """Per ``kind`` and ``split``: how many of the labelled ``records`` have it, and their ``share``."""
    import pandas as pd

    rows = [
        {"kind": kind, "split": split, "records": count, "share": count / profile.labelled}
        for split, profile in profiles.items()
        if profile.labelled
        for kind, count in profile.overlaps.items()
    ]
    return pd.DataFrame(rows, columns=["kind", "split", "records", "share"])


def suspicious_frame(profiles: Profiles, files: Mapping[str, str]) -> pd.DataFrame:
    """Per kind (``what``): its ``count`` in each split, the ``total``, and the first ``places``. The most frequent first.

    A kind that two splits make together (a leak) counts in the later of the two.
    """
    import pandas as pd

    records = {split: _records(profile, split, files[split]) for split, profile in profiles.items()}
    parts = [_suspects(profile, records[split]) for split, profile in profiles.items()]
    for what in dict.fromkeys(what for profile in profiles.values() for what in profile.keys):
        keyed = pd.concat([records[split].assign(key=profile.keys[what]) for split, profile in profiles.items()], ignore_index=True)
        parts += _repeats(what, keyed, within=what == next(iter(next(iter(profiles.values())).keys)))
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    splits = list(profiles)
    if found.empty:
        return pd.DataFrame(columns=["what", *splits, "total", "places"])
    counts = found.groupby(["what", "split"]).size().unstack(fill_value=0).reindex(columns=splits, fill_value=0)
    counts["total"] = counts.sum(axis=1)
    counts["places"] = found.groupby("what").head(PLACES).groupby("what")[["file", "line", "id", "found", "as"]].apply(_as_rows)
    return counts.reset_index().sort_values(["total", "what"], ascending=[False, True], ignore_index=True)


def _records(profile: Profile, split: str, file: str) -> pd.DataFrame:
    import pandas as pd

    ids: Sequence[str | None] = profile.ids or [None] * len(profile.lines)
    lines = pd.Series(profile.lines, dtype=object)
    columns = {"split": split, "file": file, "line": lines, "id": pd.Series(ids, dtype=object), "answers": pd.Series(profile.answers, dtype=object)}
    return pd.DataFrame(columns, index=range(len(profile.lines)))


def _suspects(profile: Profile, records: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    found = pd.DataFrame(profile.suspects, columns=["what", "index", "found"])
    return found.join(records.drop(columns="answers"), on="index").sort_values("index", kind="stable").drop(columns="index").assign(**{"as": None})


def _repeats(what: str, keyed: pd.DataFrame, *, within: bool) -> list[pd.DataFrame]:
    """Records whose key stood before, in their own split (if ``within``) or in another; and those whose labels differ then."""
    keyed = keyed[keyed.duplicated("key", keep=False)]
    first = keyed.drop_duplicates("key").set_index("key")[["split", "file", "line", "id", "answers"]]
    later = keyed[keyed.duplicated("key")].join(first, on="key", rsuffix="_first")
    own_first = keyed.drop_duplicates(["split", "key"]).set_index(["split", "key"])[["line", "id"]]
    later = later.join(own_first, on=["split", "key"], rsuffix="_own")
    here = later.duplicated(["split", "key"]) | (later["split"] == later["split_first"])  # a second one in its own split
    parts = []
    if within:
        parts.append(later[here].assign(what=f"{what} repeated in one file", same=_places(later[here], "_own")))
        differs = later["answers"].notna() & later["answers_first"].notna() & (later["answers"] != later["answers_first"])
        parts.append(later[differs].assign(what=f"{what} repeated with other labels", same=_places(later[differs], "_first")))
    across = later[~here & ~(later["split"].isin(TESTS) & later["split_first"].isin(TESTS))]
    parts.append(
        across.assign(what=f"{what} in both " + across["split_first"] + " and " + across["split"], same=_places(across, "_first"))
    )
    return [part.assign(found=part["key"]).rename(columns={"same": "as"})[["what", "found", "split", "file", "line", "id", "as"]] for part in parts]


def _places(rows: pd.DataFrame, which: str) -> pd.Series:
    """The place of the earlier record, one for each row."""
    import pandas as pd

    columns = rows["file" if which == "_own" else "file_first"], rows[f"line{which}"], rows[f"id{which}"]
    return pd.Series([_place(*place) for place in zip(*columns, strict=True)], index=rows.index, dtype=object)


# -- for people --------------------------------------------------------------------------------------------------


def show_report(report: Mapping[str, list[dict[str, Any]]]) -> None:
    """The four tables on standard output; what they leave out is said."""
    _show_lengths(report["lengths"])
    _show_labels(report["labels"])
    _show_overlaps(report["overlaps"])
    _show_suspicious(report["suspicious"])


def _show_lengths(rows: list[dict[str, Any]]) -> None:
    from .console import table

    if not rows:
        return
    cells = [[row["split"], row["of"], *(round(row[name]) for name in STATISTICS)] for row in rows]
    table("lengths in characters", ["split", "of", *STATISTICS], cells)
    longer = [[row["split"], row["of"], *(f"{row[f'longer_than_{window}']:.2%}" for window in WINDOWS)] for row in rows]
    longer = [cells for cells, row in zip(longer, rows, strict=True) if row["max"] > WINDOWS[0]]
    if longer:
        table("longer than a window", ["split", "of", *(f"{window} characters" for window in WINDOWS)], longer)


def _show_labels(rows: list[dict[str, Any]]) -> None:
    """Per level the most frequent labels, then the marked ones of the others, the rarest last."""
    from .console import table

    for level in dict.fromkeys(row["level"] for row in rows):
        those = [row for row in rows if row["level"] == level]
        marked = [row for row in those[SHOWN_LABELS:] if row["mark"]]
        shown = those[:SHOWN_LABELS] + marked[-SHOWN_LABELS:]
        splits = [name for name in those[0] if name not in ("level", "label", "mark")]
        cells = [[row["label"], *(row[split] for split in splits), row["mark"]] for row in shown]
        left, hidden = len(those) - len(shown), len(marked[:-SHOWN_LABELS])
        more = ("; all in --json" if left else "") + (f", {hidden} more of them marked" if hidden else "")
        table(f"labels: {level}, {len(shown)} of {len(those)}{more}", [level, *splits, "mark"], cells)


def _show_overlaps(rows: list[dict[str, Any]]) -> None:
    from .console import table

    if not rows:
        return
    splits = list(dict.fromkeys(row["split"] for row in rows))
    cells = {kind: [kind, *("" for _ in splits)] for kind in dict.fromkeys(row["kind"] for row in rows)}
    for row in rows:
        cells[row["kind"]][1 + splits.index(row["split"])] = f"{row['records']:,} ({row['share']:.1%})"
    table("overlaps: labelled records", ["records with", *splits], list(cells.values()))


def _show_suspicious(rows: list[dict[str, Any]]) -> None:
    from .console import say, table

    if not rows:
        say("nothing suspicious")
        return
    splits = [name for name in rows[0] if name not in ("what", "total", "places")]
    cells = [[row["what"], *(row[split] for split in splits), _places_shown(row["places"])] for row in rows]
    table("suspicious, which need not be wrong", ["what", *splits, f"first {PLACES} places"], cells)


def _places_shown(places: Sequence[Mapping[str, Any]]) -> str:
    """``train.json:3 :14 dev.json:15``: a file's name once, where its places follow each other; with ids or equal places a line each."""
    shown, last = [], None
    for place in places:
        at = _place(place["file"], place["line"], place["id"])
        shown.append(at.removeprefix(place["file"]).lstrip() if place["file"] == last else at)
        if place["as"] is not None:
            shown[-1] += f" = {place['as']}"
        last = place["file"]
    plain = all(place["id"] is None and place["as"] is None for place in places)
    return (" " if plain else "\n").join(shown)


def _place(file: str, line: int | None, identity: str | None) -> str:
    """``file:line``; with the id where there is one, and then without line 1: a file of ids often has that only."""
    if identity is None:
        return f"{file}:{line}"
    short = identity if len(identity) <= LONGEST_ID else identity[: LONGEST_ID - 1] + "…"
    return f"{file} {short}" if line in (1, None) else f"{file}:{line} {short}"
