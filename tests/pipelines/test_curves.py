"""Curves: what is drawn is what the run wrote, in a picture that opens; the smoothing and thinning by their definitions."""

import json
import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from pipelines import curves
from pipelines.curves import draw_curves, envelope, smooth
from pipelines.runs import app
from shared.errors import InputError

CONFIG = '[run]\ntrack = "event"\n[run.data]\nfolder = "x"\n[recipe.training]\nepochs = 2.0\nclip_norm = 1.5\n'


def write(folder, *, steps=100, every=25, more=None, best=True):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    metrics, timing, top = [], [{"resumed_at": 10}], None
    for step in range(1, steps + 1):
        loss = 3.0 / step + 0.01
        metrics.append({"step": step, "epoch": round(2 * step / steps, 4), "loss": loss, "rate": 1e-5, "grad_norm": 2.0, **(more or {})})
        timing.append({"step": step, "seconds": 0.6, "tokens": 600, "padded_tokens": 660})
        if every and step % every == 0:
            f1 = 0.7431 if step == 2 * every else 0.5
            metrics.append({"step": step, "epoch": 1.0, "dev": {"precision": 0.8, "f1": f1}})
            top = metrics[-1] if top is None or f1 > top["dev"]["f1"] else top
    for name, rows in (("metrics.jsonl", metrics), ("timing.jsonl", timing)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if top and best:
        (folder / "best.json").write_text(json.dumps(top), encoding="utf-8")
        (folder / "weights.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def figure(monkeypatch):
    """The figures that were drawn, beside being written."""
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *words, **named: (drawn.append(self), save(self, *words, **named)))
    return drawn


def panels(drawn):
    return {axes.get_title(loc="left"): axes for axes in drawn.axes if axes.get_title(loc="left")}


def line(axes, label):
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return found.get_xdata(), found.get_ydata()


def test_a_picture_that_opens_and_says_its_finding(tmp_path, figure):
    folder = write(tmp_path / "event" / "small", steps=5000, every=1000)
    path = draw_curves(folder)
    assert path == folder / "curves.png" and not list(folder.glob(".*"))
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.width >= 1200 and picture.height >= 800
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    (drawn,) = figure
    assert drawn.get_suptitle().strip() == "event, small: dev F1 .7431 at step 2,000"
    said = " ".join(text.get_text() for text in drawn.texts)
    assert "5,000 steps" in said and "50.0 minutes" in said and "1,000 real tokens/s" in said and "2 epochs" in said


def test_every_panel_has_its_numbers_labels_and_units(tmp_path, figure):
    draw_curves(write(tmp_path / "event" / "small", more={"penalty": 0.5}))
    found = panels(figure[0])
    assert list(found) == ["Loss", "Scores on dev", "Learning rate", "Gradient norm", "penalty"]
    assert all(axes.get_xlabel() == "step" and axes.get_ylabel() for axes in found.values())
    losses = np.asarray([3.0 / step + 0.01 for step in range(1, 101)])
    steps, raw = line(found["Loss"], "every step")
    assert np.array_equal(steps, range(1, 101)) and np.allclose(raw, losses)
    steps, mean = line(found["Loss"], "mean of 3 steps")
    assert np.allclose(mean, smooth(losses, 2)) and math.isclose(mean[50], losses[49:52].mean())
    assert found["Loss"].get_yscale() == "log" and found["Loss"].get_ylabel() == "mean loss of a batch (log scale)"
    steps, f1 = line(found["Scores on dev"], "F1")
    assert list(steps) == [25, 50, 75, 100] and list(f1) == [0.5, 0.7431, 0.5, 0.5]
    assert [list(part) for part in line(found["Scores on dev"], "best")] == [[50], [0.7431]]
    assert list(line(found["Loss"], "resumed")[0]) == [10, 10]
    assert any(text.get_text() == "clipped at 1.5" for text in found["Gradient norm"].texts)
    assert np.allclose(line(found["penalty"], "mean of 3 steps")[1], 0.5)


def test_a_run_without_evaluation_and_a_fold(tmp_path, figure):
    draw_curves(write(tmp_path / "event" / "small" / "fold-3", steps=4, every=0))
    draw_curves(write(tmp_path / "event" / "small" / "seed-1" / "fold-2", steps=4, every=0))
    assert "event, small/seed-1/fold-2: " in figure[1].get_suptitle()
    assert figure[0].get_suptitle().strip() == "event, small/fold-3: loss 0.76 at step 4, not evaluated"
    assert "Scores on dev" not in panels(figure[0])


def test_a_single_step_and_numbers_that_are_none(tmp_path, figure):
    folder = write(tmp_path / "one", steps=1, every=0)
    assert draw_curves(folder).is_file()
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        for step, loss in enumerate(("NaN", "Infinity", "2.0", "-1.0"), 2):
            file.write(f'{{"step": {step}, "loss": {loss}, "rate": null, "skipped": true}}\n')
    draw_curves(folder)
    assert list(panels(figure[1])) == ["Loss", "Learning rate", "Gradient norm"]


def test_names_are_taken_as_they_are(tmp_path, figure, recwarn):
    draw_curves(write(tmp_path / "小_x^2$a", more={"$y$": 1.0}))
    assert "小_x^2$a" in figure[0].get_suptitle() and "$y$" in panels(figure[0])
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_damage_does_not_hide_the_curves(tmp_path, figure):
    folder = write(tmp_path / "event" / "small")
    (folder / "config.toml").unlink()
    (folder / "best.json").write_text("{", encoding="utf-8")
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write("x\n")
    assert draw_curves(folder).is_file()


def test_a_folder_without_steps_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("x\n", encoding="utf-8")
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="LIC-U031"):
            draw_curves(place)
    assert not list(tmp_path.glob("**/*.png"))


def test_nothing_of_matplotlib_is_changed_and_no_display_is_asked_for(tmp_path):
    before = dict(matplotlib.rcParams)
    draw_curves(write(tmp_path / "a"))
    assert dict(matplotlib.rcParams) == before
    code = f"""
import sys
from pipelines.curves import draw_curves
draw_curves({str(tmp_path / 'a')!r}, {str(tmp_path / 'other' / 'b.png')!r})
print(sorted(name for name in ("matplotlib.pyplot", "tkinter", "paddle") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and (tmp_path / "other" / "b.png").is_file()


def test_a_failure_leaves_the_old_picture(tmp_path, monkeypatch):
    folder = write(tmp_path / "a")
    before = draw_curves(folder).read_bytes()
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **named: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        draw_curves(folder)
    assert (folder / "curves.png").read_bytes() == before and not list(folder.glob(".*"))


def test_the_command_draws_by_name(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs" / "event" / "small")
    app(["curves", "event/small"], standalone_mode=False)
    app(["curves", "runs/event/small", "--out", "x.png"], standalone_mode=False)
    assert capfd.readouterr().out.splitlines() == ["runs/event/small/curves.png", "x.png"] and Path("x.png").is_file()


# -- smoothing and thinning --------------------------------------------------------------------------------------

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=40)


@given(numbers, st.integers(1, 60))
def test_smoothing_is_a_centred_mean(values, width):
    values, half = np.asarray(values), width // 2
    for place, mean in enumerate(smooth(values, width)):
        inside = values[max(place - half, 0) : place + half + 1]
        inside = inside[np.isfinite(inside)]
        assert (not len(inside) and math.isnan(mean)) or math.isclose(mean, inside.mean(), rel_tol=1e-6, abs_tol=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 40))
def test_thinning_keeps_extremes_and_order(values, pairs):
    values = np.asarray(values)
    steps, kept = envelope(np.arange(len(values)), values, 2 * pairs)
    assert len(kept) <= max(2 * pairs, 0) and kept.min() == values.min() and kept.max() == values.max()
    assert np.array_equal(kept, values[steps]) and np.all(np.diff(steps) > 0)


def test_colours_differ_in_lightness_too():
    def lightness(colour):
        red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    scores = [colour for colour, _, _ in curves._STROKES]
    assert len({stroke for _, stroke, _ in curves._STROKES}) == len({marker for _, _, marker in curves._STROKES}) == len(scores)
    assert all((1 + 0.05) / (lightness(colour) + 0.05) > 2.5 for colour in (*scores, curves.ORANGE))  # against white paper
