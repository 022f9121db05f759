"""Long text as short pieces, cut behind punctuation: coarse marks first, finer ones only where a piece is still too long."""

from __future__ import annotations

MARKS = "\n。！？!?；;，, "
"""Where Chinese text may be cut, the strongest border first."""

WEAK_MARKS = "；;，, "
"""What is taken off both ends of a piece: marks that end no sentence."""


def cut_at_punctuation(text: str, max_characters: int, *, marks: str = MARKS, strip: str = WEAK_MARKS) -> list[str]:
    """The pieces of ``text`` in order, as long as they can be within ``max_characters``; [] for a text of blanks and ``strip`` only.

    The text is cut behind the first of the ``marks``, and neighbouring parts are joined again while they fit with the mark between
    them; a piece that is still too long is cut at the next mark. A piece that holds no mark stays too long: its words are not cut.
    Blanks and ``strip`` are taken off the ends of every piece, and pieces of nothing else are left out. A mark that is repeated
    stays with the piece that it ends, even beyond the limit. Nothing else is lost or moved.

    The truncation of SimBERT's training texts (kexue.fm article 7427; limit 30, first piece). Raises ValueError for a limit below 1.
    """
    if max_characters < 1:
        raise ValueError(f"max_characters must be at least 1, found {max_characters}: give the length that a piece may have")
    while (bare := text.strip().strip(strip)) != text:
        text = bare
    if len(text) <= max_characters or not marks:
        return [text] if text else []
    parts = _parts(text, max_characters, marks[0])
    return [piece for part in parts for piece in cut_at_punctuation(part, max_characters, marks=marks[1:], strip=strip)]


def _parts(text: str, limit: int, mark: str) -> list[str]:
    """``text`` cut behind ``mark``; what is shorter than ``limit`` together (one place is kept for the mark) stays together."""
    parts: list[str] = []
    held = ""
    *inner, last = text.split(mark)
    for clause, end in [*((clause, mark) for clause in inner), (last, "")]:
        if held and clause and len(held) + len(clause) >= limit:
            parts.append(held)
            held = ""
        held += clause + end
    return [*parts, held] if held else parts
