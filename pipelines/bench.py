"""``lic bench``: how fast the parts are on this machine, beside what else does the same work."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import bench_components, bench_generation, bench_predict, bench_train

app = typer.Typer(help="How fast the parts are on this machine, beside what else does the same work.", no_args_is_help=True)
PEERS = ("tokenizers", "paddlenlp")
_TEXT_FILES = (".json", ".jsonl", ".txt")
app.command("components")(bench_components.command)
app.command("generation")(bench_generation.command)
app.command("train")(bench_train.command)
app.command("predict")(bench_predict.command)


def text(
    source: str | Path,
    vocabulary: str | Path,
    *,
    repeats: int = 5,
    slow_characters: int = 50_000,
    lower_case: bool = True,
    peers: Sequence[str] = PEERS,
) -> dict[str, Any]:
    """Characters a second of our tokenizer and its peers over the same texts, in one run on one core.

    Every repetition runs every candidate once, in turn, so that a busy moment of the machine strikes all alike; figures are medians.
    Our word cache starts empty in every repetition. PaddleNLP's Python tokenizer is slow: it gets the first texts up to
    ``slow_characters``. ``same_tokens`` is the share of texts whose ids equal ours; a peer that is not installed has a ``note`` instead
    of figures. Raises InputError for unreadable texts or vocabulary, ValueError for counts below 1 or an unknown peer.
    """
    from shared.environment import prepare
    from shared.text import Tokenizer, Vocabulary

    if repeats < 1 or slow_characters < 1:
        raise ValueError(f"repeats is {repeats} and slow_characters {slow_characters}; give 1 or more of both")
    unknown = sorted(set(peers) - set(PEERS))
    if unknown:
        raise ValueError(f"unknown peers {unknown}; give some of {list(PEERS)}")
    words = Vocabulary.from_file(vocabulary)
    texts = read_texts(Path(source))
    sample = _first(texts, slow_characters)
    machine = prepare()  # before paddlenlp brings paddle in
    with _one_core():
        ours = Tokenizer(words, lower_case=lower_case)
        candidates = _ours(words, lower_case, texts)
        notes: list[dict[str, Any]] = []
        for peer, make in (("tokenizers", _tokenizers), ("paddlenlp", _paddlenlp)):
            if peer in peers:
                try:
                    candidates += make(words, Path(vocabulary), lower_case, sample if peer == "paddlenlp" else texts)
                except ImportError as error:
                    notes.append({"name": peer, "note": f"not installed ({error})"})
        seconds: list[list[float]] = [[] for _ in candidates]
        for _ in range(repeats):
            for spent, candidate in zip(seconds, candidates, strict=True):
                run = candidate["prepare"]()
                began = time.perf_counter()
                run()
                spent.append(time.perf_counter() - began)
        expected = [encoding.ids.tolist() for encoding in ours.encode_batch(texts)]
        rows = [_row(candidate, spent, expected) for candidate, spent in zip(candidates, seconds, strict=True)]
    return {
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "repeats": repeats,
        "processor": machine.processor,
        "vocabulary_sha256": words.sha256,
        "rows": rows + notes,
    }


def read_texts(source: Path) -> list[str]:
    """The texts of a file, or of every .json, .jsonl and .txt file of a folder: JSON lines with a key ``text``, or plain lines.

    A file is JSON lines if its first line that is not blank begins with a brace. Blank lines hold no text. Raises
    InputError (LIC-B001 to LIC-B004) with file and line.
    """
    from shared.errors import input_error

    files = sorted(path for path in source.iterdir() if path.suffix in _TEXT_FILES) if source.is_dir() else [source]
    texts = [line for path in files for line in _read_file(path)]
    if not texts:
        kinds = "a file, or a folder with .json, .jsonl or .txt files,"
        raise input_error("LIC-B004", file=source, found="no texts", expected="at least one text", remedy=f"Give {kinds} that holds texts.")
    return texts


def _read_file(path: Path) -> list[str]:
    import json

    from shared.errors import input_error

    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        remedy = "Give the path of a file or folder of texts."
        raise input_error("LIC-B001", file=path, found=f"no readable file ({error.strerror})", expected="texts", remedy=remedy) from error
    except UnicodeDecodeError as error:
        remedy = "Convert the file to UTF-8."
        raise input_error("LIC-B002", file=path, found=f"a bad byte at {error.start}", expected="UTF-8", remedy=remedy) from error
    numbered = [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered or not numbered[0][1].lstrip().startswith("{"):
        return [line for _, line in numbered]
    texts = []
    for number, line in numbered:
        try:
            found = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:
            found = error
        if not isinstance(found, str):
            expected, remedy = 'an object with a string "text"', "Give JSON lines with that key, or plain lines of text."
            raise input_error("LIC-B003", file=path, line=number, found=line[:60], expected=expected, remedy=remedy)
        texts.append(found)
    return texts


def _first(texts: list[str], characters: int) -> list[str]:
    total = 0
    for index, one in enumerate(texts):
        total += len(one)
        if total >= characters:
            return texts[: index + 1]
    return texts


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Pins this thread to one of its cores where the platform can, and Hugging Face's worker pool to none."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        if cores:
            os.sched_setaffinity(0, {max(cores)})
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _candidate(
    name: str, offsets: bool, texts: list[str], prepare: Callable[[], Callable[[], Any]], ids: Callable[[Any], Sequence[int]]
) -> dict[str, Any]:
    """``prepare`` (not timed) returns what is timed; ``ids`` turns each item of its result into token ids, to compare with ours."""
    return {"name": name, "offsets": offsets, "texts": texts, "prepare": prepare, "ids": ids}


def _ours(words: Any, lower_case: bool, texts: list[str]) -> list[dict[str, Any]]:
    from shared.text import Tokenizer

    def batch() -> Callable[[], Any]:
        tokenizer = Tokenizer(words, lower_case=lower_case)
        return lambda: tokenizer.encode_batch(texts)

    def single() -> Callable[[], Any]:
        tokenizer = Tokenizer(words, lower_case=lower_case)
        return lambda: [tokenizer.encode(one) for one in texts]

    return [
        _candidate("ours, encode_batch", True, texts, batch, lambda encoding: encoding.ids.tolist()),
        _candidate("ours, encode", True, texts, single, lambda encoding: encoding.ids.tolist()),
    ]


def _tokenizers(words: Any, path: Path, lower_case: bool, texts: list[str]) -> list[dict[str, Any]]:
    from tokenizers import BertWordPieceTokenizer

    peer = BertWordPieceTokenizer({token: index for index, token in enumerate(words)}, lowercase=lower_case)
    if hasattr(peer._tokenizer, "encode_special_tokens"):
        peer._tokenizer.encode_special_tokens = True  # as ours: "[SEP]" written in a text is text

    def arrays(encoding: Any) -> tuple[list[int], list[tuple[int, int]]]:
        return encoding.ids, encoding.offsets  # only asking for them brings them into Python

    def batch() -> Any:
        return [arrays(encoding) for encoding in peer.encode_batch(texts, add_special_tokens=False)]

    def single() -> Any:
        return [arrays(peer.encode(one, add_special_tokens=False)) for one in texts]

    return [
        _candidate("tokenizers, encode_batch", True, texts, lambda: batch, lambda result: result[0]),
        _candidate("tokenizers, encode", True, texts, lambda: single, lambda result: result[0]),
    ]


def _paddlenlp(words: Any, path: Path, lower_case: bool, texts: list[str]) -> list[dict[str, Any]]:
    from paddlenlp.transformers import BertTokenizer

    peer = BertTokenizer(str(path), do_lower_case=lower_case)

    def encode(**options: Any) -> Any:
        return [peer(one, add_special_tokens=False, return_token_type_ids=False, **options)["input_ids"] for one in texts]

    return [
        _candidate("paddlenlp BertTokenizer", False, texts, lambda: encode, list),
        _candidate("paddlenlp BertTokenizer, offsets", True, texts, lambda: lambda: encode(return_offsets_mapping=True), list),
    ]


def _row(candidate: dict[str, Any], seconds: list[float], expected: list[list[int]]) -> dict[str, Any]:
    texts = candidate["texts"]
    characters = sum(map(len, texts))
    found = [list(candidate["ids"](item)) for item in candidate["prepare"]()()]
    same = sum(a == b for a, b in zip(found, expected[: len(texts)], strict=True))
    return {
        "name": candidate["name"],
        "offsets": candidate["offsets"],
        "characters": characters,
        "characters_per_second": characters / statistics.median(seconds),
        "slowest": characters / max(seconds),
        "fastest": characters / min(seconds),
        "same_tokens": same / len(texts),
    }


@app.command("text")
def text_command(
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help="texts: JSON lines with a key text, or plain lines; or a folder")],
    vocabulary: Annotated[Path, typer.Option("--vocab", metavar="FILE", help="vocab.txt, one token a line")],
    repeats: Annotated[int, typer.Option(min=1, help="repetitions of every candidate, in turn")] = 5,
    slow_characters: Annotated[int, typer.Option(min=1, help="what PaddleNLP's Python tokenizer gets of the texts")] = 50_000,
    cased: Annotated[bool, typer.Option("--cased", help="keep case and accents")] = False,
    peer: Annotated[list[str] | None, typer.Option(help="tokenizers or paddlenlp; may be repeated; default: both")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Tokenizers, characters a second on one core: ours, Hugging Face's, PaddleNLP's."""
    from shared.errors import input_error

    from .console import emit_json, table

    if peer and not set(peer) <= set(PEERS):
        raise input_error("LIC-B005", found=f"--peer {' '.join(peer)}", expected=" or ".join(PEERS), remedy="Name one of these.")
    report = text(source, vocabulary, repeats=repeats, slow_characters=slow_characters, lower_case=not cased, peers=peer or PEERS)
    if as_json:
        emit_json(report)
        return
    rows = []
    for row in report["rows"]:
        if "note" in row:
            rows.append([row["name"], row["note"], "", "", "", ""])
        else:
            median, slowest, fastest = (f"{row[key]:,.0f}" for key in ("characters_per_second", "slowest", "fastest"))
            offsets = "yes" if row["offsets"] else "no"
            rows.append([row["name"], median, f"{slowest} – {fastest}", offsets, f"{row['characters']:,}", f"{row['same_tokens']:.2%}"])
    title = (
        f"{report['texts']:,} texts, {report['characters']:,} characters, median of {report['repeats']}, one core of {report['processor']}"
    )
    table(title, ["tokenizer", "characters/s", "slowest – fastest", "offsets", "characters", "tokens as ours"], rows)
