"""The protocol that a track fulfils; the pipelines know nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import Problem

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Tokenizer, Vocabulary

    from .candidates import Candidates
    from .profile import Profile
    from .recipe import FeatureSettings, Recipe

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


@dataclass
class ReadResult:
    """Records of one official file, and everything that is wrong with it.

    ``skipped`` counts records left out of ``records`` because a problem makes them unusable.
    """

    records: list[Any]
    problems: list[Problem] = field(default_factory=list)
    skipped: int = 0


class RowReader(Protocol):
    """What :meth:`Task.read_records` does, for (line, object) of a part of the lines of ``file``.

    ``seen``: the line of every id of the lines before; the ids of ``rows`` come into it.
    """

    def __call__(
        self, rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: Any | None, *, labelled: bool | None, seen: dict[str, int]
    ) -> ReadResult: ...


class Task(Protocol):
    """One track. Every method is a function of its arguments alone. What the track defines and pipelines pass through unseen:

    * a record: one text of a file (of the reading track: one question), with ``text``;
    * a schema (None for a track without one): ``write(path)`` for the run folder, ``as_lines()`` (JSON values) for the cache key,
      ``counts()`` for people;
    * features of n records: ``len`` is the number u of units that stay together in a batch (a window, or all windows of a question),
      ``lengths`` [u] counts their tokens with special ones, ``record_index`` [u] says the record of each, ``ids`` is a Ragged of all w
      windows, ``lost_count`` says how much of the gold they cannot give back; ``save(folder, meta)`` writes what :meth:`load_features`
      reads: the ``arrays()`` by name and the ``counts()``, which add up over parts of the records. Of a track with :attr:`read_rows` the
      features of successive parts, one after the other, are those of the whole, once the first column of ``windows``, a record's
      number, counts on;
    * a model: a paddle layer whose encoder is ``backbone`` and whose table of token embeddings is ``embedding``;
      ``training_lengths(features)`` [u] counts the tokens that training takes of a unit, 0 for one that teaches it nothing;
      ``collate(features, rows, vocabulary, labelled=, epoch=0)`` makes a batch of the units ``rows`` [b], NumPy arrays by name: what is
      drawn at random for a unit depends on the model's seed, the epoch and the unit alone;
      ``loss(batch, divisors=None)`` is its mean loss, []; ``divisors(batch)`` says by name over how many things each part of the loss is a
      mean. Given the sums of these over the parts of a bigger batch, losses and gradients of the parts add up to those of the whole; a
      part of the loss that has 0 things is 0;
      ``examine(batch, divisors=None)`` is the loss and the outputs that it is made of, ``divergence(outputs, others, batch,
      divisors=None)`` how far those of two passes are apart, summed and averaged as the loss is (R-Drop), [];
      ``replaceable(batch)`` is 1 at the inputs that other words of the row may replace and at the token behind them [b, l], and the rows'
      lengths [b], as :class:`shared.robust.RandomReplacement` takes them; only ``batch["ids"]`` is then replaced;
      a model that a pretrained encoder has more for than its layers may have ``adopt(found)``, which takes of
      :class:`shared.pretrained.Pretrained` what it can use and gives the names;
      ``network()`` is what decoding asks of it (:class:`shared.inference.Network`);
      a model whose rows are losses of each other has ``divisible`` False, and no step of it is cut into parts;
    * a prediction: one for every record, in order; a sequence of what was found in its text.
    """

    name: str
    """What the command line calls the track: ``relation``, ``event`` or ``reading``."""
    member: str
    """Name of the file inside the submission zip, e.g. ``duee.json``."""
    shown_scores: Sequence[str]
    """Keys of :meth:`score` that people are shown; the last is the one to maximise."""
    recipes: Path
    """Folder of the shipped recipes, ``NAME.toml``."""
    candidates: Candidates
    """How the predictions of a low ``floor`` are told apart, written down, merged and chosen. A task may also have ``decode_from_dev``: keys of
    ``[decode]`` to the scores of the best dev evaluation that a run takes them from where its recipe leaves them out."""

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> Any:
        """Raises InputError with every problem of the file. Asked of a track that has a schema file only."""
        ...

    def inspect_schema(self, path: Path) -> tuple[Any | None, list[Problem]]:
        """The schema as far as it can be read, and every problem."""
        ...

    def read_records(self, path: Path, schema: Any | None, *, labelled: bool | None = None) -> ReadResult:
        """``labelled``: True wants annotations, False ignores them, None takes what each line has. No ``schema``: names go unchecked."""
        ...

    @property
    def read_rows(self) -> RowReader | None:
        """Reads a part of the lines of a file of JSON lines; None for a track whose file is one value."""
        ...

    def describe(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Counts and shares of records for ``lic data check``; shares are fractions under keys that start with ``share_``."""
        ...

    def profile(self, rows: Sequence[Any], schema: Any | None) -> Profile:
        """What ``lic data check`` tabulates of one file's records: lengths, labels, overlaps and what is suspicious."""
        ...

    def text_of(self, record: Any) -> str:
        """Everything of a record that the encoder reads: what a vocabulary is built from."""
        ...

    def identity_of(self, record: Any) -> str:
        """What tells a record from all others: its id, or its text where the track has no ids."""
        ...

    def record_of_text(self, text: str, *, question: str | None = None) -> Any:
        """An unlabelled record of one text, for ``lic extract``. Raises InputError when a question is missing, or given where none is asked."""
        ...

    def write_submission(self, path: Path, rows: Iterable[Any], predictions: Iterable[Any], schema: Any | None) -> None:
        """Writes the zip ``path`` and the bare file beside it, each atomically; a line for every record."""
        ...

    def check_submission(self, path: Path, *, schema: Any | None = None, against: Path | None = None) -> list[Problem]:
        """Every reason why the leaderboard would refuse the zip or count part of it wrong; ``against``: the official test file."""
        ...

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]:
        """The official score of a prediction file. Raises InputError for files that cannot be read whole, ValueError for a wrong option."""
        ...

    # -- model -------------------------------------------------------------------------------------------------
    def check_recipe(self, recipe: Recipe) -> None:
        """Raises InputError for a wrong key or value in ``[model]`` or ``[decode]``."""
        ...

    @property
    def feature_version(self) -> int:
        """Raised whenever :meth:`make_features` gives other arrays; part of the cache key."""
        ...

    def make_features(self, rows: Sequence[Any], schema: Any, tokenizer: Tokenizer, settings: FeatureSettings) -> Any:
        """Features of labelled or unlabelled records."""
        ...

    def remarks(self, features: Any) -> list[str]:
        """What people should know was done to the texts themselves, one sentence each without an end; mostly nothing."""
        ...

    def load_features(self, folder: Path) -> Any:
        """Features from disk, memory-mapped. Raises InputError for a damaged folder."""
        ...

    def build_model(self, backbone: Any, schema: Any, recipe: Recipe) -> Any:
        """The model that ``[model]`` asks for, on top of a backbone."""
        ...

    def predict(
        self,
        model: Any,
        features: Any,
        rows: Sequence[Any],
        schema: Any,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        engine: Engine | None = None,
        floor: float | None = None,
        progress: Progress | None = None,
    ) -> list[Any]:
        """A prediction for every record, in order. ``engine``: what runs the model's network; left out, the model itself.

        ``floor``: everything of at least about this probability counts, whatever ``[decode]`` says: candidates for ensembles and thresholds.
        """
        ...

    def ceiling(self, features: Any, rows: Sequence[Any], schema: Any, *, recipe: Recipe) -> list[Any]:
        """What decoding gives when gold enters as the head's output tensors."""
        ...

    def baseline(self, train: Sequence[Any], rows: Sequence[Any]) -> list[Any]:
        """Predictions that take no learning, only records to remember: what a model has to beat."""
        ...

    def score(self, rows: Sequence[Any], predictions: Sequence[Any], **options: Any) -> dict[str, Any]:
        """The official scores of predictions against labelled records."""
        ...

    def mistakes(self, rows: Sequence[Any], predictions: Sequence[Any], features: Any | None = None) -> list[dict[str, Any]]:
        """Every difference between gold and predictions, in the form of :mod:`tasks.mistakes`.

        ``features``: given where the predictions are their :meth:`ceiling`; each mistake then has a ``cause``, empty for what is only extra.
        """
        ...

    def as_rows(self, predictions: Any) -> list[dict[str, Any]]:
        """One text's prediction as plain JSON values, for ``lic extract``."""
        ...
