import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors import safe_open

from shared.errors import InputError
from shared.training.checkpoint import load_weights, save_weights


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
    load_weights(loaded, tmp_path / "deep" / "w.safetensors")
    for name, value in values(saved).items():
        np.testing.assert_array_equal(values(loaded)[name], value)
    with safe_open(str(tmp_path / "deep" / "w.safetensors"), "np") as file:
        assert file.metadata() == {"step": "7"}
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
    with pytest.raises(Exception):  # noqa: B017  (metadata must be strings)
        save_weights(layer(2), path, metadata={"step": 7})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]
