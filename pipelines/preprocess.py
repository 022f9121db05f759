"""``lic preprocess``: official files to features, once; everything later reads them memory-mapped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error

from .console import progress, say

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.recipe import FeatureSettings

    from .encoders import Encoder

CACHE = Path("data") / "cache"


def cache_key(task: Task, path: Path, schema: Any, encoder: Encoder, settings: FeatureSettings, records: int) -> str:
    """What decides the features: data, schema, tokenizer, window, how many records of the file are used, the code's feature version."""
    from shared.files import digest

    parts = [
        task.name,
        task.feature_version,
        digest(path),
        schema.as_lines() if schema is not None else None,
        encoder.vocabulary.sha256,
        encoder.lower_case,
        settings.model_dump(),
        records,
    ]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:20]


def features_of(
    task: Task, path: Path, records: list[Any], schema: Any, encoder: Encoder, settings: FeatureSettings
) -> tuple[Any, Path]:
    """Features of ``records`` (the records of the file ``path``) and their folder, from the cache or made now.

    Raises InputError for windows longer than the encoder reads.
    """
    longest = encoder.backbone.config.max_length - 2
    if settings.window > longest:
        raise input_error(
            "LIC-E002",
            found=f"features.window = {settings.window}",
            expected=f"at most {longest}, what this encoder reads beside [CLS] and [SEP]",
            remedy=f"Lower it: --set features.window={longest}.",
        )
    folder = CACHE / task.name / cache_key(task, path, schema, encoder, settings, len(records))
    if (folder / "manifest.json").is_file():
        features = task.load_features(folder)
        _say_remarks(task, path.name, features)
        return features, folder
    features = task.make_features(records, schema, encoder.tokenizer, settings)
    features.save(folder, {"file": path.name, "records": len(records)})
    say(f"{path.name}: {len(records)} records in {len(features.ids)} windows, {int(features.ids.lengths.sum())} tokens; features in {folder}")
    if features.lost_count:
        say(f"{path.name}: {features.lost_count} gold annotations cannot be given back exactly; lic data roundtrip --explain lists them.")
    _say_remarks(task, path.name, features)
    return task.load_features(folder), folder


def _say_remarks(task: Task, name: str, features: Any) -> None:
    for remark in task.remarks(features):
        say(f"{name}: {remark}.")


def preprocess(
    track: str, *, data: Path | None = None, recipe: str = "default", overrides: tuple[str, ...] = (), skip_bad: bool = False
) -> dict[str, str]:
    """Makes the features of train and dev for a recipe. Returns the folder of each."""
    from .data_files import open_labelled
    from .encoders import open_encoder

    opened = open_labelled(track, data=data, recipe=recipe, overrides=overrides, skip_bad=skip_bad)
    encoder = open_encoder(opened.recipe.encoder, texts=opened.texts, data=opened.folder)
    made = {}
    with progress(f"preprocess {track}") as advance:
        for index, (split, path) in enumerate(opened.paths.items()):
            made[split] = str(features_of(opened.task, path, opened.records[split], opened.schema, encoder, opened.recipe.features)[1])
            advance(index + 1, len(opened.paths))
    return made


def command(
    track: Annotated[str, typer.Argument(help="relation, event or reading")],
    data: Annotated[Path | None, typer.Option(help="folder with train, dev and schema; default data/TRACK")] = None,
    recipe: Annotated[str, typer.Option(help="a shipped recipe's name or a TOML file")] = "default",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. features.window=126; repeatable")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
) -> None:
    """Turn official files into features (lic train does it by itself; this does it ahead)."""
    for split, folder in preprocess(track, data=data, recipe=recipe, overrides=tuple(set_ or ()), skip_bad=skip_bad).items():
        typer.echo(f"{split}: {folder}")
