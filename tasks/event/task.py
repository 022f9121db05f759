"""The event track behind the protocol of :mod:`tasks.base`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import Problem, input_error

from ..base import Progress, ReadResult, Task
from ..candidates import Candidates
from ..decoding import decode_all
from ..designs import GOLD_TOKENS
from ..recipe import FeatureSettings, Recipe
from ..submission_steps import sound_in_step
from . import metric, records, submission
from .candidates import EventCandidates
from .models import DESIGNS
from .records import EventRecord
from .schema import EventSchema

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Vocabulary
    from tasks.profile import Profile

    from .features import EventFeatures
    from .predictions import Prediction


class EventTask:
    """DuEE 1.0."""

    name = "event"
    member = "duee.json"
    shown_scores: Sequence[str] = ("precision", "recall", "f1")
    """What people are shown; the last is the one to maximise."""
    recipes = Path(__file__).parent / "recipes"
    candidates: Candidates = EventCandidates()

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> EventSchema:
        return EventSchema.read(path)

    def inspect_schema(self, path: Path) -> tuple[EventSchema | None, list[Problem]]:
        return EventSchema.inspect(path)

    def read_records(self, path: Path, schema: EventSchema | None, *, labelled: bool | None = None) -> ReadResult:
        return records.read_records(path, schema, labelled=labelled)

    def read_rows(
        self, rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: Any | None, *, labelled: bool | None, seen: dict[str, int]
    ) -> ReadResult:
        return records.read_rows(rows, file, schema, labelled=labelled, seen=seen)

    def describe(self, rows: Sequence[EventRecord]) -> dict[str, Any]:
        return records.describe(rows)

    def profile(self, rows: Sequence[EventRecord], schema: EventSchema | None) -> Profile:
        from .profile import profile

        return profile(rows, schema)

    def identity_of(self, record: EventRecord) -> str:
        return record.id

    def record_of_text(self, text: str, *, question: str | None = None) -> EventRecord:
        if question is not None:
            raise input_error(
                "LIC-X004", found="--question", expected="none: the event track asks no question", remedy="Leave it out, or name reading."
            )
        return EventRecord(id="0", text=text, events=None, line=1)

    def text_of(self, record: EventRecord) -> str:
        return record.text

    def write_submission(self, path: Path, rows: Iterable[EventRecord], predictions: Iterable[Sequence[Prediction]], schema: Any) -> None:
        from .predictions import as_events

        submission.write_submission(path, ((record.id, as_events(found)) for record, found in zip(rows, predictions, strict=True)))

    def check_submission(self, path: Path, *, schema: EventSchema | None = None, against: Path | None = None) -> list[Problem]:
        if sound_in_step(self, path, partial(submission.rows_in_step, schema=schema), against):
            return []
        return submission.check_submission(path, schema=schema, against=against)

    def score_files(self, gold: Path, prediction: Path, *, alias: Path | None = None, **options: Any) -> dict[str, Any]:
        return submission.score_files(gold, prediction, alias=alias, **options)

    # -- model -------------------------------------------------------------------------------------------------
    def check_recipe(self, recipe: Recipe) -> None:
        DESIGNS.check(recipe)

    @property
    def feature_version(self) -> int:
        from .features import VERSION

        return VERSION

    def make_features(self, rows: Sequence[EventRecord], schema: EventSchema, tokenizer: Any, settings: FeatureSettings) -> EventFeatures:
        from .features import make_features

        return make_features(rows, schema, tokenizer, window=settings.window, overlap=settings.overlap)

    def remarks(self, features: EventFeatures) -> list[str]:
        return []

    def load_features(self, folder: Path) -> EventFeatures:
        from .features import EventFeatures

        return EventFeatures.load(folder)

    def build_model(self, backbone: Any, schema: EventSchema, recipe: Recipe) -> Any:
        return DESIGNS.of(recipe).build(backbone, schema, recipe)

    def predict(
        self,
        model: Any,
        features: EventFeatures,
        rows: Sequence[EventRecord],
        schema: EventSchema,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        engine: Engine | None = None,
        floor: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Prediction]]:
        """Arguments of every record, in order."""
        from shared.inference import EagerEngine

        from .predictions import to_predictions

        engine = engine or EagerEngine(model.network())
        decoder = DESIGNS.of(recipe).decoder(engine, features, rows, schema, vocabulary, recipe, floor=floor)
        found = decode_all(decoder, features, tokens=recipe.training.evaluation_tokens, engine=engine, progress=progress)
        return to_predictions(found, features, rows, schema)

    def ceiling(self, features: EventFeatures, rows: Sequence[EventRecord], schema: EventSchema, *, recipe: Recipe) -> list[list[Prediction]]:
        """What decoding gives when the head's output tensors are the gold ones: the representation's own ceiling."""
        from .predictions import to_predictions

        found = decode_all(DESIGNS.of(recipe).gold_decoder(features, rows, schema, recipe), features, tokens=GOLD_TOKENS)
        return to_predictions(found, features, rows, schema)

    def baseline(self, train: Sequence[EventRecord], rows: Sequence[EventRecord]) -> list[list[Prediction]]:
        from .baseline import memorised

        return memorised(train, rows)

    def score(self, rows: Sequence[EventRecord], predictions: Sequence[Sequence[Prediction]], **options: Any) -> dict[str, Any]:
        gold = {record.id: records.as_triples(record) for record in rows}
        predicted = {
            record.id: [(found.type, found.role, found.text) for found in row] for record, row in zip(rows, predictions, strict=True)
        }
        from .predictions import as_events

        events = {record.id: as_events(row) for record, row in zip(rows, predictions, strict=True)}
        exact = metric.score_events({record.id: records.as_events(record) for record in rows}, events)
        return {**metric.score(gold, predicted, **options), "exact_events": exact}

    def mistakes(
        self, rows: Sequence[EventRecord], predictions: Sequence[Sequence[Prediction]], features: EventFeatures | None = None
    ) -> list[dict[str, Any]]:
        from .mistakes import mistakes

        return mistakes(rows, predictions, None if features is None else features.lost)

    def as_rows(self, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
        """One text's predictions as plain values, for ``lic extract``."""
        return [found._asdict() for found in predictions]


if TYPE_CHECKING:
    from shared.inference import Engine
    _fulfils: Task = EventTask()
