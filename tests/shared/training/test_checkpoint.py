import json
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors import safe_open
from safetensors.numpy import load, save

from shared.errors import InputError
from shared.training.checkpoint import ABOUT, arrays_of, load_arrays, load_weights, save_arrays, save_weights


def layer(seed=0, width=4):
    paddle.seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1D(width), nn.Linear(width, 2))


def values(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def test_round_trip_bit_for_bit(tmp_path):
    saved = layer(1)
    saved(paddle.randn([8, 3]))  # moves the running statistics, which are buffers
    save_weights(saved, tmp_path / "deep" / "w.safetensors", metadata={"step": "7"})
    loaded = layer(2)
    assert any((values(loaded)[name] != value).any() for name, value in values(saved).items())
    metadata = load_weights(loaded, tmp_path / "deep" / "w.safetensors")
    for name, value in values(saved).items():
        np.testing.assert_array_equal(values(loaded)[name], value)
    assert metadata.pop("sha256") and metadata == {"step": "7"}
    with safe_open(str(tmp_path / "deep" / "w.safetensors"), "np") as file:  # any reader of safetensors has them
        assert sorted(file.keys()) == sorted(values(saved)) and json.loads(file.metadata()[ABOUT])["step"] == "7"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "absent", "folder"])
def test_a_damaged_file_is_the_users_to_mend(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    save_weights(layer(), path)
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "absent":
        path.write_bytes({"cut": content[:-9], "empty": b"", "noise": b"\xff" * 64}[damage])
    model = layer(3)
    before = values(model)
    with pytest.raises(InputError, match="unreadable weights") as caught:
        load_weights(model, path)
    assert caught.value.problems[0].file == str(path)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_misfit_names_the_tensors_and_changes_nothing(tmp_path):
    save_weights(nn.Sequential(nn.Linear(3, 5)), tmp_path / "w.safetensors")
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = values(model)
    with pytest.raises(InputError) as caught:
        load_weights(model, tmp_path / "w.safetensors")
    found = caught.value.problems[0].found
    assert "1.weight missing" in found and "0.weight [3, 5] instead of [3, 4]" in found
    save_weights(layer(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"2\.weight unexpected"):
        load_weights(model, tmp_path / "w.safetensors")
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


class Unsaveable(nn.Layer):
    def state_dict(self):
        class Broken:
            def numpy(self):
                return np.array([object()])

        return {"weight": Broken()}


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(layer(1), path)
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017  (whatever the library says to an array of objects)
        save_weights(Unsaveable(), path)
    with pytest.raises(TypeError):  # metadata must be strings
        save_weights(layer(2), path, metadata={"step": {7}})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


# -- bytes and checksums -----------------------------------------------------------------------------------------

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.arange(5, dtype=np.float16),
    "c/moment": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "字": np.array([True, False]),
}
METADATA = {"best": '{"step": 3}', "name": "甲", "a": "1", "z": "2"}


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    """In any order, also of the metadata, of which the library would write several entries in an order of its own."""
    turned = {name: ARRAYS[name].T.copy().T for name in reversed(ARRAYS)}
    assert not turned["b"].flags.c_contiguous
    for number, (arrays, metadata) in enumerate([(ARRAYS, METADATA), (turned, dict(reversed(METADATA.items())))]):
        save_arrays(tmp_path / f"{number}.safetensors", arrays, metadata=metadata)
    content = (tmp_path / "0.safetensors").read_bytes()
    assert (tmp_path / "1.safetensors").read_bytes() == content
    program = (
        "import sys, numpy as np\n"
        "from shared.training.checkpoint import load_arrays, save_arrays\n"
        "arrays, metadata = load_arrays(sys.argv[1])\n"
        "save_arrays(sys.argv[2], arrays, metadata=metadata)\n"
    )
    subprocess.run([sys.executable, "-c", program, *(str(tmp_path / f"{number}.safetensors") for number in (0, 2))], check=True, capture_output=True)
    assert (tmp_path / "2.safetensors").read_bytes() == content
    arrays, metadata = load_arrays(tmp_path / "2.safetensors")
    assert {**metadata, "sha256": ""} == {**METADATA, "sha256": ""}
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype and arrays[name].shape == value.shape and arrays[name].tobytes() == value.tobytes()


def test_metadata_leaves_the_arrays_bytes_alone(tmp_path):
    tails = []
    for number, metadata in enumerate([None, METADATA]):
        save_arrays(tmp_path / f"{number}.safetensors", ARRAYS, metadata=metadata)
        content = (tmp_path / f"{number}.safetensors").read_bytes()
        tails.append(content[8 + int.from_bytes(content[:8], "little") :])
    assert tails[0] == tails[1] and len(tails[0]) == sum(value.nbytes for value in ARRAYS.values())


@pytest.mark.parametrize("change", ["number", "name", "shape", "type"])
def test_numbers_that_are_not_those_that_were_written(tmp_path, change):
    path = tmp_path / "w.safetensors"
    save_weights(layer(1), path, metadata={"step": "7"})
    if change == "number":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        with safe_open(str(path), "np") as file:
            about = file.metadata()
        arrays = load(path.read_bytes())
        value = arrays.pop("0.weight")
        arrays["0.weights" if change == "name" else "0.weight"] = {"name": value, "shape": value.T.copy(), "type": value.view(np.int32)}[change]
        path.write_bytes(save(arrays, metadata=about))
    model = layer(3)
    before = values(model)
    with pytest.raises(InputError, match="checksum differs") as caught:
        load_weights(model, path)
    assert caught.value.problems[0].code == "LIC-K003" and caught.value.problems[0].file == str(path)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_file_without_a_checksum_is_read_as_it_is(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save({"a": np.ones(3, np.float32)}))
    arrays, metadata = load_arrays(tmp_path / "w.safetensors")
    assert arrays["a"].tolist() == [1.0] * 3 and metadata == {}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_comes_back_bit_for_bit(tmp_path, dtype):
    paddle.seed(1)
    saved, loaded = nn.Linear(40, 30).to(dtype=dtype), nn.Linear(40, 30).to(dtype=dtype)
    assert {array.dtype for array in arrays_of(saved.state_dict()).values()} == {np.dtype("float32" if dtype == "bfloat16" else "float16")}
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    for one, two in zip(saved.parameters(), loaded.parameters(), strict=True):
        assert one.dtype == two.dtype and one.numpy().tobytes() == two.numpy().tobytes()
    whole = nn.Linear(40, 30)  # a float32 layer takes them as they are
    load_weights(whole, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(whole.weight.numpy(), saved.weight.astype("float32").numpy())
