"""Reads texts with the exported model in this folder and says what is found in them, one JSON object a line.

    python predict.py "text" [--question "question"]
    python predict.py --input FILE [--output FILE]

FILE holds JSON lines with a key "text" (and "question" for a reading model), or one text a line. Needs numpy, and onnxruntime or paddle.
From Python: put the folder lib/ beside this file on sys.path, then `from tasks.extraction import Extractor`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))


def read_rows(lines: Iterable[bytes], name: str) -> Iterator[dict[str, object]]:
    """The objects of JSON lines, or {"text": line} of plain ones: the first line decides. Raises ValueError with the number of a bad line."""
    plain = None
    for number, data in enumerate(lines, 1):
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            if not line.strip():
                continue
            if plain is None:
                plain = not line.lstrip().startswith("{")
            row = {"text": line} if plain else json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("question", ""), str):
                raise ValueError('no object with a string "text"')
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}; give JSON lines with a key text, or one text a line, in UTF-8") from error
        yield row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", help="one text; without it --input, or standard input")
    parser.add_argument("--question", help="for a reading model: what is asked of the text")
    parser.add_argument("--input", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default standard output")
    parser.add_argument("--threads", type=int, help="of the engine")
    given = parser.parse_args()
    from shared.errors import InputError
    from shared.files import atomic_write
    from tasks.extraction import Extractor

    try:
        model = Extractor(HERE, threads=given.threads)
        if given.text is not None:
            rows: Iterable[dict[str, object]] = [{"text": given.text, **({} if given.question is None else {"question": given.question})}]
        else:
            source = sys.stdin.buffer if given.input is None else given.input.open("rb")
            rows = read_rows(source, "standard input" if given.input is None else str(given.input))
        kept: list[dict[str, object]] = []

        def pairs() -> Iterator[tuple[str, str | None]]:
            for row in rows:
                if model.asks and "question" not in row:
                    raise ValueError(f"no question for {str(row['text'])[:40]!r}: a reading model needs one with every text")
                kept.append(row)
                yield str(row["text"]), str(row["question"]) if "question" in row else None

        with contextlib.nullcontext(sys.stdout) if given.output is None else atomic_write(given.output, "w") as target:
            for found in model.stream(pairs()):
                target.write(json.dumps({**kept.pop(0), "found": found}, ensure_ascii=False) + "\n")
    except InputError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
