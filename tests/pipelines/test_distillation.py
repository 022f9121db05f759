"""``lic train`` with teachers: folders named, checked, taught from, and remembered."""

import copy
import dataclasses
import importlib
import json
import shutil

import numpy as np
import pytest

from pipelines.cli import run
from pipelines.data_files import open_labelled
from pipelines.run_folder import load_run, stored_run
from pipelines.train_setup import Fold, fold_of, prepare
from shared.files import digest
from shared.training.distillation import Teachers
from shared.training.gradients import Gradients
from shared.training.parallel import Ranks
from tasks.registry import TRACKS, get_task

from .conftest import SAMPLES

SET = ("training.epochs=1", "encoder.num_layers=1", "encoder.hidden_size=32")
WIDER = ["--set", "encoder.hidden_size=64"]


def steps_of(folder):
    return [row for line in (folder / "metrics.jsonl").read_text().splitlines() if "loss" in (row := json.loads(line))]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A few records of the sample."""
    folder = tmp_path_factory.mktemp("few")
    shutil.copy(SAMPLES / "event" / "schema.json", folder)
    for split, count in (("train", 24), ("dev", 6)):
        lines = (SAMPLES / "event" / f"{split}.json").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{split}.json").write_text("".join(lines[:count]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def train(data):
    return ["train", "event", "--data", str(data), "--recipe", "quick", *(word for one in SET for word in ("--set", one))]


@pytest.fixture(scope="module")
def made(train, tmp_path_factory):
    """A trained run."""
    folder = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*train, "--run", "run"]) == 0
    return folder / "run"


@pytest.fixture
def teacher(made, tmp_path, monkeypatch):
    """A trained run, and a working folder that it is not in."""
    monkeypatch.chdir(tmp_path)
    return made


def test_a_student_of_another_size_learns_and_goes_on_with_the_same_teachers_only(teacher, train, tmp_path, fault):
    own = tmp_path / "teacher"
    shutil.copytree(teacher, own)
    taught = [*train, *WIDER, "--set", f'training.teachers=["{teacher}", "{own}"]', "--set", "training.teacher_weight=0.8"]
    assert run([*taught, "--run", "student", "--set", "training.checkpoint_steps=1", "--set", "training.checkpoints_kept=99"]) == 0
    student = tmp_path / "student"
    assert all(row["distillation"] > 0 for row in steps_of(student))
    assert [mark.split(" sha256:") for mark in stored_run(student, "event").teachers] == [
        [str(folder), digest(folder / "weights.safetensors")] for folder in (teacher, own)
    ]
    loaded = load_run(student)  # needs no teacher
    assert loaded.model.backbone.config.hidden_size == 64
    checkpoints = sorted((student / "checkpoints").iterdir())
    sizes = {path.name: path.stat().st_size for path in checkpoints[0].iterdir()}
    assert sizes["weights.safetensors"] == (student / "weights.safetensors").stat().st_size - _said(student)

    whole = digest(student / "weights.safetensors")
    for path in checkpoints[2:]:
        shutil.rmtree(path)
    (student / "finished.json").unlink()
    (own / "weights.safetensors").rename(own / "kept")
    code, codes, _ = fault(*train[:4], "--run", "student", "--resume")
    assert (code, codes) == (2, ["LIC-U006"])
    shutil.copy(student / "weights.safetensors", own / "weights.safetensors")
    code, codes, err = fault(*train[:4], "--run", "student", "--resume")
    assert (code, codes) == (2, ["LIC-K007"]) and str(own) in err and str(teacher) not in err
    (own / "kept").rename(own / "weights.safetensors")
    assert run([*train[:4], "--run", "student", "--resume"]) == 0
    assert digest(student / "weights.safetensors") == whole


def _said(folder):
    """Bytes that the best weights' file has for what it says of itself."""
    best = (folder / "weights.safetensors").read_bytes()
    kept = next(iter(sorted((folder / "checkpoints").iterdir()))) / "weights.safetensors"
    return int.from_bytes(best[:8], "little") - int.from_bytes(kept.read_bytes()[:8], "little")


def test_a_student_that_is_its_teacher_has_no_distance_to_it(teacher, data):
    overrides = (*SET, f'training.teachers=["{teacher}"]', "training.teacher_weight=1.0")
    opened = open_labelled("event", data=data, recipe="quick", overrides=overrides, skip_bad=False)
    prepared = prepare(opened, ranks=Ranks(), fold=None, quiet=True)
    prepared.model.set_state_dict(load_run(teacher).model.state_dict())
    training = prepared.training
    found = training.gradients.of(training.parts(training.order.batch(0), epoch=0), step=0)
    assert found == {"loss": 0.0, "distillation": 0.0}


def test_no_record_is_taught_by_a_model_that_saw_it(teacher, train, data, tmp_path, fault):
    folds = tmp_path / "runs" / "event" / "quick"
    assert run([*train, *WIDER, "--folds", "2"]) == 0
    out_of_fold = ["--set", "training.teacher_out_of_fold=true"]
    names = [str(folds / f"fold-{number}") for number in (1, 2)]
    opened = open_labelled(
        "event",
        data=data,
        recipe="quick",
        overrides=(*SET, "training.teacher_out_of_fold=true", f"training.teachers={json.dumps([names[1], names[0]])}"),
        skip_bad=False,
    )
    training = prepare(opened, ranks=Ranks(), fold=None, quiet=True).training
    by_name = {name: load_run(tmp_path / name).model.state_dict() for name in names}
    texts = list(opened.texts)
    seen = np.zeros(len(texts))
    for index in range(training.order.steps_before[1]):
        for rows, models in training.teachers.split(training.order.batch(index)):
            (model,) = models
            (name,) = [name for name, state in by_name.items() if _same(state, model.state_dict())]
            held = Fold(*map(int, stored_run(tmp_path / name, "event").fold.split("/")))
            assert all(held.holds(texts[row]) for row in rows)  # of the sample every text is one window
            seen[rows] += 1
    assert (seen == 1).all() and {fold_of(text, 2) for text in texts} == {0, 1}

    asked = [*train, "--run", "student", *out_of_fold]
    code, codes, err = fault(*asked, "--set", f'training.teachers=["{names[0]}"]')
    assert (code, codes) == (2, ["LIC-U041"]) and "no teacher of fold 2 of 2" in err
    code, codes, err = fault(*asked, "--set", f"training.teachers={json.dumps([*names, str(teacher)])}")
    assert (code, codes) == (2, ["LIC-U041"]) and "trained on every record" in err
    code, codes, err = fault(*asked)
    assert (code, codes) == (2, ["LIC-R006"]) and "teacher_out_of_fold without teachers" in err
    assert not (tmp_path / "student").exists()


def _same(left, right):
    return all(np.array_equal(value.numpy(), right[name].numpy()) for name, value in left.items() if list(value.shape) == list(right[name].shape))


def test_teachers_of_another_kind_are_refused(teacher, train, tmp_path, fault):
    def refused(name, *more):
        found = fault(*train, "--run", "student", "--set", f'training.teachers=["{name}"]', *more)
        assert not (tmp_path / "student").exists()
        return found

    code, codes, err = refused(teacher, "--set", "model.tagging=flat")
    assert (code, codes) == (2, ["LIC-U040"]) and "outputs" in err and "teacher" in err
    code, codes, err = refused(teacher, "--set", "encoder.vocab_size=200")
    assert (code, codes) == (2, ["LIC-U040"]) and "another vocabulary" in err
    code, codes, err = refused(tmp_path / "nowhere")
    assert (code, codes) == (2, ["LIC-U004"])
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    schema = (other / "schema.json").read_text(encoding="utf-8").splitlines(keepends=True)
    (other / "schema.json").write_text("".join([*schema[1:], schema[0]]), encoding="utf-8")
    code, codes, err = refused(other)
    assert (code, codes) == (2, ["LIC-U040"]) and "another schema" in err
    (other / "config.toml").write_text((other / "config.toml").read_text().replace('track = "event"', 'track = "reading"'))
    code, codes, err = refused(other)
    assert (code, codes) == (2, ["LIC-U005"])


OF_TRACK = {track: list(importlib.import_module(f"tasks.{track}.models").DESIGNS.modules) for track in TRACKS}
DESIGNS = [("relation", name) for name in OF_TRACK["relation"]] + [(track, names[0]) for track, names in OF_TRACK.items() if track != "relation"]
"""Every kind of output once: the other tracks' further designs share theirs with relation's."""


@pytest.mark.parametrize(("track", "name"), DESIGNS)
def test_any_model_teaches_its_like_and_in_groups_as_together(track, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = SAMPLES / track
    recipe = "quick" if (get_task(track).recipes / "quick.toml").read_text(encoding="utf-8").count(f'name = "{name}"') else name
    sizes = ("encoder.source=scratch", *SET[1:], "encoder.dropout=0.0", "encoder.attention_dropout=0.0")
    loop = ("training.max_records=8", "training.batch_tokens=4096", "training.teacher_weight=1.0")
    opened = open_labelled(track, data=data, recipe=recipe, overrides=(*sizes, *loop), skip_bad=False)
    made = prepare(opened, ranks=Ranks(), fold=None, quiet=True).training
    model = made.layer
    other, far = copy.deepcopy(model), copy.deepcopy(model)
    rng = np.random.default_rng(0)
    for parameter in far.parameters():
        parameter.set_value(parameter.numpy() + rng.normal(0, 0.05, parameter.shape).astype(np.float32))
    settings = dataclasses.replace(made.settings, replacement_rows=0.0, penalty_epsilon=0.0)
    model.eval()
    rows = np.arange(6)

    def found(teachers):
        made.teachers, gradients = teachers, Gradients(model, made.parameters, settings, Ranks(), teacher_groups=len(teachers.groups))
        figures = gradients.of(made.parts(rows, epoch=0), step=0)
        kept = [np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy() for p in made.parameters]
        made.optimizer.clear_grad()
        return figures, kept

    assert found(Teachers([[other]]))[0] == {"loss": 0.0, "distillation": 0.0}
    together, whole = found(Teachers([[far]]))
    apart, parts = found(Teachers([[far], [far, far]], np.arange(len(made.order.lengths)) % 2))
    assert together["distillation"] > 0 and apart == pytest.approx(together, rel=1e-5)
    scale = max(np.abs(gradient).max() for gradient in whole)
    for left, right in zip(whole, parts, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5 * scale)
