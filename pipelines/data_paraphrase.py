"""``lic data paraphrase``: other words for the questions of a reading file, from sources that are named, judged by a model if one is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import InputError, input_error

from .console import emit_json, progress, say, table

if TYPE_CHECKING:
    from shared.similarity import SimBERT
    from tasks.reading.paraphrases import Paraphrase

Candidates = dict[str, list[tuple[str, str]]]
"""(other words, source) by question"""

_NEAREST = 10
"""Texts of a pool that are looked at for a question."""


def paraphrase(
    file: Path,
    out: Path,
    *,
    rules: bool = True,
    pairs: Sequence[Path] = (),
    pool: Sequence[Path] = (),
    model: Path | None = None,
    generate: int = 0,
    threshold: float = 0.9,
    most: int = 5,
    seed: int = 0,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Writes paraphrases of the different questions of ``file`` to ``out`` and says from where they come.

    ``rules``: :func:`tasks.reading.rephrase.rephrase`. ``pairs``: files of labelled pairs (JSON lines with ``text``, ``pair`` and ``label``;
    without a label a pair counts as one of equal meaning) that hold the very question. ``pool``: files of pairs or of one text a line, whose texts
    are searched by ``model``; ``generate``: so many draws of ``model`` a question. ``model``: a SimBERT or any encoder folder
    (:meth:`shared.similarity.SimBERT.from_pretrained`); of every source only words with a cosine of at least ``threshold`` to the question stay.

    Never kept: words in which numbers, Latin words or negations differ from the question's (of other sources than the rules, which change none).
    At most ``most`` a question: those of the rules first, as the rules go, then by score.
    """
    from tasks.reading.rephrase import rephrase, same_anchors
    from tasks.registry import get_task

    from .data_files import read_split

    _check_sources(rules, pairs, pool, model, generate, out)
    records = read_split(get_task("reading"), file, None, labelled=False, skip_bad=skip_bad)
    questions = list(dict.fromkeys(record.question for record in records))
    found: Candidates = {question: [] for question in questions}
    if rules:
        for question in questions:
            found[question] += [(text, f"rule: {rule}") for rule, text in rephrase(question)]
    if pairs:
        _from_pairs(found, pairs)
    judge = _open_model(model, generate) if model is not None else None
    if judge is not None and pool:
        _from_pool(found, pool, judge, threshold)
    if judge is not None and generate:
        _generated(found, judge, generate, seed)
    told = sum(map(len, found.values()))
    for question, others in found.items():
        found[question] = [(text, source) for text, source in others if source.startswith("rule: ") or same_anchors(question, text)]
    sound = sum(map(len, found.values()))
    known = _judged(found, judge, threshold, most)
    return _written(out, known, {"questions": len(questions), "candidates": told, "other_numbers": told - sound, "model": model and str(model)})


def _check_sources(rules: bool, pairs: Sequence[Path], pool: Sequence[Path], model: Path | None, generate: int, out: Path) -> None:
    if not (rules or pairs or pool or generate):
        raise input_error("LIC-X023", found="no source", expected="rules, --pairs, --pool or --generate", remedy="Leave --no-rules out.")
    if (pool or generate) and model is None:
        found = f"{'--pool' if pool else '--generate'} without --model"
        raise input_error("LIC-X023", found=found, expected="a model that tells which texts are near", remedy="Give --model FOLDER.")
    if out.is_dir():
        raise input_error("LIC-U016", file=out, found="a folder", expected="a file for the paraphrases", remedy="Name a file in it.")


def _open_model(folder: Path, generate: int) -> SimBERT:
    from shared.similarity import SimBERT

    found = SimBERT.from_pretrained(folder)
    found.eval()
    if generate and "language_model_head" in found.new_parts:
        raise input_error(
            "LIC-X023",
            file=folder,
            found="an encoder without a language-model head",
            expected="a SimBERT, which writes other words for a text",
            remedy="Leave --generate out, or train one on question pairs.",
        )
    if "pooler" in found.new_parts:
        found.pooling = "mean"  # the first token of an encoder that was trained for something else says little
        say(f"{folder}: no SimBERT; texts are compared by the mean of its token vectors.")
    return found


def _from_pairs(found: Candidates, files: Sequence[Path]) -> None:
    for text, other in _pairs(files, labels=(None, 1)):
        for question, words in ((text, other), (other, text)):
            if question in found:
                found[question].append((words, "pairs"))


def _from_pool(found: Candidates, files: Sequence[Path], model: SimBERT, threshold: float) -> None:
    from shared.similarity import RetrievalIndex

    texts = list(dict.fromkeys(text for file in files for text in _texts(file)))
    index = RetrievalIndex(_encoded(model, texts, "pool"), texts)
    ids, scores = index.search(_encoded(model, list(found), "questions"), min(_NEAREST, len(index)))  # [q, k], [q, k]
    for question, near, cosines in zip(found, ids.tolist(), scores.tolist(), strict=True):
        found[question] += [(texts[at], "pool") for at, cosine in zip(near, cosines, strict=True) if cosine >= threshold]


def _generated(found: Candidates, model: SimBERT, draws: int, seed: int) -> None:
    from shared.similarity import generate_synonyms

    questions = list(found)
    with progress("other words") as advance:
        for begin in range(0, len(questions), 64):
            some = questions[begin : begin + 64]
            for question, drawn in zip(some, generate_synonyms(model, some, n=draws, best=draws, seed=seed), strict=True):
                found[question] += [(one.text, "generated") for one in drawn]
            advance(begin + len(some), len(questions))


def _judged(found: Candidates, model: SimBERT | None, threshold: float, most: int) -> dict[str, list[Paraphrase]]:
    from tasks.reading.paraphrases import Paraphrase

    kept = {question: list(dict.fromkeys((text, source) for text, source in others if text != question)) for question, others in found.items()}
    scores: dict[str, list[float | None]] = {question: [None] * len(others) for question, others in kept.items()}
    if model is not None:
        texts = list(dict.fromkeys(text for question, others in kept.items() for text in (question, *(words for words, _ in others))))
        vectors = dict(zip(texts, _encoded(model, texts, "paraphrases"), strict=True))
        scores = {question: [float(vectors[question] @ vectors[words]) for words, _ in others] for question, others in kept.items()}
    judged: dict[str, list[Paraphrase]] = {}
    for question, others in kept.items():
        made: dict[str, Paraphrase] = {}
        for (words, source), score in zip(others, scores[question], strict=True):
            if score is None or score >= threshold:
                made.setdefault(words, Paraphrase(words, source, None if score is None else round(score, 4)))
        judged[question] = sorted(made.values(), key=_rank)[:most]
    return judged


def _rank(one: Paraphrase) -> tuple[bool, float]:
    ruled = one.source.startswith("rule: ")
    return not ruled, 0.0 if ruled or one.score is None else -one.score


def _written(out: Path, known: dict[str, list[Paraphrase]], counts: dict[str, Any]) -> dict[str, Any]:
    from tasks.reading.paraphrases import write_paraphrases

    sources: dict[str, int] = {}
    for others in known.values():
        for other in others:
            sources[other.source] = sources.get(other.source, 0) + 1
    write_paraphrases(out, known)
    with_words = sum(map(bool, known.values()))
    ranked = dict(sorted(sources.items(), key=lambda source: (-source[1], source[0])))
    return {"file": str(out), **counts, "with_paraphrases": with_words, "paraphrases": sum(sources.values()), "per_source": ranked}


def _encoded(model: SimBERT, texts: Sequence[str], what: str) -> Any:
    import numpy as np

    vectors = []
    with progress(f"vectors of {what}") as advance:
        for begin in range(0, len(texts), 4096):
            vectors.append(model.encode(texts[begin : begin + 4096]))  # [b, h]
            advance(min(begin + 4096, len(texts)), len(texts))
    return np.concatenate(vectors)  # [n, h]


def _pairs(files: Iterable[Path], *, labels: tuple[int | None, ...]) -> Iterable[tuple[str, str]]:
    for file in files:
        for row in _rows(file):
            text, other, label = row.get("text"), row.get("pair"), row.get("label")
            if not isinstance(text, str) or not isinstance(other, str):
                keys = ", ".join(map(str, row))
                remedy = "Give pairs as {“text”: …, “pair”: …, “label”: 1}."
                raise input_error("LIC-D010", file=file, found=f"a line with the keys {keys}", expected="“text” and “pair”", remedy=remedy)
            if label in labels and text.strip() and other.strip():
                yield text, other


def _rows(file: Path) -> list[dict[str, Any]]:
    from tasks.json_lines import file_problem, read_json_lines

    what = "pairs of texts, one JSON object a line"
    if problem := file_problem(file, what=what):
        raise InputError(problem)
    lines = read_json_lines(file, what=what)
    if lines.problems:
        raise InputError(*lines.problems)
    return [row for _, row in lines.rows]


def _texts(file: Path) -> list[str]:
    """Both sides of pairs, whatever their label; else every line is a text."""
    from tasks.json_lines import file_problem, visible

    if problem := file_problem(file, what="pairs of texts, or one text a line"):
        raise InputError(problem)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        found = f"the byte {error.object[error.start]:02X}, which is not UTF-8"
        raise input_error("LIC-D004", file=file, found=found, expected="UTF-8", remedy="Convert the file.") from error
    if lines and lines[0].lstrip().startswith("{"):
        texts = [text for pair in _pairs([file], labels=(None, 0, 1)) for text in pair]
    else:
        texts = [line.strip() for line in lines]
    return [text for text in texts if visible(text)]


def command(
    file: Annotated[Path, typer.Argument(help="a file of the reading track, or one shaped like it")],
    out: Annotated[Path, typer.Option(help="where to write the paraphrases, JSON lines")],
    rules: Annotated[bool, typer.Option("--rules/--no-rules", help="rewrite by rules that keep the meaning")] = True,
    pairs: Annotated[list[Path] | None, typer.Option(help="labelled pairs that may hold the very question; repeatable")] = None,
    pool: Annotated[list[Path] | None, typer.Option(help="pairs, or a text a line, to search for near questions; repeatable")] = None,
    model: Annotated[Path | None, typer.Option(help="SimBERT or encoder folder that judges what is found")] = None,
    generate: Annotated[int, typer.Option(min=0, help="let the SimBERT write so many drafts a question")] = 0,
    threshold: Annotated[float, typer.Option(min=-1, max=1, help="least cosine to the question, with --model")] = 0.9,
    most: Annotated[int, typer.Option(min=1, help="paraphrases a question at most")] = 5,
    seed: Annotated[int, typer.Option(help="of the drafts")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad records out, with a count")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Write other words for the questions of a reading file: for training.paraphrases, and for lic evaluate reading --paraphrases."""
    sources: dict[str, Any] = {"rules": rules, "pairs": pairs or (), "pool": pool or (), "model": model, "generate": generate}
    report = paraphrase(file, out, **sources, threshold=threshold, most=most, seed=seed, skip_bad=skip_bad)
    if as_json:
        emit_json(report)
        return
    rows = [list(row) for row in report["per_source"].items()]
    table(f"{report['with_paraphrases']} of {report['questions']} questions", ["source", "paraphrases"], rows)
    if report["other_numbers"]:
        say(f"{report['other_numbers']} left out: other numbers, Latin words or negations than the question's.")
    typer.echo(f"{out}\t{json.dumps(report['paraphrases'])} paraphrases of {report['with_paraphrases']} questions")
