"""Engines: what a recorded graph answers is what the layer answers, at any sizes, and a damaged recording is refused."""

import json
import shutil

import numpy as np
import paddle
import pytest
from paddle import nn

from shared.errors import InputError
from shared.inference import EagerEngine, Graph, Input, Network
from shared.inference.onnx import OnnxEngine
from shared.inference.recorded import CONSTANTS, MANIFEST, read_arrays, read_manifest
from shared.inference.recording import convert, record
from shared.inference.static import StaticEngine
from shared.training.checkpoint import save_arrays

ENGINES = {"static": (record, StaticEngine), "onnx": (convert, OnnxEngine)}


class Twice(nn.Layer):
    """Reads rows once, and then answers about some of them: two graphs that share weights."""

    def __init__(self):
        super().__init__()
        paddle.seed(3)
        self.table, self.project = nn.Embedding(11, 6), nn.Linear(6, 4)

    def network(self):
        def read(ids):
            hidden = self.table(ids)  # [b, l, 6]
            return self.project(hidden), hidden  # [b, l, 4], [b, l, 6]

        def chosen(hidden, rows, mask):
            picked = paddle.index_select(hidden, rows)  # [n, l, 6]
            return (paddle.where(paddle.index_select(mask.astype("int64"), rows).astype("bool").unsqueeze(-1), self.project(picked), -1.0),)

        graphs = {
            "read": Graph(read, {"ids": Input(("b", "l"), "int64")}, ("scores", "hidden")),
            "chosen": Graph(chosen, {"hidden": Input(("b", "l", 6)), "rows": Input(("n",), "int64"), "mask": Input(("b", "l"), "bool")}, ("scores",)),
        }
        return Network(self, graphs, {"moves": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"名": "值", "count": 3})


def built():
    layer = Twice()
    layer.eval()
    return layer


@pytest.fixture(scope="module", params=ENGINES)
def recorded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    make, engine = ENGINES[request.param]
    make(built().network(), folder, about={"weights": "abc"})
    return request.param, folder, engine


@pytest.mark.parametrize(("b", "l"), [(1, 1), (3, 7), (2, 40)])
def test_a_recorded_graph_answers_as_the_layer(recorded, b, l):
    kind, folder, engine = recorded
    eager, other = EagerEngine(built().network()), engine(folder, threads=1)
    rng = np.random.default_rng(b * l)
    inputs = {"ids": rng.integers(0, 11, (b, l))}
    answers = []
    for one in (eager, other):
        read = one.run("read", inputs, keep=("hidden",))
        asked = {"hidden": read["hidden"], "rows": np.array([b - 1, 0]), "mask": rng.random((b, l)) < 2}
        answers.append((read["scores"], one.run("chosen", asked)["scores"]))
    for expected, found in zip(*answers, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert other.name == kind and other.facts == {"名": "值", "count": 3}
    np.testing.assert_array_equal(other.constants["moves"], eager.constants["moves"])


def test_a_recording_keeps_the_weights_it_was_made_with(recorded):
    _, folder, engine = recorded
    layer = built()
    layer.project.bias.set_value(paddle.full([4], 9.0))
    ids = np.array([[1, 2]])
    assert (EagerEngine(layer.network()).run("read", {"ids": ids})["scores"] - engine(folder).run("read", {"ids": ids})["scores"] > 5).all()


def test_a_layer_in_training_is_not_recorded(tmp_path):
    with pytest.raises(ValueError, match="call eval"):
        record(Twice().network(), tmp_path)


def copied(recorded, tmp_path):
    _, folder, engine = recorded
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy", engine


@pytest.mark.parametrize("fault", ["flipped", "missing", "constants"])
def test_a_damaged_file_is_named(recorded, tmp_path, fault):
    folder, engine = copied(recorded, tmp_path)
    place = folder / CONSTANTS if fault == "constants" else next(path for path in sorted(folder.iterdir()) if path.name.startswith("read"))
    if fault == "missing":
        place.unlink()
    else:
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 1
        place.write_bytes(bytes(data))
    with pytest.raises(InputError) as caught:
        engine(folder)
    (problem,) = caught.value.problems
    assert problem.code == "LIC-I003" and problem.file == str(place)


def test_other_versions_and_other_engines_are_refused(recorded, tmp_path):
    folder, engine = copied(recorded, tmp_path)
    said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for changed in ({**said, "version": 99}, {**said, "kind": "other"}):
        (folder / MANIFEST).write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(InputError) as caught:
            engine(folder)
        assert caught.value.problems[0].code == "LIC-I002"
    for text in ("", "{}", "[]", '{"version": 1}'):
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            engine(folder)
        assert caught.value.problems[0].code == "LIC-I001"


def test_arrays_come_back_from_safetensors(tmp_path):
    arrays = {
        "a": np.array([[1.5, -2.0]], dtype=np.float32),
        "b": np.array([1, 2, 3]),
        "c": np.array([True, False]),
        "空": np.zeros((0, 3), dtype=np.float16),
    }
    save_arrays(tmp_path / "x.safetensors", arrays)
    found = read_arrays(tmp_path / "x.safetensors")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    data = (tmp_path / "x.safetensors").read_bytes()
    for size in (0, 5, 40, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises((ValueError, KeyError)):
            read_arrays(tmp_path / "cut")


def test_the_manifest_says_where_the_graphs_come_from(recorded):
    kind, folder, _ = recorded
    said = read_manifest(folder, kind)
    assert said.about == {"weights": "abc"} and set(said.graphs) == {"read", "chosen"} and said.graphs["read"].outputs == ("scores", "hidden")
