"""Figures over the records of a file that every track's ``describe`` gives alike. Lengths are in characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def percentiles(name: str, lengths: Sequence[int]) -> dict[str, int | None]:
    """``name_p50``, ``name_p99``, ``name_max``; None where there is no length."""
    ordered = sorted(lengths)

    def at(share: float) -> int | None:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    return {f"{name}_p50": at(0.5), f"{name}_p99": at(0.99), f"{name}_max": ordered[-1] if ordered else None}


def of_texts(texts: Sequence[str]) -> dict[str, int | None]:
    """Lengths of texts, how many repeat an earlier one, how many have whitespace."""
    return {
        **percentiles("text_length", [len(text) for text in texts]),
        "texts_repeated": len(texts) - len(set(texts)),
        "texts_with_whitespace": with_whitespace(texts),
    }


def with_whitespace(texts: Sequence[str]) -> int:
    return sum(any(character.isspace() for character in text) for text in texts)


def rarest(name: str, counts: Mapping[str, int], what: str) -> dict[str, str | int | None]:
    """``rarest_<name>`` and how many ``what`` it has; of equally rare ones the first by name."""
    least = min(counts, key=lambda key: (counts[key], key), default=None)
    return {f"rarest_{name}": least, f"rarest_{name}_{what}": None if least is None else counts[least]}


def shares(counts: Mapping[str, int], total: int) -> dict[str, float | None]:
    """``share_<name>`` of every count."""
    return {f"share_{name}": count / total if total else None for name, count in counts.items()}
