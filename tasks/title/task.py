"""The title task behind the protocol of :mod:`tasks.base`. It has no schema: where the protocol hands one on, it is None."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import Problem, input_error

from ..base import Progress, ReadResult, Task
from ..candidates import Candidates
from ..decoding import decode_all
from ..designs import GOLD_TOKENS
from ..recipe import FeatureSettings, Recipe
from . import metric, records, submission
from .candidates import TitleCandidates
from .models import DESIGNS
from .records import TitleRecord

if TYPE_CHECKING:
    from shared.inference import Engine
    from shared.text import Vocabulary
    from tasks.profile import Profile

    from .features import TitleFeatures
    from .predictions import Prediction


class TitleTask:
    """Abstracts and their titles, such as CSL's."""

    name = "title"
    member = submission.MEMBER
    shown_scores: Sequence[str] = metric.SHOWN
    recipes = Path(__file__).parent / "recipes"
    candidates: Candidates = TitleCandidates()

    # -- files ---------------------------------------------------------------------------------------------------
    def read_schema(self, path: Path) -> None:
        raise NotImplementedError("the title task has no schema")

    def inspect_schema(self, path: Path) -> tuple[None, list[Problem]]:
        raise NotImplementedError("the title task has no schema")

    def read_records(self, path: Path, schema: None = None, *, labelled: bool | None = None) -> ReadResult:
        return records.read_records(path, labelled=labelled)

    def read_rows(
        self, rows: Iterable[tuple[int, dict[str, Any]]], file: str, schema: None, *, labelled: bool | None, seen: dict[str, int]
    ) -> ReadResult:
        return records.read_rows(rows, file, labelled=labelled)

    def describe(self, rows: Sequence[TitleRecord]) -> dict[str, Any]:
        return records.describe(rows)

    def profile(self, rows: Sequence[TitleRecord], schema: None) -> Profile:
        from .profile import profile

        return profile(rows)

    def identity_of(self, record: TitleRecord) -> str:
        return record.text

    def record_of_text(self, text: str, *, question: str | None = None) -> TitleRecord:
        if question is not None:
            raise input_error(
                "LIC-X004", found="--question", expected="none: the title task asks no question", remedy="Leave it out, or name reading."
            )
        return TitleRecord(text=text, line=1)

    def text_of(self, record: TitleRecord) -> str:
        return record.text if record.title is None else f"{record.text}\n{record.title}"

    def write_submission(self, path: Path, rows: Iterable[TitleRecord], predictions: Iterable[Sequence[Prediction]], schema: None) -> None:
        submission.write_submission(path, ((record.text, found[0].text) for record, found in zip(rows, predictions, strict=True)))

    def check_submission(self, path: Path, *, schema: None = None, against: Path | None = None) -> list[Problem]:
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

    def make_features(self, rows: Sequence[TitleRecord], schema: None, tokenizer: Any, settings: FeatureSettings) -> TitleFeatures:
        from .features import make_features

        return make_features(rows, tokenizer, window=settings.window)

    def remarks(self, features: TitleFeatures) -> list[str]:
        if not features.cut:
            return []
        which = "an abstract is" if features.cut == 1 else f"{features.cut} abstracts are"
        return [f"{which} longer than features.window = {int(features.ids.lengths.max())} tokens: the beginning alone is read"]

    def load_features(self, folder: Path) -> TitleFeatures:
        from .features import TitleFeatures

        return TitleFeatures.load(folder)

    def build_model(self, backbone: Any, schema: None, recipe: Recipe) -> Any:
        return DESIGNS.of(recipe).build(backbone, schema, recipe)

    def predict(
        self,
        model: Any,
        features: TitleFeatures,
        rows: Sequence[TitleRecord],
        schema: None,
        vocabulary: Vocabulary,
        recipe: Recipe,
        *,
        engine: Engine | None = None,
        floor: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Prediction]]:
        """Titles of every abstract, in order, the best first."""
        from shared.inference import EagerEngine

        engine = engine or EagerEngine(model.network())
        decoder = DESIGNS.of(recipe).decoder(engine, features, rows, schema, vocabulary, recipe, floor=floor)
        titles: dict[int, list[Prediction]] = dict(
            decode_all(decoder, features, tokens=recipe.training.evaluation_tokens, engine=engine, progress=progress)
        )
        return [titles[index] for index in range(len(rows))]

    def ceiling(self, features: TitleFeatures, rows: Sequence[TitleRecord], schema: None, *, recipe: Recipe) -> list[list[Prediction]]:
        """What decoding gives when gold's own tokens are written: what the vocabulary and ``max_target`` cost."""
        titles: dict[int, list[Prediction]] = dict(
            decode_all(DESIGNS.of(recipe).gold_decoder(features, rows, schema, recipe), features, tokens=GOLD_TOKENS)
        )
        return [titles[index] for index in range(len(rows))]

    def baseline(self, train: Sequence[TitleRecord], rows: Sequence[TitleRecord]) -> list[list[Prediction]]:
        from .baseline import lead

        return lead(rows)

    def score(self, rows: Sequence[TitleRecord], predictions: Sequence[Sequence[Prediction]], **options: Any) -> dict[str, Any]:
        return metric.score(((found[0].text, record.title or "") for record, found in zip(rows, predictions, strict=True)), **options)

    def mistakes(
        self, rows: Sequence[TitleRecord], predictions: Sequence[Sequence[Prediction]], features: TitleFeatures | None = None
    ) -> list[dict[str, Any]]:
        from .mistakes import mistakes

        return mistakes(rows, predictions, None if features is None else features.lost)

    def as_rows(self, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
        """Titles as plain values, for ``lic extract``."""
        return [found._asdict() for found in predictions]


if TYPE_CHECKING:
    from shared.inference import Engine
    _fulfils: Task = TitleTask()
