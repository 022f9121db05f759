"""The paraphrase task behind the protocol of :mod:`tasks.base`. It has no schema: where the protocol hands one on, it is None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import Problem, input_error

from ..base import Progress, ReadResult, Task
from ..candidates import Candidates
from ..decoding import decode_all
from ..designs import GOLD_TOKENS
from ..json_lines import visible
from ..recipe import FeatureSettings, Recipe, SettingsError
from ..submission_steps import sound_in_step
from . import records, submission
from .candidates import ParaphraseCandidates
from .models import DESIGNS
from .records import ParaphraseRecord

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Vocabulary
    from tasks.profile import Profile

    from .features import ParaphraseFeatures
    from .predictions import Prediction

_REFUSED = ("accumulation", "rdrop", "teachers")
"""Settings of the loop that need a batch which can be cut, or outputs that can be compared row by row."""

DIGITS = 6
"""Of a written score: float32 has no more, and the same text in another batch differs behind them."""


class ParaphraseTask:
    """Do two texts mean the same? An auxiliary task."""

    name = "paraphrase"
    member = submission.MEMBER
    shown_scores: Sequence[str] = ("auc", "accuracy", "best_accuracy", "threshold", "spearman")
    recipes = Path(__file__).parent / "recipes"
    candidates: Candidates = ParaphraseCandidates()
    decode_from_dev: Mapping[str, str] = {"threshold": "threshold"}

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> None:
        raise NotImplementedError("the paraphrase task has no schema")

    def inspect_schema(self, path: Path) -> tuple[None, list[Problem]]:
        raise NotImplementedError("the paraphrase task has no schema")

    def read_records(self, path: Path, schema: None = None, *, labelled: bool | None = None) -> ReadResult:
        return records.read_records(path, labelled=labelled)

    def read_rows(
        self, rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: Any | None, *, labelled: bool | None, seen: dict[str, int]
    ) -> ReadResult:
        return records.read_rows(rows, file, labelled=labelled)

    def describe(self, rows: Sequence[ParaphraseRecord]) -> dict[str, Any]:
        return records.describe(rows)

    def profile(self, rows: Sequence[ParaphraseRecord], schema: None) -> Profile:
        from .profile import profile

        return profile(rows)

    def identity_of(self, record: ParaphraseRecord) -> str:
        return records.identity(record.text, record.pair)

    def record_of_text(self, text: str, *, question: str | None = None) -> ParaphraseRecord:
        """``question``: the other text."""
        if question is None or not visible(question):
            raise input_error(
                "LIC-X002", found="one text", expected="--question with the other text", remedy="Say what the text is to be compared with."
            )
        return ParaphraseRecord(text, question, line=1)

    def text_of(self, record: ParaphraseRecord) -> str:
        return f"{record.text}\n{record.pair}"

    def write_submission(
        self, path: Path, rows: Iterable[ParaphraseRecord], predictions: Iterable[Sequence[Prediction]], schema: None
    ) -> None:
        lines = (
            submission.Row(record.text, record.pair, round(found[0].score, DIGITS), int(found[0].alike))
            for record, found in zip(rows, predictions, strict=True)
        )
        submission.write_submission(path, lines)

    def check_submission(self, path: Path, *, schema: None = None, against: Path | None = None) -> list[Problem]:
        if sound_in_step(self, path, submission.rows_in_step, against):
            return []
        return submission.check_submission(path, against=against)

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]:
        return submission.score_files(gold, prediction, alias=alias, **options)

    # -- model -------------------------------------------------------------------------------------------------
    def check_recipe(self, recipe: Recipe) -> None:
        DESIGNS.check(recipe)
        plain = {"accumulation": 1}
        set_ = [(name, value) for name in _REFUSED if (value := getattr(recipe.training, name)) and value != plain.get(name)]
        if set_:
            expected, remedy = "none for SimBERT, whose rows are losses of each other", "Leave it out; a smaller batch_tokens takes less memory."
            problems = [Problem("LIC-R006", f"training.{name} = {value}", expected, remedy) for name, value in set_]
            raise SettingsError(problems, [f"training.{name}" for name, _ in set_])

    @property
    def feature_version(self) -> int:
        from .features import VERSION

        return VERSION

    def make_features(self, rows: Sequence[ParaphraseRecord], schema: None, tokenizer: Any, settings: FeatureSettings) -> ParaphraseFeatures:
        from .features import make_features

        return make_features(rows, tokenizer, window=settings.window)

    def remarks(self, features: ParaphraseFeatures) -> list[str]:
        if not features.cut_texts:
            return []
        which = "a text is" if features.cut_texts == 1 else f"{features.cut_texts} texts are"
        return [f"{which} longer than features.window: cut there"]

    def load_features(self, folder: Path) -> ParaphraseFeatures:
        from .features import ParaphraseFeatures

        return ParaphraseFeatures.load(folder)

    def build_model(self, backbone: Any, schema: None, recipe: Recipe) -> Any:
        return DESIGNS.of(recipe).build(backbone, schema, recipe)

    def predict(
        self,
        model: Any,
        features: ParaphraseFeatures,
        rows: Sequence[ParaphraseRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        engine: Engine | None = None,
        floor: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Prediction]]:
        """One prediction for every record, in order."""
        from shared.inference import EagerEngine

        from .models.simbert_decode import in_order

        engine = engine or EagerEngine(model.network())
        decoder = DESIGNS.of(recipe).decoder(engine, features, rows, schema, vocabulary, recipe, floor=floor)
        return in_order(decode_all(decoder, features, tokens=recipe.training.evaluation_tokens, engine=engine, progress=progress), len(rows))

    def ceiling(
        self, features: ParaphraseFeatures, rows: Sequence[ParaphraseRecord], schema: None, *, recipe: Recipe
    ) -> list[list[Prediction]]:
        """What decoding gives when equal vectors stand for one meaning: all labels, but for texts whose tokens are the same."""
        from .models.simbert_decode import in_order

        found = decode_all(DESIGNS.of(recipe).gold_decoder(features, rows, schema, recipe), features, tokens=GOLD_TOKENS)
        return in_order(found, len(rows))

    def baseline(self, train: Sequence[ParaphraseRecord], rows: Sequence[ParaphraseRecord]) -> list[list[Prediction]]:
        from .baseline import tfidf

        return tfidf(train, rows)

    def score(self, rows: Sequence[ParaphraseRecord], predictions: Sequence[Sequence[Prediction]], **options: Any) -> dict[str, Any]:
        from . import metric

        found = [made[0] for made in predictions]
        labels, sources = [record.label for record in rows], [record.source for record in rows]
        return metric.score(labels, [one.score for one in found], [one.alike for one in found], sources, **options)  # type: ignore[arg-type]

    def mistakes(
        self, rows: Sequence[ParaphraseRecord], predictions: Sequence[Sequence[Prediction]], features: ParaphraseFeatures | None = None
    ) -> list[dict[str, Any]]:
        from .mistakes import mistakes

        return mistakes(rows, predictions, None if features is None else features.lost)

    def as_rows(self, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
        """One pair's prediction as plain values, for ``lic extract``."""
        return [made.as_row() for made in predictions]


if TYPE_CHECKING:
    from shared.inference import Engine
    _fulfils: Task = ParaphraseTask()
