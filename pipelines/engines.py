"""Which engine a run predicts with: chosen, recorded once beside the run's weights, opened."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error

from .console import say
from .run_folder import WEIGHTS

if TYPE_CHECKING:
    from shared.inference import Engine, Network

    from .ensemble_folder import LoadedEnsemble
    from .run_folder import LoadedRun

ENGINES = ("auto", "eager", "static", "onnx")
RECORDED = "engines"
"""Folder of a run with a folder for every engine that recorded its graphs."""
WORTH_RECORDING = 2_000
"""Texts from which on recording, some seconds, costs less than it saves."""
_PACKAGES = {"onnx": ("onnxruntime", "paddle2onnx")}


def check_engine(kind: str) -> None:
    """Raises InputError: LIC-I004 for an engine that is none, LIC-I005 for one that is not installed."""
    if kind not in ENGINES:
        raise input_error("LIC-I004", found=f"engine {kind!r}", expected=f"one of {', '.join(ENGINES)}", remedy="Correct --engine.")
    missing = [name for name in _PACKAGES.get(kind, ()) if find_spec(name) is None]
    if missing:
        raise input_error(
            "LIC-I005",
            found=f"engine {kind} without {' and '.join(missing)}",
            expected=f"{' and '.join(_PACKAGES[kind])} installed",
            remedy="Install them: pip install 'lic2020[onnx]'; or take --engine static.",
        )


def engine_of(loaded: LoadedRun, texts: int) -> Engine | None:
    """The engine that a run is to predict ``texts`` texts with, opened once; None for the model itself.

    ``auto``: ONNX Runtime where it and the converter are installed, else a static graph; the model itself on a GPU, and for fewer than
    :data:`WORTH_RECORDING` texts while nothing is recorded yet. Raises InputError as :func:`check_engine`.
    """
    import paddle

    if loaded.opened is not None or loaded.engine == "eager":
        return loaded.opened
    check_engine(loaded.engine)
    kind, network = loaded.engine, loaded.model.network()
    if kind == "auto":
        kind = _fastest(loaded.folder, texts) if paddle.device.get_device() == "cpu" else "eager"
    if kind == "eager":
        return None
    loaded.opened = _open(loaded.folder, network, kind)
    return loaded.opened


def engine_name(loaded: LoadedRun | LoadedEnsemble) -> str:
    """Of a run that has predicted the engine that did it; of an ensemble the one that was asked for."""
    from .ensemble_folder import LoadedEnsemble

    if isinstance(loaded, LoadedEnsemble):
        return loaded.engine
    return "eager" if loaded.opened is None else loaded.opened.name


def _fastest(folder: Path, texts: int) -> str:
    kind = "onnx" if all(find_spec(name) is not None for name in _PACKAGES["onnx"]) else "static"
    return kind if texts >= WORTH_RECORDING or _is_recorded(folder, kind) else "eager"


def _about(folder: Path) -> dict[str, str]:
    import paddle

    from shared import __version__
    from shared.files import digest

    return {"weights": digest(folder / WEIGHTS), "lic": __version__, "code": _code_digest(), "paddle": paddle.__version__}


@cache
def _code_digest() -> str:
    """Of the sources that a graph comes from: one that an earlier state of them recorded is recorded anew."""
    import shared
    import tasks

    made = hashlib.sha256()
    for package in (shared, tasks):
        root = Path(str(package.__path__[0]))
        for path in sorted(root.rglob("*.py")):
            made.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return made.hexdigest()


def _is_recorded(folder: Path, kind: str) -> bool:
    from shared.errors import InputError
    from shared.inference.recorded import read_manifest

    place = folder / RECORDED / kind
    if not place.is_dir():
        return False
    try:
        return read_manifest(place, kind).about == _about(folder)
    except InputError:
        return False


def _open(folder: Path, network: Network, kind: str) -> Engine:
    """The engine over the run's recorded graphs; recorded anew where they are missing, damaged or of other weights."""
    from shared.environment import prepare

    place = folder / RECORDED / kind
    if not _is_recorded(folder, kind):
        say(f"recording the model for the engine {kind}, once: {place}")
        place = record(network, kind, place, about=_about(folder))
    threads = prepare().threads
    opened: Engine = engine_class(kind)(place, **({"threads": 1, "together": max(2, threads)} if kind == "onnx" else {"threads": threads}))
    return opened


def engine_class(kind: str) -> Any:
    """The class of an engine that runs recorded graphs."""
    if kind == "onnx":
        from shared.inference.onnx import OnnxEngine

        return OnnxEngine
    from shared.inference.static import StaticEngine

    return StaticEngine


def record(network: Network, kind: str, place: Path, *, about: dict[str, str]) -> Path:
    """Records the graphs to ``place``, whole or not at all; to a folder that goes with the process where that cannot be written."""
    from shared.files import whole_folder
    from shared.inference import recording
    from shared.inference.recorded import MANIFEST

    make = recording.convert if kind == "onnx" else recording.record
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(place, marker=MANIFEST) as aside:
            make(network, aside, about=about)
    except OSError as error:
        say(f"{place}: not kept ({error.strerror or error}); recorded for this time only.")
        _kept.append(tempfile.TemporaryDirectory(prefix="lic-engine-"))
        place = Path(_kept[-1].name)
        make(network, place, about=about)
    return place


_kept: list[tempfile.TemporaryDirectory] = []
"""Folders that go when the process ends."""
