"""Checkpoints on disk: whole or absent, found whatever a crash or a bad disk left."""

import json
import os
import shutil

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st
from paddle import nn

from shared.errors import InputError, input_error
from shared.training import snapshots
from shared.training.checkpoint import arrays_of, set_weights
from shared.training.run_state import RunState
from shared.training.snapshots import clear_leftovers, newest_snapshot, save_snapshot

from . import toy

DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")


def state(step=3, seed=0):
    rng = np.random.default_rng([seed, step])
    arrays = {
        "weights": {"a": rng.normal(size=(3, 4)).astype(np.float32)},
        "optimizer": {"a/moment": rng.normal(size=(3, 4)), "steps": np.array(step)},
    }
    return RunState(arrays, {"progress": {"step": step, "best": 0.1 + step}, "format": 1})


def saved(root, steps, *, keep=9):
    return [save_snapshot(root, state(step), f"{step}\n".encode(), keep=keep) for step in steps]


def names(root):
    return sorted(path.name for path in root.iterdir())


def is_state(found, step):
    toy.same_state(found.state, state(step))
    assert found.figures == f"{step}\n".encode()
    return True


# -- writing and reading -----------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)), max_size=6),
    st.binary(max_size=50),
    st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False) | st.none() | st.text(max_size=5), max_size=4),
)
@tries(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_state_comes_back(tmp_path, kinds, figures, counters):
    rng = np.random.default_rng(len(kinds))
    table = {f"名 {at}/x": np.asarray(rng.normal(size=shape) * 9).astype(dtype) for at, (dtype, shape) in enumerate(kinds)}
    given_state = RunState({"weights": table, "ema": {"turned": np.ones((2, 3), np.float32).T}}, {**counters, "progress": {"step": 1}})
    folder = save_snapshot(tmp_path, given_state, figures, keep=1)
    found = newest_snapshot(tmp_path)
    toy.same_state(found.state, given_state)
    assert (found.folder, found.figures, found.passed_over) == (folder, figures, ())
    assert names(tmp_path) == [folder.name]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_parameters_come_back_bit_for_bit(tmp_path, dtype):
    paddle.seed(1)
    layer = nn.Linear(5, 3).to(dtype=dtype)
    layer.weight.set_value((paddle.randn([5, 3]) * 1e-3).astype(dtype))
    save_snapshot(tmp_path, RunState({"weights": arrays_of(layer.state_dict())}, {"progress": {"step": 1}}), b"", keep=1)
    other = nn.Linear(5, 3).to(dtype=dtype)
    set_weights(other, newest_snapshot(tmp_path).state.arrays["weights"], tmp_path)
    assert other.weight.dtype == layer.weight.dtype
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()


def test_the_newest_counts_and_numbers_only_grow(tmp_path):
    assert newest_snapshot(tmp_path / "nothing") is None and newest_snapshot(tmp_path) is None
    folders = saved(tmp_path / "deep" / "checkpoints", [10, 20, 5])
    assert [folder.name for folder in folders] == ["0000001-step-10", "0000002-step-20", "0000003-step-5"]
    assert is_state(newest_snapshot(tmp_path / "deep" / "checkpoints"), 5)
    root = tmp_path / "far"
    (root / "9999999-step-1").mkdir(parents=True)
    assert [folder.name for folder in saved(root, [2, 3])] == ["10000000-step-2", "10000001-step-3"]
    assert is_state(newest_snapshot(root), 3)


def test_other_things_in_the_folder_are_left_alone(tmp_path):
    for name in ("notes", "1-step-2", "0000009-step-3.bak", "x0000009-step-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "0000050-step-7").write_text("a file")
    assert newest_snapshot(tmp_path) is None
    (folder,) = saved(tmp_path, [4], keep=1)
    assert folder.name == "0000001-step-4" and len(names(tmp_path)) == 6


def test_one_may_be_refused(tmp_path):
    saved(tmp_path, [1, 2, 3])
    error = input_error("LIC-K005", found="x", expected="y", remedy="z")

    def accept(found, path):
        if found.counters["progress"]["step"] > 1:
            raise error

    found = newest_snapshot(tmp_path, accept=accept)
    assert is_state(found, 1) and found.passed_over == (error, error)
    with pytest.raises(InputError) as caught:
        newest_snapshot(tmp_path, accept=lambda found, path: (_ for _ in ()).throw(error))
    assert [problem.code for problem in caught.value.problems] == ["LIC-K005"] * 3


# -- damage ------------------------------------------------------------------------------------------------------

FILES = ("manifest.json", "state.json", "weights.safetensors", "optimizer.safetensors", "metrics.jsonl")


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:-1] if how == "truncated" else b"" if how == "empty" else bytes(content))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "missing"])
def test_a_damaged_one_is_passed_over_named_and_left_alone(tmp_path, name, how):
    if (name, how) == ("manifest.json", "truncated"):
        how = "empty"  # its last byte is a line end
    *_, newest = saved(tmp_path, [1, 2])
    damage(newest / name, how)
    left = {path.name: path.read_bytes() for path in newest.iterdir()}
    found = newest_snapshot(tmp_path)
    assert is_state(found, 1)
    (error,) = found.passed_over
    assert error.problems[0].code == "LIC-K006" and error.problems[0].file == str(newest)
    if name != "manifest.json":
        assert name in error.problems[0].found
    (third,) = saved(tmp_path, [3], keep=1)
    assert names(tmp_path) == [newest.name, third.name]
    assert {path.name: path.read_bytes() for path in newest.iterdir()} == left
    assert is_state(newest_snapshot(tmp_path), 3)


@given(st.data())
@tries(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_found_or_changes_nothing(tmp_path, data):
    root, whole = tmp_path / "checkpoints", tmp_path / "whole"
    if not whole.is_dir():
        saved(whole, [1, 2])
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root)
    first, newest = sorted(root.iterdir())
    path = newest / data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    found = newest_snapshot(root)
    if found.folder == newest:  # a blank of the manifest that became another
        assert path.name == "manifest.json" and is_state(found, 2)
        return
    assert is_state(found, 1) and len(found.passed_over) == 1
    if data.draw(st.integers(0, 9)) == 0:
        saved(root, [3], keep=2)
        assert first.is_dir() and newest.is_dir()  # the damaged one takes no place of a whole one


def test_nothing_whole_is_an_error_that_names_all(tmp_path):
    folders = saved(tmp_path, [1, 2, 3])
    for folder in folders:
        damage(folder / "weights.safetensors", "flipped")
    with pytest.raises(InputError) as caught:
        newest_snapshot(tmp_path)
    assert [problem.file for problem in caught.value.problems] == [str(folder) for folder in reversed(folders)]


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"files": []}', '{"files": {"state.json": 3}}', '{"files": {"a\\u0000b": {}}}', '{"files": null}', "\udcff"]
)
def test_manifests_that_are_none(tmp_path, content):
    first, second = saved(tmp_path, [1, 2])
    (second / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert is_state(newest_snapshot(tmp_path), 1)
    saved(tmp_path, [3], keep=1)
    assert second.is_dir() and not first.exists()


def test_a_size_that_is_not_the_files(tmp_path):
    _, second = saved(tmp_path, [1, 2])
    manifest = json.loads((second / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"]["bytes"] += 1
    (second / "manifest.json").write_text(json.dumps(manifest))
    assert is_state(newest_snapshot(tmp_path), 1)


# -- pruning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_whole_ones_are_kept(tmp_path, keep):
    for step in range(1, 7):
        saved(tmp_path, [step], keep=keep)
        assert len(names(tmp_path)) == min(step, keep)
    assert [int(name[-1]) for name in names(tmp_path)] == list(range(7 - keep, 7))


def test_a_prune_that_fails_leaves_the_new_one_whole(tmp_path, monkeypatch):
    saved(tmp_path, [1, 2])

    def full(path, *rest, **options):
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(snapshots.shutil, "rmtree", full)
        with pytest.raises(OSError, match="Input/output"):
            saved(tmp_path, [3], keep=2)
    assert is_state(newest_snapshot(tmp_path), 3)
    assert clear_leftovers(tmp_path) == 1 and names(tmp_path) == ["0000002-step-2", "0000003-step-3"]


# -- leftovers and failures --------------------------------------------------------------------------------------


def test_leftovers_are_ignored_and_cleared(tmp_path):
    (folder,) = saved(tmp_path, [1])
    for name in (".0000002-step-9.abc.part", ".0000001-step-1.part"):
        shutil.copytree(folder, tmp_path / name)
    (tmp_path / ".0000003-step-9.x.part").mkdir()
    (tmp_path / "kept.part").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert newest_snapshot(tmp_path).folder == folder
    (second,) = saved(tmp_path, [2])
    assert second.name == "0000002-step-2"
    assert clear_leftovers(tmp_path) == 3 and clear_leftovers(tmp_path) == 0
    assert names(tmp_path) == [".hidden", folder.name, second.name, "kept.part"]
    assert clear_leftovers(tmp_path / "nothing") == 0


@pytest.mark.parametrize("call", ["save_arrays", "write_json", "atomic_write", "digest", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("older", [0, 2])
def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch, call, error, older):
    root = tmp_path / "run" / "checkpoints"
    saved(root, range(1, 1 + older), keep=2)
    before = sorted(path for path in tmp_path.rglob("*"))

    def fails(*arguments, **options):
        raise error

    owner = os if call == "replace" else snapshots
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, fails)
        with pytest.raises(type(error)) as caught:
            saved(root, [7], keep=1)
    if isinstance(error, OSError):
        assert caught.value.errno == 28 and str(caught.value.filename).endswith(f"{1 + older:07}-step-7")
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_the_counters_are_readable_json(tmp_path):
    (folder,) = saved(tmp_path, [4])
    assert json.loads((folder / "state.json").read_text(encoding="utf-8")) == state(4).counters
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
