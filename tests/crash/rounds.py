"""Rounds of killing and going on, and what must hold after each kill and at the end."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.run_figures import read_lines
from shared.locks import FolderLock
from shared.training.checkpoint import load_arrays
from shared.training.snapshots import newest_snapshot

ROOT = Path(__file__).parents[2]
KILL = 9
KEPT = 2
"""``training.checkpoints_kept`` of all runs here; one more where a process was killed before it pruned."""
NEVER_THE_SAME = {"timing.jsonl", "run.lock", "environment.json", "curves.png"}
"""Files of a run that tell of clocks, of the machine or are drawn from such, and the lock, which a process killed after its work leaves."""


class Server:
    """A process of child.py; ``ask`` runs one command in a child of it."""

    def __init__(self, reports: Path):
        reports.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), str(reports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            encoding="utf-8",
        )

    def ask(self, place: Path, arguments: Iterable[Any], **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"place": str(place), "arguments": [str(word) for word in arguments], **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the server is gone"
        answer: dict[str, Any] = json.loads(line)
        assert "Traceback" not in answer["err"], answer["err"]
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def by_kind(points: list[str]) -> dict[str, list[int]]:
    """Numbers of points, from 1, by what is done at them: phase, kind, and file without the numbers in its name."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, point in enumerate(points, 1):
        found[re.sub(r"\d+", "N", point)].append(number)
    return dict(found)


def spread(points: list[str], count: int, draws: random.Random) -> list[int]:
    """``count`` points: each kind of :func:`by_kind` once before any comes twice, phases alternating; all of them where there are no more."""
    kinds = [draws.sample(numbers, len(numbers)) for _, numbers in sorted(by_kind(points).items())]
    draws.shuffle(kinds)
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        chosen.extend(numbers.pop() for numbers in kinds if numbers)
    return chosen[:count]


def outcome(run: Path) -> dict[str, bytes]:
    """What an interrupted and an uninterrupted run must have in common, byte for byte: every file but those of clocks, and the newest
    checkpoint's under ``newest``. Whatever else lies in the folder stands here too, and so would differ."""
    found = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name not in NEVER_THE_SAME}
    found |= {path.name: b"" for path in run.iterdir() if path.is_dir()}
    for path in sorted(max((run / "checkpoints").iterdir()).iterdir()):
        if path.name != "manifest.json":  # it holds checksums of the others
            found[f"newest/{path.name}"] = path.read_bytes()
    with FolderLock(run):  # nobody holds it
        pass
    return found


def differing(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def check_while_down(run: Path, announced: int | None) -> int | None:
    """What a killed run must be like: the newest checkpoint whole and no older than the last announced, every other file whole or absent.

    Returns the newest checkpoint's step.
    """
    found = newest_snapshot(run / "checkpoints")
    step = None if found is None else int(found.state.counters["progress"]["step"])
    assert found is None or not found.passed_over, f"passed over: {[str(error) for error in found.passed_over]}"
    there = [path.name for path in (run / "checkpoints").glob("[0-9]*")]
    assert len(there) <= KEPT + 1, f"not pruned: {there}"
    assert announced is None or (step is not None and step >= announced), f"step {announced} was announced, {step} is there"
    if (run / "weights.safetensors").exists():
        load_arrays(run / "weights.safetensors")  # raises for a checksum that does not hold
    for name in ("best.json", "finished.json"):
        if (run / name).exists():
            json.loads((run / name).read_text(encoding="utf-8"))
    check_figures(run)
    return step


def check_figures(run: Path) -> None:
    """Never two records of a step, and ascending: in the whole lines, also while a run is down."""
    lines = read_lines(run / "metrics.jsonl")
    assert lines.fault is None, lines.fault
    for key in ("loss", "dev"):
        steps = [row["step"] for row in lines.rows if key in row]
        assert steps == sorted(set(steps)), f"{key} of steps {steps}"
    timing = read_lines(run / "timing.jsonl")
    assert timing.fault is None, timing.fault


def train_to_the_end(
    server: Server, place: Path, arguments: list[str], stops: list[dict[str, Any]], *, tries: int = 12, **more: Any
) -> list[dict[str, Any]]:
    """``lic train`` in ``place / "run"``, with one of ``stops`` each time (``signals``, ``kill_after``, ``full_from``) and then without, until
    it ends by itself; checked after each. Returns what each attempt told."""
    told: list[dict[str, Any]] = []
    announced = None
    for attempt in range(tries):
        resume = ["--resume"] if attempt else []
        stop = stops[attempt] if attempt < len(stops) else {}
        told.append(server.ask(place, ["train", "event", "--run", "run", *arguments, *resume], **stop, **more))
        last = told[-1]
        announced = last["kept"] or announced
        if (place / "run").exists():
            check_while_down(place / "run", announced)
        if last["code"] == 0:
            return told
        assert stop, f"ended with {last['code']} {last['signal']}: {last['err']}"
    raise AssertionError(f"{tries} attempts and no end: {told[-1]['err']}")


def go(servers: list[Server], base: Path, plans: list[Any], check: Callable[[Server, Path, Any], None]) -> list[str]:
    """``check(server, place, plan)`` for every plan, on all servers at once; the faults, each with its plan. Places without one are removed."""
    faults, free = [], list(servers)

    def one(numbered: tuple[int, Any]) -> None:
        number, plan = numbered
        server, place = free.pop(), fresh(base / f"round{number}")
        try:
            check(server, place, plan)
            shutil.rmtree(place)
        except Exception as error:
            faults.append(f"round {number}, {plan}: {error!r}")
        finally:
            free.append(server)

    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(one, enumerate(plans)))
    return faults


def fresh(folder: Path) -> Path:
    """An empty folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
