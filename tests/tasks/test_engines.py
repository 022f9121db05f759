"""Every model that can be recorded: its graphs answer as the layer, and what is decoded of them is the same."""

import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.inference import EagerEngine
from shared.inference.onnx import OnnxEngine
from shared.inference.recording import convert, record
from shared.inference.static import StaticEngine
from shared.text import Tokenizer, Vocabulary
from tasks.reading.records import Answer, ReadingRecord
from tasks.recipe import FeatureSettings, load_recipe, override
from tasks.registry import get_task
from tasks.title.records import TitleRecord

from .test_gplinker import ROWS as GROUPS
from .test_gplinker import SCHEMAS

PASSAGE = "星海杯创办于一九八七年，首届在北川市举行，共有十六支球队参加。"
ROWS = {
    **GROUPS,
    "reading": [
        ReadingRecord("q1", "星海杯是哪一年创办的", PASSAGE, (Answer("一九八七年", 6),)),
        ReadingRecord("q2", "首届在哪里举行", PASSAGE * 6, (Answer("北川市", 15),)),
        ReadingRecord("q3", "几支球队", PASSAGE, None),
    ],
    "title": [TitleRecord(PASSAGE, "星海杯的历史"), TitleRecord(PASSAGE * 3), TitleRecord("无事")],
}
MODELS = {
    "crf": ("event", []),
    "crf, flat": ("event", ["model.tagging=flat"]),
    "event gplinker": ("event", ["model.name=gplinker"]),
    "event gplinker, full": ("event", ["model.name=gplinker", "model.head=full"]),
    "casrel": ("relation", []),
    "relation gplinker": ("relation", ["model.name=gplinker"]),
    "relation gplinker, types": ("relation", ["model.name=gplinker", "model.entities=type"]),
    "event generate": ("event", ["model.name=generate"]),
    "relation generate": ("relation", ["model.name=generate"]),
    "reading generate": ("reading", ["model.name=generate", "model.copy_size=0"]),
    "title": ("title", []),
    "span": ("reading", []),
    "span, marks and no answer": ("reading", ["model.word_in_question=true", "model.no_answer=true"]),
}


_LOW = {"span_threshold": 0.1, "link_threshold": 0.1, "slot_threshold": 0.1}
DECODE = {
    "casrel": {"subject_threshold": 0.05, "object_threshold": 0.01, "link_threshold": 0.3},
    "relation gplinker": _LOW,
    "relation gplinker, types": _LOW,
    "event generate": {"beam": 3, "length_penalty": "mean", "max_target": 24},
    "relation generate": {"search": "mbr", "samples": 3, "max_target": 30},
    "reading generate": {"beam": 2, "max_target": 10, "n_best": 2},
    "title": {"beam": 3, "max_target": 8, "n_best": 3, "no_repeat_ngram": 2},
}
"""Thresholds at which a random model finds something."""


def kit(name):
    """Task, recipe, schema, vocabulary, records and their features, and a model whose every weight is random, so that much is found."""
    track, settings = MODELS[name]
    task, rows = get_task(track), ROWS[track]
    if name.startswith("relation gplinker"):
        rows = rows[2:]  # all spans of a random model are linked: thousands of triples for a longer text
    quick = load_recipe(task.recipes, "quick")
    recipe = override(quick.model_copy(update={"model": {}, "decode": DECODE.get(name, {})}), settings)
    vocabulary = Vocabulary.build([task.text_of(row) for row in rows], max_size=300)
    schema = SCHEMAS.get(track)
    features = task.make_features(rows, schema, Tokenizer(vocabulary), FeatureSettings(window=60, overlap=16))
    paddle.seed(5)
    config = BackboneConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_layers=2, num_heads=2, intermediate_size=64, dropout=0.0, attention_dropout=0.0
    )
    model = task.build_model(Backbone(config), schema, recipe)
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.set_value(paddle.to_tensor(rng.normal(0.0, 0.3, parameter.shape).astype(np.float32)))
    model.eval()
    return task, recipe, schema, vocabulary, rows, features, model


def plain(predictions):
    """Without probabilities, which may differ by rounding."""
    return [[one._replace(probability=0.0) for one in row] for row in predictions]


@pytest.mark.parametrize("name", MODELS)
def test_recorded_models_find_the_same(name, tmp_path):
    task, recipe, schema, vocabulary, rows, features, model = kit(name)
    expected = task.predict(model, features, rows, schema, vocabulary, recipe)
    assert any(expected), "nothing is found, so nothing is compared"
    for kind, make, engine in (("static", record, StaticEngine), ("onnx", convert, OnnxEngine)):
        folder = tmp_path / kind
        folder.mkdir()
        make(model.network(), folder)
        found = task.predict(model, features, rows, schema, vocabulary, recipe, engine=engine(folder, threads=1))
        assert plain(found) == plain(expected), kind
        for own, others in zip(found, expected, strict=True):
            np.testing.assert_allclose([one.probability for one in own], [one.probability for one in others], atol=1e-4)


def test_links_between_spans_that_are_far_apart(tmp_path):
    """Distances beyond the table's are the table's last, on every engine."""
    *_, model = kit("casrel")
    network = model.network()
    record(network, tmp_path)
    seen = np.random.default_rng(1).normal(size=(2, 300, 32)).astype(np.float32)  # [n, l, h]
    links = np.array([[0, 0, 1, 2, 280, 281], [1, 0, 290, 292, 3, 4], [1, 0, 5, 6, 9, 9]])  # [m, 6]
    (tmp_path / "onnx").mkdir()
    convert(network, tmp_path / "onnx")
    expected = EagerEngine(network).run("links", {"seen": seen, "links": links})["linked"]  # [m]
    for engine in (StaticEngine(tmp_path, threads=1), OnnxEngine(tmp_path / "onnx", threads=1)):
        np.testing.assert_allclose(engine.run("links", {"seen": seen, "links": links})["linked"], expected, atol=1e-5)
