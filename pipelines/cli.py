"""The ``lic`` command. Its help imports nothing heavy: every verb's module imports its work inside its functions."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from . import data_roundtrip, preprocess, train

app = typer.Typer(help="LIC2020 information extraction on PaddlePaddle: official files in, leaderboard zip out.", no_args_is_help=True)
data = typer.Typer(help="Official files: check, import, and the ceiling of our representation.", no_args_is_help=True)
app.add_typer(data, name="data")
data.command("roundtrip")(data_roundtrip.command)
app.command("preprocess")(preprocess.command)
app.command("train")(train.command)


def main() -> None:
    app()
