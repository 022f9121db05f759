"""The reading track behind the protocol of :mod:`tasks.base`. It has no schema: where the protocol hands one on, it is None."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import Problem, input_error

from ..base import Progress, ReadResult, Task
from ..candidates import Candidates
from ..decoding import decode_all
from ..designs import GOLD_TOKENS
from ..json_lines import visible
from ..recipe import FeatureSettings, Recipe, SettingsError
from . import metric, records, submission
from .candidates import ReadingCandidates
from .models import DESIGNS
from .records import ReadingRecord

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Vocabulary
    from tasks.profile import Profile

    from .features import ReadingFeatures
    from .predictions import Prediction


class ReadingTask:
    """DuReader-robust."""

    name = "reading"
    member = submission.MEMBER
    shown_scores: Sequence[str] = ("em", "f1")
    recipes = Path(__file__).parent / "recipes"
    candidates: Candidates = ReadingCandidates()
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

    def write_submission(self, path: Path, rows: Iterable[ReadingRecord], predictions: Iterable[Sequence[Prediction]], schema: None) -> None:
        submission.write_submission(path, ((record.id, found[0].text) for record, found in zip(rows, predictions, strict=True)))

    def check_submission(self, path: Path, *, schema: None = None, against: Path | None = None) -> list[Problem]:
        return submission.check_submission(path, schema=schema, against=against)

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]:
        return submission.score_files(gold, prediction, alias=alias, **options)

    # -- model -------------------------------------------------------------------------------------------------
    def check_recipe(self, recipe: Recipe) -> None:
        DESIGNS.check(recipe)
        if recipe.decode.get("no_answer_threshold") is not None and not recipe.model.get("no_answer"):
            found = f"decode.no_answer_threshold = {recipe.decode['no_answer_threshold']}"
            problem = Problem("LIC-R006", found, "a model with model.no_answer = true", "Train one, or leave the threshold out.")
            raise SettingsError([problem], ["decode.no_answer_threshold"])

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

    def build_model(self, backbone: Any, schema: None, recipe: Recipe) -> Any:
        return DESIGNS.of(recipe).build(backbone, schema, recipe)

    def predict(
        self,
        model: Any,
        features: ReadingFeatures,
        rows: Sequence[ReadingRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        engine: Engine | None = None,
        floor: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Prediction]]:
        """Answers to every question, in order, the best first."""
        from shared.inference import EagerEngine

        engine = engine or EagerEngine(model.network())
        decoder = DESIGNS.of(recipe).decoder(engine, features, rows, schema, vocabulary, recipe, floor=floor)
        found = decode_all(decoder, features, tokens=recipe.training.evaluation_tokens, engine=engine, progress=progress)
        answers: dict[int, list[Prediction]] = dict(found)
        return [answers[index] for index in range(len(rows))]

    def ceiling(self, features: ReadingFeatures, rows: Sequence[ReadingRecord], schema: None, *, recipe: Recipe) -> list[list[Prediction]]:
        """What decoding gives when the head's output tensors are the gold ones: the representation's own ceiling."""
        found = decode_all(DESIGNS.of(recipe).gold_decoder(features, rows, schema, recipe), features, tokens=GOLD_TOKENS)
        answers: dict[int, list[Prediction]] = dict(found)
        return [answers[index] for index in range(len(rows))]

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
    from shared.inference import Engine
    _fulfils: Task = ReadingTask()
