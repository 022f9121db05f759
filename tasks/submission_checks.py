"""What every track's submission is held against: the records of the test file, and their texts word for word.

Codes: S005 records missing, S006 records unknown to the test file, S007 a span that is no part of its text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from shared.errors import Problem
from shared.text import occurrences

from .json_lines import Fields, quote

SHOWN = 5


def check_verbatim(found: str, span: str, text: str | None, fields: Fields, *, text_is: str = "text") -> None:
    """Reports S007 unless ``span`` stands in ``text`` (None: unknown, nothing to hold it against). ``found`` names the span for people."""
    if text is None or span in text:
        return
    remedy = f"Cut spans out of the original {text_is}, never out of a cleaned copy."
    if len(text.lower()) == len(text) and (places := occurrences(text.lower(), span.lower())):
        remedy = f"The {text_is} writes {quote(text[places[0] : places[0] + len(span)])}. {remedy}"
    fields.report("LIC-S007", found, f"a part of the {text_is}, word for word", remedy)


def compare_records(given: Iterable[str], wanted: Collection[str], file: str, against: str, *, records: str, remedy: str) -> list[Problem]:
    """S005 and S006: what the submission ``file`` lacks of the test file ``against``, and has beyond it.

    ``records`` says what the strings are (``ids``, ``texts``), ``remedy`` what to do about missing ones.
    """
    problems = []
    given = dict.fromkeys(given)
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    if missing:
        found = f"{len(missing)} of {len(wanted)} {records} of {against} missing: {_some(missing)}"
        problems.append(Problem("LIC-S005", found, f"all {records} of the test file", remedy, file))
    if unknown:
        found = f"{len(unknown)} {records} that {against} does not have: {_some(unknown)}"
        advice = "Predict the test file you compare with."
        if {_squeezed(name) for name in unknown} & {_squeezed(name) for name in missing}:
            advice = "Some differ in blanks or case only from missing ones: scorers find a record by its exact characters, so copy them."
        problems.append(Problem("LIC-S006", found, f"{records} of the test file only", advice, file))
    return problems


def _squeezed(name: str) -> str:
    return "".join(name.split()).lower()


def _some(names: list[str]) -> str:
    return ", ".join(quote(name) for name in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
