"""What a decoder returns for one source."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hypothesis:
    """One output of a decoder.

    ``tokens``: without the end token. ``log_probability``: what the model gives to these tokens, and to the end token if
    ``finished``; its own distribution, at temperature 1 and before any constraint. ``score``: what the decoder ordered by:
    ``log_probability`` under the length penalty of :func:`beam_search`, or the log-probability of the draw in :func:`sample`.
    ``finished`` is False for an output that ``max_length`` cut off before its end token.
    ``steps``: the model's log-probability of every token, the end token's last if ``finished``; they add up to ``log_probability``.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    finished: bool
    steps: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __len__(self) -> int:
        """Tokens given by the model: the end token counts."""
        return len(self.tokens) + self.finished
