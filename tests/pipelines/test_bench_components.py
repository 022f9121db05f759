import json

import pytest
from typer.testing import CliRunner

from pipelines.bench import app
from pipelines.bench_components import MIXTURES, PENALTIES, components
from shared.attention import kind_names
from shared.errors import InputError

SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "length": 8, "rows": 2, "repeats": 1}


def test_every_kind_and_remedy_runs_beside_the_plain_encoder():
    report = components(**SMALL)
    rows = {row["name"]: row for row in report["candidates"]}
    penalties = [f"gradient penalty, {form}" for form in PENALTIES]
    assert list(rows) == [*kind_names(), *MIXTURES, "random replacement", "FGM", *penalties]
    assert rows["dot_product"]["forward_ratio"] == rows["dot_product"]["step_ratio"] == 1.0
    assert all(row["forward_ms"] > 0 and row["step_ms"] > 0 for row in rows.values())
    # a kind without queries and keys has two of the four projections left, and a matrix of places a head
    projections, matrices = 2 * (16 * 16 + 16), 2 * 8 * 8
    assert rows["dot_product"]["parameters"] - rows["random"]["parameters"] == projections - matrices
    assert {name: row["difference"] is not None for name, row in rows.items()} == {name: name in penalties[:2] for name in rows}
    assert 0 < rows[penalties[1]]["difference"] < 1e-2
    assert rows["FGM"]["parameters"] == rows["dot_product"]["parameters"]


def test_chosen_kinds_run_without_remedies():
    rows = components(**SMALL, kinds=["random", "dot_product"], remedies=False)["candidates"]
    assert [row["name"] for row in rows] == ["random", "dot_product"] and rows[0]["step_ratio"] == 1.0


def test_the_command_prints_one_json_object():
    options = [f"--{name}={value}" for name, value in (("hidden-size", 16), ("layers", 1), ("heads", 2), ("length", 8), ("rows", 2))]
    done = CliRunner().invoke(app, ["components", *options, "--repeats=1", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["length"] == 8


def test_sizes_that_make_no_encoder_are_refused():
    with pytest.raises(ValueError, match="16 is not a multiple of num_heads 3"):
        components(**{**SMALL, "num_heads": 3})
    with pytest.raises(ValueError, match="rows is 0"):
        components(**{**SMALL, "rows": 0})
    done = CliRunner().invoke(app, ["components", "--hidden-size=16", "--heads=3"])
    assert isinstance(done.exception, InputError) and done.exception.problems[0].code == "LIC-B006"
