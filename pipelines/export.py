"""``lic export``: a trained run as a folder that reads texts without this program."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error
from tasks.registry import NAMES

from .console import emit_json, progress, say, table

if TYPE_CHECKING:
    from .run_folder import LoadedRun

FORMATS = ("onnx", "static", "safetensors")
LIBRARY, SCRIPT, HEAD = "lib", "predict.py", "head.safetensors"
ALLOWED = {"onnx": ("numpy", "onnxruntime"), "static": ("numpy", "paddle")}


def export(
    track: str, *, out: Path, run: Path | None = None, format: str = "onnx", int8: bool = False, data: Path | None = None
) -> dict[str, Any]:
    """Writes the run (default: the track's latest) to the folder ``out``, whole or not at all; an older export there is replaced.

    ``onnx`` and ``static``: model, vocabulary, schema, settings, a ``predict.py`` and the files it needs; it runs with numpy and onnxruntime
    (or paddle) alone. ``safetensors``: the encoder as a folder that PaddleNLP's ``AutoModel.from_pretrained`` loads, the rest of the weights in
    ``head.safetensors``. ``int8``: weights of matrix products in eight bits (onnx only); the scores with and without on the dev
    file of ``data`` (default: what the run was trained on) are in the result, None where that file is not there.

    Raises InputError: LIC-I005 without a package that is needed, LIC-I006 for an encoder that is no BERT (safetensors), LIC-I007 for ``out``,
    a format or flags that do not go together.
    """
    from .engines import check_engine
    from .run_folder import DECISION, find_run, load_run

    if format not in FORMATS:
        raise input_error("LIC-I007", found=f"--format {format}", expected=f"one of {', '.join(FORMATS)}", remedy="Correct it.")
    if int8 and format != "onnx":
        raise input_error("LIC-I007", found=f"--int8 with --format {format}", expected="--format onnx", remedy="Leave --int8 out.")
    if format == "onnx":
        check_engine(format)
    folder = find_run(track, run)
    loaded = load_run(folder, track)
    _check_task(loaded.task.name, format)
    _check_out(out)
    try:
        made = _write_encoder(loaded, out) if format == "safetensors" else _write_model(loaded, out, format, int8=int8)
    except ValueError as error:
        if "left alone" not in str(error):
            raise
        raise input_error("LIC-I007", file=out, found=str(error), expected="a new folder, or an export", remedy="Name another with --out.") from error
    if (folder / DECISION).is_file():
        say(f"{folder / DECISION} stays behind: the export decodes as the recipe says, not by what lic tune fitted.")
    scores = _losses(loaded, out, data) if int8 else None
    return {"track": track, "run": str(folder), "format": format, "int8": int8, "out": str(out), "files": made, "scores": scores}


def _design(loaded: LoadedRun) -> str:
    from tasks.registry import get_task

    module = importlib.import_module(f"tasks.{get_task(loaded.task.name).name}.models")
    return str(loaded.recipe.model.get("name", next(iter(module.DESIGNS.modules))))


def _check_task(track: str, format: str) -> None:
    """Raises InputError for a task whose predictions take more than its exported model could say."""
    if format != "safetensors" and importlib.util.find_spec(f"tasks.{track}.extraction") is None:
        raise input_error(
            "LIC-I007",
            found=f"--format {format} for {track}",
            expected=f"--format safetensors: a {track} model is not read from outside this program",
            remedy="Take that format, or lic predict.",
        )


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise input_error("LIC-I007", file=out, found="a file", expected="a folder for the model", remedy="Name another with --out.")


def _write_model(loaded: LoadedRun, out: Path, kind: str, *, int8: bool) -> list[str]:
    from shared.files import digest, whole_folder, write_json
    from shared.inference import recording
    from shared.inference.recorded import MANIFEST
    from tasks.extraction import MODEL, SCHEMA, VERSION, VOCABULARY, check_of

    from .export_sources import copy_sources
    from .run_folder import WEIGHTS

    track, design = loaded.task.name, _design(loaded)
    settings = importlib.import_module(f"tasks.{track}.models").DESIGNS.of(loaded.recipe)
    from tasks.designs import decode_settings

    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(out, marker=MODEL) as aside:
        make = recording.convert if kind == "onnx" else recording.record
        make(loaded.model.network(), aside, about={"weights": digest(loaded.folder / WEIGHTS)}, **({"int8": True} if int8 else {}))
        loaded.vocabulary.save(aside / VOCABULARY)
        if loaded.schema is not None:
            loaded.schema.write(aside / SCHEMA)
        roots = ["tasks.extraction", f"tasks.{track}.extraction", f"shared.inference.{kind}"]
        copy_sources(roots, aside / LIBRARY, allowed=ALLOWED[kind])
        shutil.copyfile(Path(__file__).with_name("exported_predict.py"), aside / SCRIPT)
        about = {
            "version": VERSION,
            "track": track,
            "design": design,
            "engine": kind,
            "int8": int8,
            "lower_case": loaded.tokenizer.lower_case,
            "window": loaded.recipe.features.window,
            "overlap": loaded.recipe.features.overlap,
            "padded_tokens": loaded.recipe.training.evaluation_tokens,
            "decode": decode_settings(settings, loaded.recipe).model_dump(mode="json"),
            "files": {name: digest(aside / name) for name in (MANIFEST, VOCABULARY, SCHEMA) if (aside / name).is_file()},
        }
        write_json(aside / MODEL, {**about, "check": check_of(about)})
        return sorted(str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file())


def _write_encoder(loaded: LoadedRun, out: Path) -> list[str]:
    from shared.huggingface import save_paddlenlp, whats_not_bert
    from shared.training.checkpoint import arrays_of, save_arrays

    if other := whats_not_bert(loaded.model.backbone.config):
        raise input_error(
            "LIC-I006", file=loaded.folder, found=f"an encoder with {other}", expected="a BERT", remedy="Take --format onnx or static."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_paddlenlp(out, loaded.model.backbone, loaded.tokenizer)
    rest = {name: value for name, value in loaded.model.state_dict().items() if not name.startswith("backbone.")}
    save_arrays(out / HEAD, arrays_of(rest))
    return sorted(path.name for path in out.iterdir())


def _losses(loaded: LoadedRun, out: Path, data: Path | None) -> dict[str, Any] | None:
    """Scores of the run and of the export on dev."""
    from dataclasses import replace

    from shared.errors import InputError
    from tasks.extraction import open_engine
    from tasks.official import find_split

    from .candidates import predict_run
    from .data_files import data_folder, read_split

    try:
        path = find_split(loaded.task.name, data_folder(loaded.task.name, data or loaded.data), "dev")
    except InputError:
        if data is not None:
            raise
        say("no dev file to score the eight bits on: name its folder with --data.")
        return None
    records = read_split(loaded.task, path, loaded.schema, labelled=True, skip_bad=False)
    found = {}
    for name, engine in (("float32", None), ("int8", open_engine(out, "onnx", threads=None))):
        with progress(f"{name} on dev") as advance:
            predictions = predict_run(replace(loaded, engine="eager", opened=engine), records, advance)
        scores = loaded.task.score(records, predictions)
        found[name] = {key: scores[key] for key in loaded.task.shown_scores}
    return found


def command(
    track: Annotated[str, typer.Argument(help=NAMES)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="where the model goes; an older export there is replaced")],
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    format: Annotated[str, typer.Option(help="onnx, static or safetensors")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="onnx: weights in eight bits; says what that costs on dev")] = False,
    data: Annotated[Path | None, typer.Option(help="--int8: folder with the dev file; default the one the run was trained on")] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Write a trained run as a folder that reads texts without lic: predict.py, model, vocabulary, schema."""
    made = export(track, out=out, run=run, format=format, int8=int8, data=data)
    if json:
        emit_json(made)
        return
    if made["scores"]:
        names: Sequence[str] = list(made["scores"]["float32"])
        rows = [[kind, *(f"{scores[name]:.4f}" for name in names)] for kind, scores in made["scores"].items()]
        table(f"{track}: dev", ["weights", *names], rows)
    typer.echo(f"{made['out']}\t{len(made['files'])} files")
    if format != "safetensors":
        say(f'try it: python {Path(made["out"]) / SCRIPT} "…"')
