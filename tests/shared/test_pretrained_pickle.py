"""The one reader of pickle: arrays of a PaddleNLP zoo model come out, anything else is refused unrun."""

import collections
import io
import os
import pickle
import zlib  # noqa: F401  (before paddle: see shared/environment.py)

import numpy as np
import paddle
import pytest

from shared.errors import InputError
from shared.pdparams import read_pdparams


class _Runs:
    def __reduce__(self):
        return (os.system, ("echo should-never-run",))


@pytest.mark.parametrize(
    "content",
    [
        {"w": _Runs()},
        {"w": np.array([_Runs()], dtype=object)},
        {"w": np.array(["text"], dtype=object)},
        {"w": collections.Counter("ab")},
        {"w": "text"},
        ["not", "a", "state", "dict"],
    ],
    ids=["call", "call in array", "object array", "counter", "text", "list"],
)
def test_pickle_with_anything_but_arrays_is_refused(content, tmp_path, capfd):
    file = tmp_path / "model_state.pdparams"
    file.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(InputError, match="LIC-W010"):
        read_pdparams(file)
    assert "should-never-run" not in capfd.readouterr().out


def test_a_truncated_pickle_is_refused(tmp_path):
    stream = io.BytesIO()
    pickle.dump({"w": np.zeros(100)}, stream)
    (tmp_path / "model_state.pdparams").write_bytes(stream.getvalue()[:-50])
    with pytest.raises(InputError, match="LIC-W010"):
        read_pdparams(tmp_path / "model_state.pdparams")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickled_arrays_come_back_and_the_reading_is_said(protocol, tmp_path, caplog):
    paddle.seed(0)
    layer = paddle.nn.Linear(3, 2)
    file = tmp_path / "model_state.pdparams"
    paddle.save(layer.state_dict(), str(file), protocol=protocol)
    with caplog.at_level("WARNING", logger="shared.pdparams"):
        found = read_pdparams(file)
    assert set(found) == {"weight", "bias"}
    np.testing.assert_array_equal(found["weight"], layer.weight.numpy())
    assert "is pickle" in caplog.text
