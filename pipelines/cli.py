"""The ``lic`` command. Its help imports nothing heavy: every verb's module imports its work inside its functions."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from . import bench, data_check, data_import, data_roundtrip, doctor, evaluate, extract, predict, preprocess, score, submit_check, train

app = typer.Typer(
    help="LIC2020 information extraction on PaddlePaddle: official files in, leaderboard zip out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Official files: check them, import them, find the ceiling of our representation.", no_args_is_help=True)
submit = typer.Typer(help="Submission files.", no_args_is_help=True)
data.command("check")(data_check.command)
data.command("import")(data_import.command)
data.command("roundtrip")(data_roundtrip.command)
submit.command("check")(submit_check.command)
app.add_typer(data, name="data")
app.command("preprocess")(preprocess.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("predict")(predict.command)
app.add_typer(submit, name="submit")
app.command("score")(score.command)
app.command("extract")(extract.command)
app.command("doctor")(doctor.command)
app.add_typer(bench.app, name="bench")

NEEDS_PADDLE = frozenset({"roundtrip", "preprocess", "train", "evaluate", "predict", "extract"})
UsageFault = typer.BadParameter.__mro__[2]
"""typer's base of all complaints about the command line; its module has moved between versions, its place in the family has not."""


def _version(asked: bool) -> None:
    if asked:
        from shared import __version__

        typer.echo(f"lic {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Runs one command. Exit codes: 0 done, 1 failed while working, 2 the user's input or flags are wrong, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """:func:`main` without leaving the process: the exit code."""
    from shared.errors import InputError, WorkError

    try:
        if NEEDS_PADDLE & set(arguments[:2]) and "--help" not in arguments:
            from shared import environment

            try:
                environment.prepare()
            except ValueError as error:  # a thread count in the user's environment
                print(f"lic: {error}", file=sys.stderr)
                return InputError.exit_code
            environment.import_paddle()
        code = app(arguments, standalone_mode=False, prog_name="lic")
        return code if isinstance(code, int) else 0
    except UsageFault as fault:
        fault.show()
        return 2
    except InputError as error:
        for problem in error.problems[:SHOWN]:
            print(problem, file=sys.stderr)
        if len(error.problems) > SHOWN:
            print(f"… and {len(error.problems) - SHOWN} more problems", file=sys.stderr)
        return error.exit_code
    except WorkError as error:
        print(f"lic: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("lic: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"lic: {error.strerror or error}{': ' + str(error.filename) if error.filename else ''}", file=sys.stderr)
        return 1


SHOWN = 20


if __name__ == "__main__":
    main()
