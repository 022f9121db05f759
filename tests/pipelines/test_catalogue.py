"""The catalogue of codes, and how a message is shown with its Chinese line."""

import errno
import os
import re
from pathlib import Path

import pytest

from pipelines.catalogue import as_markdown, catalogue, chinese, find
from pipelines.cli import run
from pipelines.console import say_problems
from shared.errors import InputError, Problem, system_problem, work_error

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"LIC-[A-Z]\d{3}")


def test_every_code_of_the_source_is_in_the_catalogue_and_no_other():
    sources = [path for floor in ("shared", "tasks", "pipelines") for path in (ROOT / floor).rglob("*.py")]
    raised = {code for path in sources for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert raised == set(catalogue())


def test_every_code_of_the_tests_and_documents_exists():
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("README*.md")]
    named = {code for path in files for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert named - {"LIC-Z999"} <= set(catalogue())


def test_one_code_one_meaning():
    entries = catalogue().values()
    assert len({entry.en for entry in entries}) == len({entry.zh for entry in entries}) == len(entries)


@pytest.mark.parametrize("code", catalogue())
def test_an_entry_says_what_is_wrong_and_in_chinese_what_to_do(code):
    entry = catalogue()[code]
    assert re.fullmatch(r"[A-Za-z-][^\n]{10,120}\.", entry.en) and not re.search(r"[\u4e00-\u9fff]", entry.en)
    assert entry.zh.endswith("。") and len(re.findall(r"[\u4e00-\u9fff]", entry.zh)) >= 8 and "\n" not in entry.zh
    assert not re.search(r"[\u4e00-\u9fff][,;!?]|[,;!?][\u4e00-\u9fff]", entry.zh)  # Chinese punctuation among Chinese


def test_a_code_is_found_however_it_is_written():
    assert find("LIC-D003") == find("D003") == find("d003") == find(" lic-d003 ")
    assert find("d003")[0] == "LIC-D003" and chinese("LIC-D003") == find("d003")[1].zh and chinese("LIC-Z999") is None
    with pytest.raises(InputError, match="Did you mean LIC-D003"):
        find("D0003")
    with pytest.raises(InputError, match="lists all"):
        find("温")


def test_explain(capfd):
    assert run(["explain", "d003"]) == 0
    assert capfd.readouterr().out == f"LIC-D003: {find('d003')[1].en}\n  中文：{find('d003')[1].zh}\n"
    assert run(["explain"]) == 0
    out = capfd.readouterr().out
    assert all(code in out for code in catalogue())
    assert run(["explain", "D0003"]) == 2
    assert "LIC-C002" in capfd.readouterr().err
    assert run(["explain", "d003", "--markdown"]) == 2
    assert "LIC-C003" in capfd.readouterr().err


def test_the_document_is_what_the_command_prints(capfd):
    assert run(["explain", "--markdown"]) == 0
    printed = capfd.readouterr().out
    assert printed == as_markdown() == (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = [line for line in printed.splitlines() if line.startswith("| `LIC-")]
    assert len(rows) == len(catalogue()) and all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)


def test_the_installed_package_has_the_catalogue():
    words = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^"pipelines" = \["\*\.toml", "\*\.html", "font/\*"\]$', words, re.MULTILINE)


# -- how problems are shown ----------------------------------------------------------------------------------------


def problem(code, found="x", file=None, line=None):
    return Problem(code, found, "y", "Mend it.", file, line)


def test_the_chinese_line_stands_once_below_neighbours_of_one_code(capfd):
    say_problems([problem("LIC-D003"), problem("LIC-D004", line=1, file="f"), problem("LIC-D004", line=2, file="f"), problem("LIC-D003")])
    out, err = capfd.readouterr()
    shown = [line if line.startswith("  中文：") else line.partition("]")[0][-4:] for line in err.splitlines()]
    empty, foreign = (f"  中文：{chinese(code)}" for code in ("LIC-D003", "LIC-D004"))
    assert out == "" and shown == ["D003", empty, "D004", "D004", foreign, "D003", empty]


def test_more_problems_than_are_shown_are_counted(capfd):
    say_problems([problem("LIC-D004", f"number {number}") for number in range(7)], limit=3, rest="--json lists all")
    *shown, meaning, rest = capfd.readouterr().err.splitlines()
    assert len(shown) == 3 and meaning.startswith("  中文：") and rest == "… and 4 more problems; --json lists all."


def test_a_message_is_one_line_and_steers_no_terminal(capfd):
    say_problems([problem("LIC-D008", "a\nb\u2028c\x1b[31m\x00温😀")])
    message, meaning = capfd.readouterr().err.splitlines()
    assert message == "[LIC-D008] found a b c\\x1b[31m\\x00温😀; expected y. Mend it." and meaning.startswith("  中文：")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "LIC-O001"),
        (errno.EACCES, "LIC-O002"),
        (errno.EROFS, "LIC-O002"),
        (errno.EPERM, "LIC-O002"),
        (errno.EISDIR, "LIC-O003"),
        (errno.ENOTDIR, "LIC-O003"),
        (errno.EIO, "LIC-O004"),
    ],
)
def test_what_the_system_refuses_has_a_code(number, code):
    told = system_problem(OSError(number, os.strerror(number), "a/b.json"))
    assert told.code == code and told.file == "a/b.json" and os.strerror(number) in told.found


def test_a_system_error_without_number_or_name():
    told = system_problem(OSError("it went wrong"))
    assert told.code == "LIC-O004" and told.file is None and "it went wrong" in str(told)


def test_work_errors_carry_problems_too():
    error = work_error("LIC-N001", found="a loss of nan at step 3", expected="a finite loss", remedy="Lower it.")
    assert error.exit_code == 1 and error.problems[0].code == "LIC-N001" and "nan at step 3" in str(error)
    with pytest.raises(TypeError):
        type(error)()
