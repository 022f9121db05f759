"""The reading track behind the protocol of :mod:`tasks.base`. It has no schema: where the protocol hands one on, it is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import Problem, input_error

from ..base import Progress, ReadResult, Task
from ..json_lines import visible
from ..recipe import FeatureSettings, Recipe, parse_settings
from . import metric, records, submission
from .records import ReadingRecord

if TYPE_CHECKING:
    from shared.text import Vocabulary
    from tasks.profile import Profile

    from .decode import Prediction
    from .features import ReadingFeatures
    from .models.span import ReadingSpan


class ReadingTask:
    """DuReader-robust."""

    name = "reading"
    member = submission.MEMBER
    shown_scores: Sequence[str] = ("em", "f1")
    recipes = Path(__file__).parent / "recipes"
    read_rows = None

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> None:
        raise NotImplementedError("the reading track has no schema")

    def inspect_schema(self, path: Path) -> tuple[None, list[Problem]]:
        raise NotImplementedError("the reading track has no schema")

    def read_records(self, path: Path, schema: None = None, *, labelled: bool | None = None) -> ReadResult:
        return records.read_records(path, schema, labelled=labelled)

    def describe(self, rows: Sequence[ReadingRecord]) -> dict[str, Any]:
        return records.describe(rows)

    def profile(self, rows: Sequence[ReadingRecord], schema: None) -> Profile:
        from .profile import profile

        return profile(rows, schema)

    def identity_of(self, record: ReadingRecord) -> str:
        return record.id

    def record_of_text(self, text: str, *, question: str | None = None) -> ReadingRecord:
        if question is None or not visible(question):
            raise input_error("LIC-X002", found="no question", expected="--question", remedy="Say what is to be found in the text.")
        return ReadingRecord(id="0", question=question, text=text, line=1)

    def text_of(self, record: ReadingRecord) -> str:
        return f"{record.question}\n{record.text}"

    def write_submission(self, path: Path, rows: Sequence[ReadingRecord], predictions: Sequence[Sequence[Prediction]], schema: None) -> None:
        submission.write_submission(path, ((record.id, found[0].text) for record, found in zip(rows, predictions, strict=True)))

    def check_submission(self, path: Path, *, schema: None = None, against: Path | None = None) -> list[Problem]:
        return submission.check_submission(path, schema=schema, against=against)

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]:
        return submission.score_files(gold, prediction, alias=alias, **options)

    # -- model -------------------------------------------------------------------------------------------------
    def check_recipe(self, recipe: Recipe) -> None:
        self._model_settings(recipe.model)
        self._decode_settings(recipe)

    def _model_settings(self, model: Mapping[str, Any]) -> Any:
        from .models.span import SpanSettings

        return parse_settings(SpanSettings, model, under="model")

    def _decode_settings(self, recipe: Recipe) -> Any:
        from .decode import DecodeSettings

        return parse_settings(DecodeSettings, recipe.decode, under="decode")

    @property
    def feature_version(self) -> int:
        from .features import VERSION

        return VERSION

    def make_features(self, rows: Sequence[ReadingRecord], schema: None, tokenizer: Any, settings: FeatureSettings) -> ReadingFeatures:
        from .features import make_features

        return make_features(rows, tokenizer, window=settings.window, overlap=settings.overlap)

    def remarks(self, features: ReadingFeatures) -> list[str]:
        from .features import QUESTION_TOKENS

        if not features.cut_questions:
            return []
        which = "a question is" if features.cut_questions == 1 else f"{features.cut_questions} questions are"
        return [f"{which} longer than {QUESTION_TOKENS} tokens or half of features.window: cut there"]

    def load_features(self, folder: Path) -> ReadingFeatures:
        from .features import ReadingFeatures

        return ReadingFeatures.load(folder)

    def build_model(self, backbone: Any, schema: None, recipe: Recipe) -> ReadingSpan:
        from .models.span import ReadingSpan

        return ReadingSpan(backbone, settings=self._model_settings(recipe.model), seed=recipe.training.seed)

    def predict(
        self,
        model: ReadingSpan,
        features: ReadingFeatures,
        rows: Sequence[ReadingRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        progress: Progress | None = None,
    ) -> list[list[Prediction]]:
        """Answers to every question, in order, the best first."""
        from shared.features.batches import token_budget_batches

        from .decode import decode_batch

        settings, budget = self._decode_settings(recipe), recipe.training.evaluation_tokens
        answers: dict[int, list[Prediction]] = {}
        for batch in token_budget_batches(features.lengths, budget):
            logits = model.outputs(model.collate(features, batch, vocabulary, labelled=False), padded_tokens=budget)
            answers.update(decode_batch(logits, batch, features, rows, settings))
            if progress is not None:
                progress(len(answers), len(features))
        return [answers[index] for index in range(len(rows))]

    def ceiling(self, features: ReadingFeatures, rows: Sequence[ReadingRecord], schema: None, *, recipe: Recipe) -> list[list[Prediction]]:
        """What decoding gives when the head's logits are gold's: those of the first place that it can give back."""
        from .decode import decode_batch, gold_logits

        settings = self._decode_settings(recipe)
        answers = []
        for index in range(len(rows)):
            logits = gold_logits(features, index, longest=settings.max_answer_tokens)
            answers.append(decode_batch(logits, [index], features, rows, settings)[0][1])
        return answers

    def baseline(self, train: Sequence[ReadingRecord], rows: Sequence[ReadingRecord]) -> list[list[Prediction]]:
        from .baseline import first_clause

        return first_clause(rows)

    def score(self, rows: Sequence[ReadingRecord], predictions: Sequence[Sequence[Prediction]], **options: Any) -> dict[str, Any]:
        gold = {record.id: [answer.text for answer in record.answers or ()] for record in rows}
        predicted = {record.id: found[0].text for record, found in zip(rows, predictions, strict=True)}
        return metric.score(gold, predicted, questions={record.id: record.question for record in rows}, **options)

    def mistakes(
        self, rows: Sequence[ReadingRecord], predictions: Sequence[Sequence[Prediction]], features: ReadingFeatures | None = None
    ) -> list[dict[str, Any]]:
        from .mistakes import mistakes

        return mistakes(rows, predictions, None if features is None else features.lost)

    def as_rows(self, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
        """Answers as plain values, for ``lic extract``."""
        return [found._asdict() for found in predictions]


if TYPE_CHECKING:
    _fulfils: Task = ReadingTask()
