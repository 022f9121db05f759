"""``lic data roundtrip``: gold through features, head tensors and the very decode that predict uses: the ceiling of a representation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.registry import NAMES

from .console import emit_json, say, table
from .mistakes import as_line


def roundtrip(
    track: str,
    file: Path,
    *,
    model: str | None = None,
    overrides: tuple[str, ...] = (),
    schema: Path | None = None,
    encoder: str | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Scores of gold against itself, and every record that is not given back exactly, with the cause.

    The vocabulary is that of the ``encoder`` folder, else one built from the file's own texts. ``overrides`` are ``--set`` lines of the recipe,
    e.g. ``model.tagging=flat``.
    """
    from shared.errors import InputError
    from tasks.json_lines import file_problem
    from tasks.recipe import load_recipe, recipe_names
    from tasks.registry import get_task

    from .data_files import open_schema, read_split
    from .encoders import open_vocabulary

    task = get_task(track)
    problem = file_problem(file, what=f"a labelled file of the {track} track")
    if problem:
        raise InputError(problem)
    chosen = (f"model.name={model}",) if model else ()
    own = model if model in recipe_names(task.recipes) else "quick"  # a model's own recipe has no keys of another's
    recipe = load_recipe(task.recipes, own, (*chosen, *overrides), check=task.check_recipe)
    definition = open_schema(task, file.parent, schema)
    records = read_split(task, file, definition, labelled=True, skip_bad=skip_bad)
    tokenizer = open_vocabulary(encoder, texts=[task.text_of(record) for record in records], data=file.parent)
    features = task.make_features(records, definition, tokenizer, recipe.features)
    predictions = task.ceiling(features, records, definition, recipe=recipe)
    scores = task.score(records, predictions)
    lost = task.mistakes(records, predictions, features)
    return {
        **{name: scores[name] for name in task.shown_scores},
        **({"exact_events_f1": scores["exact_events"]["f1"]} if "exact_events" in scores else {}),
        "model": recipe.model,
        "records": len(records),
        "windows": len(features.ids),
        "not_exact": len(lost),
        "lost": lost,
    }


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    file: Annotated[Path, typer.Argument(help="a labelled official file; its folder holds the schema")],
    model: Annotated[str | None, typer.Option(help="model whose representation is tried; default the track's first")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. model.tagging=flat; repeatable")] = None,
    schema: Annotated[Path | None, typer.Option(help="schema file; default the one beside FILE")] = None,
    encoder: Annotated[str | None, typer.Option(help="encoder folder whose vocabulary is used; default a vocabulary of FILE")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="list what is lost, and why")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Find the ceiling of our own representation: gold in, official score out."""
    result = roundtrip(track, file, model=model, overrides=tuple(set_ or ()), schema=schema, encoder=encoder, skip_bad=skip_bad)
    if json:
        emit_json(result if explain else {name: value for name, value in result.items() if name != "lost"})
        return
    shown = {name: value for name, value in result.items() if name not in ("lost", "model")}
    model_row = " ".join(f"{name}={value}" for name, value in result["model"].items())
    table(f"{track} roundtrip of {file.name}: {model_row}", list(shown), [list(shown.values())])
    if explain:
        for loss in result["lost"]:
            typer.echo(as_line(loss))
    elif result["lost"]:
        say("--explain lists what is not exact, and why.")
