"""Complete subgraphs: sets of things of which every two belong together, as large as can be."""

from __future__ import annotations

from collections.abc import Sequence

MOST_CLIQUES = 64
_LOOKS = 1 << 16
"""Looks at a thing before the search ends: some hundredths of a second."""


def maximal_cliques(neighbours: Sequence[int], *, most: int = MOST_CLIQUES) -> list[tuple[int, ...]]:
    """Every complete subgraph of n things that no further thing fits into, ordered; a thing without neighbours is one of its own.

    ``neighbours`` [n]: a thing's neighbours as the bits of a number, symmetric. A search by pivots (Bron and Kerbosch, 1973; Tomita and
    others, 2006). n things can have 3^(n/3) of them, so the search ends after ``most`` or a fixed time: then each thing that is in none yet
    gets one, so that nothing is left out. Raises ValueError where somebody's neighbour does not have it for one.
    """
    linked = [bits & ~(1 << place) for place, bits in enumerate(neighbours)]
    for place, bits in enumerate(linked):
        wrong = next((other for other in _members(bits) if other >= len(linked) or not linked[other] >> place & 1), None)
        if wrong is not None:
            raise ValueError(f"{place} has the neighbour {wrong}, but not the other way round: give a symmetric graph")
    found: list[int] = []
    left = _LOOKS
    stack = [(0, (1 << len(linked)) - 1, 0)] if linked else []
    while stack and left > 0 and len(found) < most:
        chosen, open_, closed = stack.pop()
        left -= 1 + (open_ | closed).bit_count()
        if not open_:
            if not closed:
                found.append(chosen)
            continue
        pivot = max(_members(open_ | closed), key=lambda place: (linked[place] & open_).bit_count())
        for place in _members(open_ & ~linked[pivot]):
            stack.append((chosen | 1 << place, open_ & linked[place], closed & linked[place]))
            open_ &= ~(1 << place)
            closed |= 1 << place
    covered = 0
    for clique in found:
        covered |= clique
    for place in range(len(linked)):
        if not covered >> place & 1:
            clique, open_ = 1 << place, linked[place]
            while open_:
                member = open_ & -open_
                clique |= member
                open_ &= linked[member.bit_length() - 1]
            found.append(clique)
            covered |= clique
    return sorted(tuple(_members(clique)) for clique in found)


def _members(bits: int) -> list[int]:
    members = []
    while bits:
        lowest = bits & -bits
        members.append(lowest.bit_length() - 1)
        bits ^= lowest
    return members
