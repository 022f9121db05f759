from collections.abc import Callable

import numpy as np
import paddle
import pytest

from shared.decoding import Step, from_prefixes


class Model:
    """Untrained: random logits that depend on the source and on every token before. ``dead``: tokens at -inf."""

    def __init__(self, sources: int, vocabulary: int, seed: int = 0, scale: float = 1.0, dead: tuple[int, ...] = ()):
        self.sources, self.vocabulary, self.seed, self.scale, self.dead = list(range(sources)), vocabulary, seed, scale, list(dead)
        self.rows: list[int] = []

    def only(self, *sources: int) -> "Model":
        """The same model over some of its sources."""
        other = Model(len(sources), self.vocabulary, self.seed, self.scale, tuple(self.dead))
        other.sources = list(sources)
        return other

    def logits(self, source: int, prefix: list[int]) -> np.ndarray:
        values = self.scale * np.random.default_rng([self.seed, source, len(prefix), *prefix]).normal(size=self.vocabulary)
        values[self.dead] = -np.inf
        return values

    def log_probabilities(self, source: int, prefix: list[int]) -> np.ndarray:
        values = self.logits(source, prefix)
        return values - np.log(np.exp(values - values.max()).sum()) - values.max()

    def log_probability(self, source: int, tokens: list[int]) -> float:
        return sum(float(self.log_probabilities(source, tokens[:at])[token]) for at, token in enumerate(tokens))

    @property
    def step(self) -> Step:
        return from_prefixes(self._batch, len(self.sources))

    def _batch(self, prefixes: np.ndarray, rows: np.ndarray) -> paddle.Tensor:
        self.rows.append(len(rows))
        pairs = zip(rows.tolist(), prefixes.tolist(), strict=True)
        return paddle.to_tensor(np.stack([self.logits(self.sources[row], prefix) for row, prefix in pairs]))  # [r, v]


@pytest.fixture
def model() -> Callable[..., Model]:
    return Model


@pytest.fixture(scope="session")
def fixed() -> Callable[[list[float], int], Step]:
    """The same distribution at every step, whatever came before."""

    def build(probabilities: list[float], sources: int = 1) -> Step:
        with np.errstate(divide="ignore"):
            row = np.log(np.array(probabilities))  # [v]
        return from_prefixes(lambda prefixes, rows: paddle.to_tensor(np.tile(row, (len(rows), 1))), sources)

    return build
