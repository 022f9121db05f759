"""Large files of JSON lines, read and turned into features chunk by chunk in several processes, as if they had been read whole.

What a chunk cannot know by itself comes together here, in the order of the file: line ends and encoding of the whole, ids that stand in two
chunks, and how many records come before. A chunk that was read without knowing enough is read again (there are few).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.errors import Problem
from shared.features.parts import join_parts
from shared.features.ragged import write_arrays
from shared.workers import run_in_order

from .base import Progress, ReadResult, Task
from .json_lines import Chunk, LineFacts, cut_chunks, in_order, parse_chunk
from .seen import Seen, hashes_of

if TYPE_CHECKING:
    from shared.text import Vocabulary

    from .recipe import FeatureSettings

CHUNK_BYTES = 2 << 20
"""Bytes of a file that are parsed at a time; a file of one chunk is read here, since a new process costs more."""


def in_chunks(task: Task, path: Path) -> bool:
    """Whether a file is read in more than one chunk."""
    return task.read_rows is not None and path.is_file() and path.stat().st_size > CHUNK_BYTES


@dataclass(frozen=True)
class Source:
    """A file to read; ``labelled`` as in :meth:`Task.read_records`."""

    task: Task
    path: Path
    schema: Any
    labelled: bool | None


@dataclass(frozen=True)
class Job:
    """``chunk``, of whose sound records the first ``take`` are wanted (None: all); ``earlier``: the line of ids, by hash, of earlier chunks.

    ``folder``: where features go.
    """

    chunk: Chunk
    take: int | None = None
    earlier: dict[int, int] = field(default_factory=dict)
    folder: Path | None = None


@dataclass
class ChunkRead:
    """What one chunk gave. ``problems``: those of its lines as JSON, and those of its records; ``hashes``, ``id_lines`` [k]: its ids.

    ``records`` counts its sound records, ``taken`` those that were wanted: they are ``values``, or features (with ``counts``) in the job's folder.
    """

    job: Job
    facts: LineFacts
    problems: tuple[list[Problem], list[Problem]]
    skipped: int
    hashes: np.ndarray
    id_lines: np.ndarray
    records: int
    taken: int = 0
    values: list[Any] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class ReadChunk:
    """Reads chunks of a source. ``gives``: what :attr:`ChunkRead.values` holds."""

    def __init__(self, source: Source, gives: Literal["records", "texts"]):
        self.source, self.gives = source, gives

    def __call__(self, job: Job) -> ChunkRead:
        read, records = self.read(job)
        read.values = records if self.gives == "records" else [self.source.task.text_of(record) for record in records]
        return read

    def read(self, job: Job) -> tuple[ChunkRead, list[Any]]:
        """What the chunk gave, and its wanted records."""
        task, path = self.source.task, str(self.source.path)
        if task.read_rows is None:
            raise TypeError(f"a file of the {task.name} track is not read by lines")
        with open(path, "rb") as file:
            file.seek(job.chunk.begin)
            data = file.read(job.chunk.size)
        with _without_collection():
            parsed, facts = parse_chunk(data, path, first=job.chunk.first, last=job.chunk.last)
            seen: dict[str, int] = {}
            made = task.read_rows(parsed.rows, path, self.source.schema, labelled=self.source.labelled, seen=seen)
            hashes = hashes_of(seen)  # [k]
            known = {identity: job.earlier[value] for identity, value in zip(seen, hashes.tolist(), strict=True) if value in job.earlier}
            if known:
                made = task.read_rows(parsed.rows, path, self.source.schema, labelled=self.source.labelled, seen=known)
        wanted = made.records[: job.take]
        read = ChunkRead(
            job,
            facts,
            (parsed.problems, made.problems),
            parsed.skipped + made.skipped,
            hashes,
            np.fromiter(seen.values(), dtype=np.int64, count=len(seen)),  # [k]
            len(made.records),
            len(wanted),
        )
        return read, wanted


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Half the time of parsing goes into looking for cycles in objects that have none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class FeaturiseChunk(ReadChunk):
    """Writes the features of the wanted records of a chunk into the job's folder."""

    def __init__(self, source: Source, vocabulary: Vocabulary, lower_case: bool, settings: FeatureSettings):
        from shared.text import Tokenizer

        super().__init__(source, "records")
        self.tokenizer, self.settings = Tokenizer(vocabulary, lower_case=lower_case), settings

    def __call__(self, job: Job) -> ChunkRead:
        read, records = self.read(job)
        if records and job.folder is not None:
            features = self.source.task.make_features(records, self.source.schema, self.tokenizer, self.settings)
            read.counts = features.counts()
            job.folder.mkdir(parents=True, exist_ok=True)
            write_arrays(job.folder, features.arrays(), {}, durable=False)
        return read


class _Together:
    """What the chunks so far say together."""

    def __init__(self) -> None:
        self.facts = LineFacts()
        self.problems: tuple[list[Problem], list[Problem]] = ([], [])
        self.skipped = self.records = 0
        self._seen = Seen()

    def earlier(self, read: ChunkRead) -> dict[int, int]:
        """The line, by hash, of those ids of a chunk that stand in an earlier one."""
        lines = self._seen.find(read.hashes)  # [k]
        there = lines >= 0  # [k]
        return dict(zip(read.hashes[there].tolist(), lines[there].tolist(), strict=True))

    def add(self, read: ChunkRead) -> None:
        self.facts.add(read.facts)
        for mine, theirs in zip(self.problems, read.problems, strict=True):
            mine += theirs
        self.skipped += read.skipped
        self.records += read.records
        self._seen.add(read.hashes, read.id_lines)

    def result(self, name: str) -> ReadResult:
        """All of :meth:`Task.read_records` but the records."""
        of_lines, of_records = self.problems
        return ReadResult([], in_order([*self.facts.whole_file(of_lines, name), *of_records]), self.skipped)


def _in_order(
    jobs: Iterable[Job], build: type[ReadChunk], arguments: tuple, together: _Together, *, limit: int | None, workers: int
) -> Iterator[ChunkRead]:
    """Every chunk as it is once all chunks before it are known."""
    again: ReadChunk | None = None
    for read in run_in_order(build, arguments, jobs, workers=workers):
        earlier = together.earlier(read)
        wanted = None if limit is None else max(limit - together.records, 0)
        if earlier or (wanted and wanted < read.taken):
            again = again or build(*arguments)
            read = again(Job(read.job.chunk, read.job.take if wanted is None else wanted, earlier, read.job.folder))
        if wanted == 0:
            read.taken, read.values = 0, []
        together.add(read)
        yield read


def stream(
    source: Source, *, texts: bool = False, workers: int = 1, chunk_bytes: int | None = None, progress: Progress | None = None
) -> Generator[Any, None, ReadResult]:
    """Yields the sound records of a file (``texts``: their texts) and returns what :meth:`Task.read_records` says beside them.

    Memory holds a few chunks of the file, and 16 bytes an id. A file that is not read by lines is read whole. ``progress`` counts lines.
    """
    if source.task.read_rows is None or not source.path.is_file() or source.path.stat().st_size == 0:
        result = source.task.read_records(source.path, source.schema, labelled=source.labelled)
        for record in result.records:
            yield source.task.text_of(record) if texts else record
        return ReadResult([], result.problems, result.skipped)
    chunks, together = cut_chunks(source.path, chunk_bytes or CHUNK_BYTES), _Together()
    lines, arguments = sum(chunk.lines for chunk in chunks), (source, "texts" if texts else "records")
    for read in _in_order(map(Job, chunks), ReadChunk, arguments, together, limit=None, workers=min(workers, len(chunks))):
        yield from read.values
        if progress is not None:
            progress(min(together.facts.lines, lines), lines)
    return together.result(str(source.path))


@dataclass(frozen=True)
class Made:
    """What was made of a file: ``records`` of its ``in_file`` sound ones became features; ``problems`` of the file, ``skipped`` bad records."""

    records: int
    in_file: int
    problems: list[Problem]
    skipped: int

    def as_meta(self) -> dict[str, int]:
        """What the features' manifest says of it."""
        return {"records": self.records, "in_file": self.in_file, "problems": len(self.problems), "skipped": self.skipped}


def make_features_in_chunks(
    source: Source,
    vocabulary: Vocabulary,
    lower_case: bool,
    settings: FeatureSettings,
    target: Path,
    parts: Path,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    workers: int = 1,
    chunk_bytes: int | None = None,
    progress: Progress | None = None,
) -> Made:
    """Writes the features of a file of JSON lines, of its first ``limit`` sound records, into the empty folder ``target``.

    They equal what :meth:`Task.make_features` gives for all records at once, whatever the size of a chunk and the number of ``workers``. The whole
    file is read for its problems. Where there are any that are not to be skipped, or no record is left, ``target`` stays empty.
    ``parts``: a folder for what is not joined yet. ``progress`` counts lines.
    """
    chunks, together = cut_chunks(source.path, chunk_bytes or CHUNK_BYTES), _Together()

    def jobs() -> Iterator[Job]:
        for number, chunk in enumerate(chunks):
            spoilt = not skip_bad and any(together.problems)
            take = 0 if spoilt else None if limit is None else max(limit - together.records, 0)
            yield Job(chunk, take, folder=parts / str(number))

    lines = sum(chunk.lines for chunk in chunks)
    kept: list[tuple[Path, int, dict[str, int]]] = []
    arguments = (source, vocabulary, lower_case, settings)
    for read in _in_order(jobs(), FeaturiseChunk, arguments, together, limit=limit, workers=min(workers, len(chunks))):
        if read.taken and read.job.folder is not None:
            kept.append((read.job.folder, read.taken, read.counts))
        if progress is not None:
            progress(min(together.facts.lines, lines), lines)
    result, taken = together.result(str(source.path)), [count for _, count, _ in kept]
    made = Made(sum(taken), together.records, result.problems, result.skipped)
    if kept and (skip_bad or not made.problems):
        counts = {name: sum(counted[name] for *_, counted in kept) for name in kept[0][2]}
        before = (np.cumsum(taken) - taken).tolist()  # [parts]
        join_parts([folder for folder, *_ in kept], target, {**made.as_meta(), **counts}, shifts={"windows": before})
    return made
