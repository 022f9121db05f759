"""Several trainings of one kind: folds, seeds, and the processes of one training on several devices."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import input_error, work_error

from .console import say

if TYPE_CHECKING:
    from .interrupt import Check


def train_folds(track: str, *, folds: int, only: int | None, **options: Any) -> list[Path]:
    """One run a fold in ``NAME/fold-I``, each evaluated on the training records that it does not see; ``only``: that fold alone."""
    from .train_setup import Fold

    numbers = range(1, folds + 1) if only is None else [only]
    return _train_each(track, [(f"fold-{number}", {"fold": Fold(number, folds)}) for number in numbers], alone=only is not None, **options)


def train_seeds(track: str, *, seeds: str, **options: Any) -> list[Path]:
    """One run a seed in ``NAME/seed-N``. ``seeds``: whole numbers with commas between them."""
    words = [word.strip() for word in seeds.split(",")]
    if not words or not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise input_error("LIC-U023", found=f"--seeds {seeds}", expected="different whole numbers", remedy="For example --seeds 1,2,3.")
    overrides = tuple(options.pop("overrides", ()))
    members = [(f"seed-{word}", {"overrides": (*overrides, f"training.seed={word}")}) for word in words]
    return _train_each(track, members, alone=False, **options)


def _train_each(
    track: str, members: list[tuple[str, dict[str, Any]]], *, alone: bool, run: Path | None, resume: bool, **options: Any
) -> list[Path]:
    from .run_figures import read_object
    from .run_folder import BEST, RUNS
    from .train import DEFAULT, train

    name = Path(options.get("recipe") or DEFAULT).stem
    base = run or RUNS / track / name
    number = 2
    while run is None and not resume and _taken(base, [member for member, _ in members], alone):
        base, number = RUNS / track / f"{name}-{number}", number + 1
    made, scores = [], []
    for position, (member, own) in enumerate(members, 1):
        say(f"\n[{position}/{len(members)}] {member}")
        made.append(train(track, run=base / member, resume=resume, **{**options, **own}))
        best = read_object(made[-1] / BEST) or {}
        scores += [list(best.get("dev", {}).values())[-1]] if best.get("dev") else []
    if len(scores) > 1:
        say(f"{len(scores)} runs: {statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f} (mean and standard deviation of the best scores)")
    return made


def _taken(base: Path, members: list[str], alone: bool) -> bool:
    """Whether a new run may not go there: anything is there, or for a single fold that fold."""
    return any((base / member).exists() for member in members) if alone else base.exists()


def launch(devices: str, backend: str, *, arguments: list[str]) -> None:
    """Runs the command of ``arguments`` by ``python -m paddle.distributed.launch``, a process a device, and waits for it.

    ``devices``: numbers with commas between them; with ``backend`` ``gloo`` they only count processes on the CPU. Signals are passed on, and
    the processes stop after their step. Raises WorkError when one of them fails; their output beyond the first's is shown then.
    """
    import paddle

    words = [word.strip() for word in devices.split(",")]
    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise input_error("LIC-U024", found=f"--devices {devices}", expected="different numbers", remedy="For example --devices 0,1.")
    if backend not in ("auto", "nccl", "gloo"):
        raise input_error("LIC-U024", found=f"--backend {backend}", expected="auto, nccl or gloo", remedy="Leave it out for auto.")
    if backend != "gloo" and any(int(word) >= gpus for word in words):
        raise input_error(
            "LIC-G002",
            found=f"devices {devices}, but paddle {paddle.__version__} sees {gpus} GPUs",
            expected="devices of this machine",
            remedy="Name others; or give --backend gloo for so many processes on the CPU.",
        )
    given = _without(arguments, ("--devices", "--backend", "--device"))
    with tempfile.TemporaryDirectory(prefix="lic-ranks-") as logs:
        how = ["--nproc_per_node", str(len(words))] if backend == "gloo" else ["--devices", ",".join(words)]
        script = [str(Path(__file__).with_name("__main__.py")), *given, *(["--device", "cpu"] if backend == "gloo" else [])]
        environment = dict(os.environ)
        if backend == "gloo":
            environment["PADDLE_DISTRI_BACKEND"] = "gloo"
            environment["LIC_THREADS"] = environment.get("LIC_THREADS") or str(max(1, (os.cpu_count() or 1) // len(words)))
        command = [sys.executable, "-m", "paddle.distributed.launch", *how, "--log_dir", logs, "--max_restart", "0", *script]
        code, check = _wait(subprocess.Popen(command, env=environment, start_new_session=True))
        check()
        if code:
            for log in sorted(Path(logs).glob("workerlog.*"))[1:]:
                say(f"--- {log.name}, its last lines:")
                say("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]))
            raise work_error(
                "LIC-N003", found=f"processes that ended with code {code}", expected="all of them to finish", remedy="See what they said above."
            )


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, Check]:
    """The exit code, and what tells of a signal that came meanwhile and was passed on to every process."""
    from .interrupt import after_this_step

    with after_this_step() as check:
        passed_on = False
        while (code := process.poll()) is None:
            time.sleep(0.2)
            number = check.asked()
            if number is not None and not passed_on:
                passed_on = True
                for child in _children(process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, number)
    return code, check


def _children(parent: int) -> Iterator[int]:
    """The processes that the launcher started: signals go to them, since it ends them without waiting when it is asked itself."""
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    yield int(entry.name)


def _without(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    kept, skip = [], False
    for word in arguments:
        if skip or word in names:
            skip = not skip and word in names
        elif not any(word.startswith(f"{name}=") for name in names):
            kept.append(word)
    return kept

