"""``lic preprocess``: official files to features, once; everything later reads them memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import InputError, input_error
from tasks.registry import NAMES

from .console import progress, say, say_problems

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.recipe import FeatureSettings

    from .encoders import Encoder

CACHE = Path("data") / "cache"


@dataclass(frozen=True)
class FileFeatures:
    """``features``, memory-mapped from ``folder``, of the first ``records`` of a file's ``in_file`` sound records.

    ``problems`` were found in the file, ``skipped`` bad records left out.
    """

    features: Any
    folder: Path
    records: int
    in_file: int
    problems: int
    skipped: int


def cache_key(
    task: Task, path: Path, schema: Any, encoder: Encoder, settings: FeatureSettings, *, limit: int | None, labelled: bool = True
) -> str:
    """What decides the features: data, schema, tokenizer, window, how many records of the file are used, the versions of code and folder."""
    from shared.features.ragged import FORMAT
    from shared.files import digest

    parts = [
        task.name,
        task.feature_version,
        FORMAT,
        digest(path),
        schema.as_lines() if schema is not None else None,
        encoder.vocabulary.sha256,
        encoder.lower_case,
        settings.model_dump(),
        limit,
        labelled,
    ]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:20]


def features_of_file(
    task: Task,
    path: Path,
    schema: Any,
    encoder: Encoder,
    settings: FeatureSettings,
    *,
    skip_bad: bool,
    limit: int | None = None,
    workers: int | None = None,
    labelled: bool = True,
) -> FileFeatures:
    """Features of a file, of its first ``limit`` sound records, from the cache or made now by ``workers`` processes (default: a core each).

    Says what was left out, also when it is the cache that knows it. A damaged folder of the cache is named and passed over, never deleted.
    Raises InputError with every problem of the file unless ``skip_bad``, for a file without a sound record, and for windows longer than the
    encoder reads; then nothing is left on disk. Large files of JSON lines are made in new processes, so a script needs
    ``if __name__ == "__main__":`` around its call.
    """
    from shared.features.cache import newest_sound

    from .data_files import say_skipped, stream_records

    longest = encoder.backbone.config.max_length - 2
    if settings.window > longest:
        raise input_error(
            "LIC-E002",
            found=f"features.window = {settings.window}",
            expected=f"at most {longest}, what this encoder reads beside [CLS] and [SEP]",
            remedy=f"Lower it: --set features.window={longest}.",
        )
    if not path.is_file():
        raise InputError(*task.read_records(path, schema, labelled=labelled).problems)
    usual = CACHE / task.name / cache_key(task, path, schema, encoder, settings, limit=limit, labelled=labelled)

    def load(folder: Path) -> FileFeatures:
        from shared.features.ragged import read_manifest

        features = task.load_features(folder)
        meta = read_manifest(folder)["meta"]
        return FileFeatures(features, folder, *(meta[name] for name in ("records", "in_file", "problems", "skipped")))

    found, place, refused = newest_sound(usual, load)
    for error in refused:
        say_problems(error.problems)
        say(f"{path.name}: that folder is left as it is and passed over; its features are {'in' if found else 'made again in'} {place}.")
    if found is None:
        found = _make(task, path, schema, encoder, settings, usual, load, skip_bad=skip_bad, limit=limit, workers=workers, labelled=labelled)
        count, features = found.records, found.features
        say(f"{path.name}: {count} records in {len(features.ids)} windows, {int(features.ids.lengths.sum())} tokens; features in {found.folder}")
        if features.lost_count:
            say(f"{path.name}: {features.lost_count} gold annotations cannot be given back exactly; lic data roundtrip --explain lists them.")
    elif found.problems and not skip_bad:
        for _ in stream_records(task, path, schema, labelled=labelled, skip_bad=False):
            pass  # raises at the end
    elif found.problems:
        say(f"{path}: {found.problems} problems; lic data check {task.name} {path} lists them.")
        say_skipped(path, found.skipped, found.in_file)
    if found.records < found.in_file:
        say(f"training.max_records = {limit}: the first {found.records} of {found.in_file} records of {path.name} are used.")
    for remark in task.remarks(found.features):
        say(f"{path.name}: {remark}.")
    return found


def _make(
    task: Task,
    path: Path,
    schema: Any,
    encoder: Encoder,
    settings: FeatureSettings,
    usual: Path,
    load: Callable[[Path], FileFeatures],
    *,
    skip_bad: bool,
    limit: int | None,
    workers: int | None,
    labelled: bool,
) -> FileFeatures:
    """Features made beside ``usual`` and moved to the first free name."""
    from shared.environment import usable_cores
    from shared.features.cache import folder_aside, move_in, newest_sound
    from tasks.chunks import Made, Source, in_chunks, make_features_in_chunks

    from .data_files import check_read

    with folder_aside(usual) as aside:
        new = aside / "new"
        if not in_chunks(task, path):
            result = task.read_records(path, schema, labelled=labelled)
            made = Made(len(result.records[:limit]), len(result.records), result.problems, result.skipped)
            check_read(task, path, made.problems, made.skipped, made.in_file, skip_bad=skip_bad)
            task.make_features(result.records[:limit], schema, encoder.tokenizer, settings).save(new, made.as_meta())
        else:
            new.mkdir()
            source = Source(task, path, schema, labelled)
            with progress(f"features of {path.name}, lines") as advance:
                made = make_features_in_chunks(
                    source,
                    encoder.vocabulary,
                    encoder.lower_case,
                    settings,
                    new,
                    aside / "parts",
                    limit=limit,
                    skip_bad=skip_bad,
                    workers=workers or usable_cores(),
                    progress=advance,
                )
            check_read(task, path, made.problems, made.skipped, made.in_file, skip_bad=skip_bad)
        found = newest_sound(usual, load)[0]  # somebody else may have been faster
        return found or load(move_in(new, usual))


def preprocess(
    track: str,
    *,
    data: Path | None = None,
    recipe: str = "default",
    overrides: tuple[str, ...] = (),
    skip_bad: bool = False,
    workers: int | None = None,
) -> dict[str, str]:
    """Makes the features of train and dev for a recipe, with ``workers`` processes (default: a core each). Returns the folder of each."""
    from .data_files import open_labelled
    from .encoders import open_encoder
    from .extra_data import extra_files

    opened = open_labelled(track, data=data, recipe=recipe, overrides=overrides, skip_bad=skip_bad, workers=workers)
    encoder = open_encoder(opened.recipe.encoder, texts=opened.texts, data=opened.folder)
    limits = {"train": opened.recipe.training.max_records, "dev": None}
    made = {}
    for split, path in opened.paths.items():
        settings = opened.recipe.features
        found = features_of_file(
            opened.task, path, opened.schema, encoder, settings, skip_bad=skip_bad, limit=limits[split], workers=workers
        )
        made[split] = str(found.folder)
    for file in extra_files(opened, encoder, evaluated=opened.dev):
        made[file.path.name] = str(file.folder)
    return made


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    data: Annotated[Path | None, typer.Option(help="folder with train, dev and schema; default data/TRACK")] = None,
    recipe: Annotated[str, typer.Option(help="a shipped recipe's name or a TOML file")] = "default",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. features.window=126; repeatable")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="processes that read large files; default one a usable core")] = None,
) -> None:
    """Turn official files into features (lic train does it by itself; this does it ahead)."""
    made = preprocess(track, data=data, recipe=recipe, overrides=tuple(set_ or ()), skip_bad=skip_bad, workers=workers)
    for split, folder in made.items():
        typer.echo(f"{split}: {folder}")
