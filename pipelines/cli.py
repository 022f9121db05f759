"""The ``lic`` command. Its help imports nothing heavy: every verb's module imports its work inside its functions."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, Any

import typer

from . import (
    bench,
    candidates,
    data_check,
    data_import,
    data_paraphrase,
    data_roundtrip,
    demo,
    doctor,
    ensemble,
    evaluate,
    explain,
    export,
    extract,
    lab,
    predict,
    preprocess,
    pretrain,
    runs,
    score,
    serve,
    submit_check,
    train,
    tune,
)

app = typer.Typer(
    help="LIC2020 information extraction on PaddlePaddle: official files in, leaderboard zip out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Official files: check them, import them, find the ceiling of our representation.", no_args_is_help=True)
submit = typer.Typer(help="Submission files.", no_args_is_help=True)
data.command("check")(data_check.command)
data.command("import")(data_import.command)
data.command("paraphrase")(data_paraphrase.command)
data.command("roundtrip")(data_roundtrip.command)
submit.command("check")(submit_check.command)
app.add_typer(data, name="data")
app.command("preprocess")(preprocess.command)
app.command("train")(train.command)
app.command("pretrain")(pretrain.command)
app.command("evaluate")(evaluate.command)
app.command("predict")(predict.command)
app.command("candidates")(candidates.command)
app.command("tune")(tune.command)
app.command("ensemble")(ensemble.command)
app.add_typer(submit, name="submit")
app.command("score")(score.command)
app.command("extract")(extract.command)
app.command("export")(export.command)
app.command("serve")(serve.command)
app.command("lab")(lab.command)
app.command("doctor")(doctor.command)
app.command("demo")(demo.command)
app.command("explain")(explain.command)
app.add_typer(runs.app, name="runs")
app.add_typer(bench.app, name="bench")

NEEDS_PADDLE = frozenset(
    {"roundtrip", "paraphrase", "preprocess", "train", "pretrain", "evaluate", "predict", "extract", "candidates", "tune", "ensemble", "demo"}
    | {"export", "serve"}
)
UsageFault: Any = typer.BadParameter.__mro__[2]
"""typer's base of all complaints about the command line; its module has moved between versions, its place in the family has not."""


def _version(asked: bool) -> None:
    if asked:
        from shared import __version__

        typer.echo(f"lic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Runs one command. Exit codes: 0 done, 1 failed while working, 2 the user's input or flags are wrong, 130 interrupted, 143 terminated."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks, as standard error shows it
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """:func:`main` without leaving the process: the exit code."""
    from shared.errors import InputError, Problem, WorkError, input_error, system_problem

    from .console import say, say_problems
    from .interrupt import CODES, Terminated

    try:
        if (NEEDS_PADDLE & set(arguments[:2]) or (arguments[:1] == ["lab"] and arguments[1:])) and "--help" not in arguments:
            from shared import environment

            from .interrupt import after_this_step

            try:
                environment.prepare()
            except ValueError as error:  # a thread count in the user's environment
                remedy = "Unset the variable, or give e.g. LIC_THREADS=2."
                raise input_error("LIC-G003", found=str(error), expected="a thread count", remedy=remedy) from error
            with after_this_step() as check_interrupt:  # an interrupted import of native code fails in ways of its own
                environment.import_paddle()
                check_interrupt()
        code = app(arguments, standalone_mode=False, prog_name="lic", obj=list(arguments))
        if code == INTERRUPTED:  # what newer typers make of Ctrl-C; older ones raise Abort
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except UsageFault as fault:
        if "NoArgs" in type(fault).__name__:  # no word was given: it shows the help
            fault.show()
            return 2
        context = getattr(fault, "ctx", None)
        if context is not None:
            say(context.get_usage())
        path = context.command_path if context is not None else "lic"
        said = fault.format_message().rstrip(".")
        say_problems([Problem("LIC-C001", said[:1].lower() + said[1:], "a valid command line", f"See {path} --help.")])
        return 2
    except (InputError, WorkError) as error:
        say_problems(error.problems, limit=SHOWN)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        say("lic: interrupted")
        return INTERRUPTED
    except Terminated:
        say("lic: terminated")
        return CODES[signal.SIGTERM]
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except MemoryError as error:
        said = " ".join(str(error).split())[-200:] or "no memory left"
        remedy = "Lower training.batch_tokens or training.evaluation_tokens, or free memory."
        say_problems([Problem("LIC-O005", said, "memory for the work", remedy)])
        return WorkError.exit_code
    except OSError as error:
        say_problems([system_problem(error)])
        return WorkError.exit_code


SHOWN = 20
INTERRUPTED = 130


if __name__ == "__main__":
    main()
