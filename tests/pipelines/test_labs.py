"""Every lab in its quick form: what it writes, that it goes on where it stopped, and what it refuses."""

import importlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import run
from pipelines.lab import LABS, lab, open_lab
from pipelines.labs import figures
from pipelines.labs.work import METRICS, REPORT, SETTINGS, STEPS, LabSettings, Work
from shared.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def work(tmp_path):
    return Work("gelu", LabSettings(), tmp_path / "data", tmp_path)


@pytest.mark.parametrize("name", LABS)
def test_quick_form_writes_a_report_and_goes_on_to_the_same_figures(name, inside, capsys):
    folder = lab(name, quick=True)
    table = capsys.readouterr().out
    report = (folder / REPORT).read_text(encoding="utf-8")
    metrics = (folder / METRICS).read_bytes()
    assert json.loads(metrics) and "Quick form" in report and "|---" in report and table.strip()
    pictures = sorted(folder.glob("*.png"))
    assert pictures and all(f"]({picture.name})" in report for picture in pictures)
    for picture in pictures:
        data = picture.read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data[1:4] == b"PNG" and width >= 800 and height >= 400
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/weights.safetensors")} | {
        path: path.stat().st_mtime_ns for path in (folder / STEPS).iterdir()
    }
    (folder / METRICS).unlink()
    assert lab(name, quick=True) == folder  # as after an interruption at the very end: nothing is computed again
    assert (folder / METRICS).read_bytes() == metrics
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_was_interrupted_ends_with_the_same_figures(inside):
    whole = lab("gelu", quick=True, out=Path("whole"))
    cut = Path("cut")
    module = importlib.import_module("pipelines.labs.gelu")
    asked = []

    def interrupted(*arguments, **options):
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    train, Work.train = Work.train, interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            lab("gelu", quick=True, out=cut)
    finally:
        Work.train = train
    assert not (cut / METRICS).exists() and (cut / SETTINGS).exists() and module.LAB.quick
    lab("gelu", quick=True, out=cut)
    assert (cut / METRICS).read_bytes() == (whole / METRICS).read_bytes()


def test_every_lab_keeps_to_its_lines_and_to_public_names():
    for name in LABS:
        source = (ROOT / "pipelines" / "labs" / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
        assert len(source.splitlines()) <= 250
        settings = open_lab(name).settings
        assert settings(**open_lab(name).quick) != settings()


def test_the_list_names_every_lab_with_its_cost(capfd):
    assert run(["lab"]) == 0
    said = capfd.readouterr().out
    assert all(name in said for name in LABS) and "--quick" in said
    assert all(entry.cost for entry in LABS.values())


WRONG = {
    "an unknown lab": (["lab", "geluu"], "geluu"),
    "an unknown setting": (["lab", "gelu", "--set", "epoch=1"], "epochs"),
    "a wrong value": (["lab", "gelu", "--quick", "--set", "seeds=0"], "seeds"),
    "options without a lab": (["lab", "--quick"], "lic lab NAME"),
    "no such data": (["lab", "adax", "--quick", "--data", "nowhere", "--set", "descent_steps=1", "--set", "starts=1"], "--data"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(arguments, said, inside, capfd):
    assert run(arguments) == 2
    err = capfd.readouterr().err
    assert said in err and "Traceback" not in err and "LIC-" in err


def test_a_folder_of_other_settings_is_left_alone_until_it_may_be_emptied(inside, capfd):
    def ask(*more):
        return run(["lab", "unilm", "--quick", "--out", "here", *more])

    assert ask() == 0
    kept = (inside / "here" / METRICS).read_bytes()
    capfd.readouterr()
    assert ask("--set", "seed=7") == 2
    assert "seed = 42, asked for 7" in capfd.readouterr().err
    assert (inside / "here" / METRICS).read_bytes() == kept
    assert ask("--set", "seed=7", "--fresh") == 0
    assert json.loads((inside / "here" / SETTINGS).read_text())["settings"]["seed"] == 7


@pytest.mark.parametrize("settings", [None, '{"editor.tabSize": 4}', '{"lab": "physics"}', '["lab"]', '"lab"', "null", "{"])
def test_a_folder_of_something_else_is_never_touched(settings, inside, capfd):
    (inside / "here").mkdir()
    (inside / "here" / "thesis.txt").write_text("mine")
    if settings is not None:
        (inside / "here" / SETTINGS).write_text(settings)
    for more in ([], ["--fresh"]):
        assert run(["lab", "unilm", "--quick", "--out", "here", *more]) == 2
    assert "a folder that no lab wrote" in capfd.readouterr().err
    assert (inside / "here" / "thesis.txt").read_text() == "mine"


def test_a_step_is_done_once_and_damage_is_said(work):
    made = []

    def make():
        made.append(1)
        return {"value": [1, 2.5], "array": np.arange(6.0).reshape(2, 3), "draw": float(np.random.random())}  # noqa: NPY002

    first, second = work.step("one", make), work.step("one", make)
    assert made == [1] and first["value"] == second["value"] == [1, 2.5] and first["draw"] == second["draw"]
    assert (first["array"] == second["array"]).all() and first["array"].shape == (2, 3)
    again = Work("gelu", LabSettings(), work.data, work.folder / "elsewhere")
    assert again.step("one", make)["draw"] == first["draw"]  # by lab seed and name, whatever was drawn before
    (work.folder / STEPS / "one.safetensors").unlink()
    with pytest.raises(InputError, match="LIC-L003"):
        work.step("one", make)
    (work.folder / STEPS / "one.json").write_text("[]")
    with pytest.raises(InputError, match="LIC-L003"):
        work.step("one", make)


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_the_shipped_font_draws_gb_2312():
    own = [figures.fonts()[0], figures.fonts()[-1]]
    rows = [bytes([high, low]) for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF)]
    words = "".join(row.decode("gb2312", errors="ignore") for row in rows)
    assert len(words) == 6763
    for text in (words, "，。！？；：“”‘’（）《》、…—０９ＡＺａｚ％"):
        assert figures.drawable(text, own) == text


@given(st.text())
def test_no_text_is_drawn_as_empty_boxes(text):
    from matplotlib import font_manager

    families = figures.fonts()
    known = {code for family in families for code in font_manager.get_font(font_manager.findfont(family)).get_charmap()}
    drawn = figures.drawable(text, families)
    assert all(char in "\n\t" or ord(char) in known for char in drawn)
    assert drawn == "".join(char if char in drawn and (char in "\n\t" or ord(char) in known) else f"U+{ord(char):04X}" for char in text)


def test_ticks_of_a_logarithmic_axis_are_plain_numbers(work):
    with work.figure("powers", "A power law", columns=2) as (figure, axes):
        axes[0, 0].loglog([1, 10, 100], [1e-3, 1e-2, 1e-1])
        axes[0, 1].plot([1, 2, 3], [3, 4, 5])
        figures.logarithmic(axes[0, 1].yaxis)
    sides = [side for axis in axes[0] for side in (axis.xaxis, axis.yaxis)]
    labels = [label.get_text() for side in sides for which in ("major", "minor") for label in side.get_ticklabels(which=which)]
    assert figure.get_suptitle() == "A power law" and "10" in labels and not any("$" in label for label in labels)


def test_lines_differ_in_more_than_colour():
    looks = [figures.stroke(number) for number in range(8)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == 8
    assert len({figures.bar(number)["hatch"] for number in range(8)}) == 8
