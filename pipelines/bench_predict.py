"""``lic bench predict``: from a file of texts to a file of answers, beside PaddleNLP, PyTorch and ONNX Runtime with the same weights."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from .bench_processes import Child, bare_environment, check_peers, tuned_environment

PEERS = ("paddlenlp", "torch", "onnxruntime")
ENGINES = ("eager", "static", "onnx")
TOLERANCE = 1e-3
"""How far a peer's scores may be from ours on real texts."""

_OURS, _PEERS = (Path(__file__).with_name(f"bench_predict_{name}.py") for name in ("child", "peers"))


def predicting(
    track: str = "event",
    *,
    run: Path | None = None,
    input: Path | None = None,
    data: Path | None = None,
    texts: int = 250,
    few: int = 24,
    repeats: int = 5,
    latencies: int = 200,
    engines: Sequence[str] = ENGINES,
    peers: Sequence[str] = PEERS,
    torch_python: str | None = None,
) -> dict[str, Any]:
    """Texts a second end to end and through the network alone, latency of single texts and peak memory: ours by engine, and the peers'.

    ``run``: default the track's latest; ``input``: an official file, default dev in ``data`` (default: what the run was trained on). ``texts`` of
    it are read, evenly from short to long (0: all); PaddleNLP as its examples run it is slow and reads ``few`` of them. ``torch_python``: the
    interpreter that has torch and transformers, default: this one.

    Every candidate is a process of its own that has warmed up; every repetition lets each in turn read the file, run the network alone and
    read single texts while the others wait, so that a busy moment strikes all alike; figures are medians. All get the same number of threads.
    Ours do what ``lic predict`` does once a run is open: read the file, tokenise, batch, run, decode, write and check the zip. Exported models
    read and write JSON lines, without ``lic``. The peers run the same tagger with the same weights under a decode of each token's best tags, and
    write JSON lines: less than ours do. Their scores on real texts are compared with ours before anything is timed. Models that are no tagger
    have no peers.

    ``text_share``: the part of the end-to-end time in which no network runs. ``share_of_peak``: matrix products of the network alone over the
    fastest product measured in the same run. ``aims``: what was hoped for, and whether it was reached.

    Raises InputError for unreadable files and unknown engines, ValueError for counts below 1 or unknown peers, WorkError when one of our own fails
    or a peer computes something else (LIC-B010).
    """
    from shared.environment import prepare

    if min(few, repeats, latencies) < 1 or texts < 0:
        raise ValueError("few, repeats and latencies must be above 0, texts at least 0")
    unknown = sorted({*peers, *engines} - {*PEERS, *ENGINES})
    if unknown:
        raise ValueError(f"unknown peers or engines {unknown}; give some of {[*PEERS, *ENGINES]}")
    folder, file = _find(track, run, input, data)
    machine = prepare()
    with tempfile.TemporaryDirectory(prefix="lic-bench-") as name, ExitStack() as running:
        place = Path(name)
        count = thin(file, place / "all.json", texts)
        thin(place / "all.json", place / "few.json", few)
        settings = {"track": track, "run": str(folder.resolve()), "texts": count, "threads": machine.threads}
        (place / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        field = Field(place, running, machine.threads, torch_python or sys.executable)
        why = field.add_ours(engines)
        if why:
            field.rows += [{"name": peer, "note": why} for peer in peers]
        else:
            field.add_peers(peers)
            field.check()
        peaks = []
        for repeat in range(repeats):
            for candidate in field.candidates:
                candidate.measure(repeat, -(-latencies // repeats))
            peaks.append(field.candidates[0].ask("peak")["peak"])
        rows = [candidate.row(max(peaks)) for candidate in field.candidates]
    report = {
        "track": track,
        "run": str(folder),
        "design": field.candidates[0].about["design"],
        "input": str(file),
        "texts": count,
        "few": min(few, count),
        "repeats": repeats,
        "threads": machine.threads,
        "processor": machine.processor,
        "peak_gflops": max(peaks) / 1e9,
        "rows": rows + field.rows,
    }
    return {**report, "aims": aims(report["rows"])}


class Field:
    """The candidates of one run, in the order in which they are measured; ``rows``: notes on those that cannot be."""

    def __init__(self, place: Path, running: ExitStack, threads: int, torch_python: str):
        self.place, self.running, self.threads, self.torch_python = place, running, threads, torch_python
        self.candidates: list[Candidate] = []
        self.rows: list[dict[str, Any]] = []

    def add(
        self, name: str, child: str, environment: dict[str, str], *, group: str, python: str = sys.executable, script: Path = _PEERS
    ) -> Candidate | None:
        candidate = Candidate(script, [child, str(self.place)], name=name, python=python, environment=environment)
        self.running.enter_context(candidate)
        candidate.wait()
        candidate.group = group
        if candidate.note:
            self.rows.append({"name": name, "note": candidate.note})
            return None
        self.candidates.append(candidate)
        return candidate

    def add_ours(self, engines: Sequence[str]) -> str:
        """``eager`` comes first and lends the others what they need. Says why there can be no peers."""
        first = self.add("lic, eager", "eager", dict(os.environ), group="lic", script=_OURS)
        assert first is not None, self.rows
        why = first.ask("lend").get("note", "")
        for engine in engines:
            if engine == "eager":
                continue
            first.ask(f"record {engine}")
            if self.add(f"lic, {engine}", engine, dict(os.environ), group="lic", script=_OURS):
                first.ask(f"export {engine}")
                self.add(f"lic export, {engine}", f"exported-{engine}", dict(os.environ), group="export")
        return str(why)

    def add_peers(self, peers: Sequence[str]) -> None:
        threads = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        shell = {**bare_environment(), **threads}
        if "paddlenlp" in peers:
            self.add("PaddleNLP, its event example", "paddlenlp-event", shell, group="example")
            self.add("PaddleNLP, its relation example", "paddlenlp-relation", shell, group="example")
            self.add("PaddleNLP, by length, MKL path", "paddlenlp-tuned", tuned_environment(self.threads), group="paddlenlp")
        torch = None
        if "torch" in peers or "onnxruntime" in peers:
            torch = self.add("PyTorch, sdpa", "torch", shell, group="peer", python=self.torch_python)
        if "onnxruntime" in peers:
            made = {"files": [], "notes": ["PyTorch is not there to export"]} if torch is None else torch.ask("export")
            if made["files"]:
                self.add("ONNX Runtime, torch export", "onnxruntime", shell, group="peer")
            else:
                self.rows.append({"name": "ONNX Runtime, torch export", "note": "; ".join(made["notes"])})

    def check(self) -> None:
        """Compares the scores of all on the same real texts. Raises WorkError (LIC-B010)."""
        import numpy as np

        from shared.errors import work_error

        real = np.load(self.place / "check.npy")[:, 2:] != 0  # [b, l - 2]: at the last token of every row and before
        expected = None
        for number, candidate in enumerate(one for one in self.candidates if one.group != "export"):
            candidate.ask(f"check {number}")
            scores = np.load(self.place / f"check-{number}.npy")  # [b, l - 2, r, k]
            expected = scores if expected is None else expected
            apart = float(np.abs(scores - expected)[real].max()) if scores.shape == expected.shape else float("inf")
            if not apart <= TOLERANCE:
                raise work_error(
                    "LIC-B010",
                    found=f"{candidate.name}: scores that differ by up to {apart:.2g}",
                    expected=f"the scores of lic to {TOLERANCE:g}, on the same texts",
                    remedy="Leave that peer out with --peer: its times would say nothing.",
                )
            candidate.about["largest_difference"] = apart


class Candidate(Child):
    """A child process that reads the file, runs its network and reads single texts when it is asked to."""

    group = "peer"

    def __init__(self, *given: Any, **more: Any):
        super().__init__(*given, **more)
        self.ends: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = []
        self.milliseconds: list[float] = []

    def measure(self, repeat: int, singles: int) -> None:
        self.ends.append(self.ask("end"))
        slow = self.group == "example"
        if self.group != "export" and not slow and (alone := self.ask("model")):
            self.models.append(alone)
        singles = min(singles, 2) if slow else singles
        self.milliseconds += self.ask(f"latency {repeat * singles} {singles}")["milliseconds"]

    def row(self, peak: float) -> dict[str, Any]:
        speeds = sorted(one["texts"] / one["elapsed"] for one in self.ends)
        found: dict[str, Any] = {
            "name": self.name,
            "group": self.group,
            **{key: self.about[key] for key in ("version", "padding", "batch", "peak_memory_mib", "largest_difference") if key in self.about},
            "texts": self.ends[0]["texts"],
            "texts_per_second": statistics.median(speeds),
            "slowest": speeds[0],
            "fastest": speeds[-1],
            "latency_ms": {"p50": _percentile(self.milliseconds, 50), "p99": _percentile(self.milliseconds, 99), "texts": len(self.milliseconds)},
        }
        if "network" in self.ends[0]:
            found["text_share"] = statistics.median(1 - one["network"] / one["elapsed"] for one in self.ends)
        # what is too slow or too much to run again has the network's own time within the whole
        alone = self.models or [{**one, "elapsed": one["network"]} for one in self.ends if "network" in one]
        if alone:
            elapsed = statistics.median(one["elapsed"] for one in alone)
            found["model"] = {
                "texts_per_second": alone[0]["texts"] / elapsed,
                "real_tokens_per_second": alone[0]["tokens"] / elapsed,
                "padded_tokens_per_second": alone[0]["padded_tokens"] / elapsed,
                "padded_tokens_per_real_one": alone[0]["padded_tokens"] / alone[0]["tokens"],
            }
            if "flops" in alone[0]:
                found["share_of_peak"] = {kind: value / elapsed / peak for kind, value in alone[0]["flops"].items()}
        return found


def aims(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was hoped for (``aim``), what was ``found``, and whether that is ``reached``; left out where there is nothing to compare with.

    ``lic`` is what ``lic predict`` and ``lic export`` take by themselves: ONNX Runtime if it was measured, else a static graph, else eager.
    """
    timed = [row for row in rows if "note" not in row]
    by_name = {row["name"]: row for row in timed}
    kind = next((kind for kind in ("onnx", "static", "eager") if f"lic, {kind}" in by_name), None)
    if kind is None:
        return []
    ours = by_name[f"lic, {kind}"]
    single = by_name.get(f"lic export, {kind}", ours)
    found = []

    def add(aim: str, value: float, reached: bool) -> None:
        found.append({"aim": aim, "found": value, "reached": reached})

    for row in timed:
        if row["group"] == "example":
            ratio = ours["texts_per_second"] / row["texts_per_second"]
            add(f"end to end at least 40 times {row['name']}", ratio, ratio >= 40)
    best = max((row for row in timed if row["group"] == "peer"), key=lambda row: row["texts_per_second"], default=None)
    if best is not None:
        ratio = ours["texts_per_second"] / best["texts_per_second"]
        add(f"end to end at least 1.1 times the best of the others ({best['name']})", ratio, ratio >= 1.1)
        quick = min((row for row in timed if row["group"] == "peer"), key=lambda row: row["latency_ms"]["p50"])
        for which in ("p50", "p99"):
            ratio = single["latency_ms"][which] / quick["latency_ms"][which]
            add(f"{which} of single texts no more than that of {quick['name']}", ratio, ratio <= 1)
    add("text handling and decoding at most 0.15 of the time", ours["text_share"], ours["text_share"] <= 0.15)
    return found


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def thin(source: Path, target: Path, count: int) -> int:
    """Writes ``count`` records of an official file, evenly from short to long and in the order of the file (0: all); returns how many."""
    text = source.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("{") and '"paragraphs"' in text[:1000]:
        said = json.loads(text)
        units = [{**part, "paragraphs": [one]} for part in said["data"] for one in part["paragraphs"]]
        kept = _evenly([len(one["paragraphs"][0]["context"]) for one in units], count)
        target.write_text(json.dumps({**said, "data": [units[index] for index in kept]}, ensure_ascii=False), encoding="utf-8")
        return sum(len(one["qas"]) for index in kept for one in units[index]["paragraphs"])
    lines = [line for line in text.split("\n") if line.strip()]
    kept = _evenly([_size(line) for line in lines], count)
    target.write_text("".join(lines[index] + "\n" for index in kept), encoding="utf-8")
    return len(kept)


def _size(line: str) -> int:
    """Characters of a record's text; of a line that is none those of the line, for whoever reads the file to complain about."""
    try:
        return len(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError):
        return len(line)


def _evenly(sizes: Sequence[int], count: int) -> list[int]:
    if not 0 < count < len(sizes):
        return list(range(len(sizes)))
    order = sorted(range(len(sizes)), key=lambda index: sizes[index])
    return sorted(order[(2 * number + 1) * len(sizes) // (2 * count)] for number in range(count))


def _find(track: str, run: Path | None, input: Path | None, data: Path | None) -> tuple[Path, Path]:
    """The run's folder and the file of texts. Raises InputError for an ensemble too (LIC-B011), and for a file with bad records."""
    from shared.errors import InputError, input_error
    from tasks.official import find_split
    from tasks.registry import get_task

    from .data_files import data_folder
    from .run_folder import ENSEMBLE, find_run, stored_run

    folder = find_run(track, run)
    if (folder / ENSEMBLE).is_file():
        raise input_error("LIC-B011", file=folder, found="an ensemble", expected="one run", remedy="Name one of its members with --run.")
    file = input or find_split(track, data_folder(track, data or stored_run(folder, track).data), "dev")
    found = get_task(track).read_records(file, None, labelled=False)
    if found.problems:
        raise InputError(*found.problems)
    if not found.records:
        raise input_error("LIC-B004", file=file, found="no texts", expected="at least one text", remedy="Name another file with --input.")
    return folder, file


def command(
    track: Annotated[str, typer.Argument(help="relation, event or reading")] = "event",
    run: Annotated[Path | None, typer.Option(help="run folder; default the track's latest")] = None,
    input: Annotated[Path | None, typer.Option(help="an official file of texts; default dev")] = None,
    data: Annotated[Path | None, typer.Option(help="data folder; default the one the run was trained on")] = None,
    texts: Annotated[int, typer.Option(min=0, help="texts of the file, evenly from short to long; 0 for all")] = 250,
    few: Annotated[int, typer.Option(min=1, help="what PaddleNLP gets of them as its examples run it")] = 24,
    repeats: Annotated[int, typer.Option(min=1, help="repetitions of every candidate, in turn")] = 5,
    latencies: Annotated[int, typer.Option(min=1, help="single texts that are timed in all")] = 200,
    engine: Annotated[list[str] | None, typer.Option(help="static or onnx, beside eager; may be repeated; default: both")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="paddlenlp, torch, onnxruntime or none; may be repeated; default: all")] = None,
    torch_python: Annotated[str | None, typer.Option(metavar="PATH", help="the Python that has torch and transformers; default: this one")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """From texts to answers, end to end and model alone: lic by engine, PaddleNLP's examples, PyTorch, ONNX Runtime."""
    from .console import emit_json
    from .engines import check_engine

    for name in engine or ():
        check_engine(name)
    report = predicting(
        track,
        run=run,
        input=input,
        data=data,
        texts=texts,
        few=few,
        repeats=repeats,
        latencies=latencies,
        engines=engine or ENGINES,
        peers=check_peers(peer, PEERS),
        torch_python=torch_python,
    )
    if as_json:
        emit_json(report)
        return
    _show(report)


def _show(report: dict[str, Any]) -> None:
    from .console import table

    rows = []
    for row in report["rows"]:
        if "note" in row:
            rows.append([row["name"], row["note"], *[""] * 8])
            continue
        model, share, latency = row.get("model", {}), row.get("share_of_peak"), row["latency_ms"]
        rows.append(
            [
                row["name"],
                f"{row['texts_per_second']:.1f} ({row['slowest']:.1f} – {row['fastest']:.1f})",
                f"{model['texts_per_second']:.1f}" if model else "",
                f"{model['real_tokens_per_second']:,.0f}" if model else "",
                f"{model['padded_tokens_per_real_one']:.2f}" if model else "",
                f"{share['real']:.0%}" if share else "",
                f"{latency['p50']:.1f} / {latency['p99']:.1f}",
                f"{row['text_share']:.1%}" if "text_share" in row else "",
                f"{row['peak_memory_mib']:,}" if row.get("peak_memory_mib") else "",
                row["batch"],
            ]
        )
    title = (
        f"{report['track']} {report['design']}, {report['texts']:,} texts of {report['input']} ({report['few']} for PaddleNLP's examples); "
        f"median of {report['repeats']}; {report['threads']} threads of {report['processor']}, "
        f"matrix products up to {report['peak_gflops']:.0f} GFLOP/s"
    )
    columns = ["candidate", "texts/s, end to end", "texts/s, model", "real tokens/s", "padded / real", "of the peak"]
    table(title, [*columns, "ms a text, p50 / p99", "no network runs", "MiB at most", "batch"], rows)
    for aim in report["aims"]:
        print(f"{'reached' if aim['reached'] else 'not reached'}: {aim['aim']}: {aim['found']:.2f}")
