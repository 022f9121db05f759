"""Over-sensitivity of a reading run: its answers to questions in other words, beside those to the questions as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error

from .console import progress, table

if TYPE_CHECKING:
    from .ensemble_folder import LoadedEnsemble
    from .run_folder import LoadedRun


def over_sensitivity(
    loaded: LoadedRun | LoadedEnsemble, records: Sequence[Any], predictions: Sequence[Any], file: Path
) -> dict[str, Any]:
    """:func:`tasks.reading.sensitivity.over_sensitivity` of the run under the paraphrases of ``file``; ``predictions`` are those for ``records``.

    Raises InputError for another track and for a file that knows none of the questions.
    """
    from tasks.reading import sensitivity
    from tasks.reading.paraphrases import read_paraphrases

    from .predict import predict_records

    check_track(loaded.task.name, "--paraphrases")
    known = read_paraphrases(file)
    asked, owners, sources = sensitivity.asked_anew(records, known)
    if not asked:
        raise input_error(
            "LIC-X025",
            file=file,
            found=f"other words for none of {len(records)} questions",
            expected="some, word for word as the data asks them",
            remedy="Make the file from the same split: lic data paraphrase FILE --out …",
        )
    with progress("questions in other words") as advance:
        after = predict_records(loaded, asked, advance)
    return {"file": str(file), **sensitivity.over_sensitivity(records, predictions, after, owners, sources)}


def check_track(track: str, option: str) -> None:
    """Raises InputError for an option that only the reading track has."""
    if track != "reading":
        raise input_error("LIC-X024", found=f"{option} for the {track} track", expected="the reading track", remedy="Leave it out.")


def show_sensitivity(report: dict[str, Any]) -> None:
    """A table: all paraphrases, then those of every source."""
    columns = ["changed", "f1_between", "em", "em_paraphrased", "f1", "f1_paraphrased", "lost", "won", "paraphrases"]
    rows = [["all", *(report[name] for name in columns)]]
    rows += [[source, *(part[name] for name in columns)] for source, part in report["per_source"].items()]
    table(f"answers to {report['questions']} questions in other words", ["source", *(name.replace("_", " ") for name in columns)], rows)
