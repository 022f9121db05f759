"""What is seen of a trained encoder's attention."""

import numpy as np
import paddle
import pytest

from pipelines.labs.attention_seen import input_share, last_weights, matrices
from shared.attention import FactorizedRandomSynthesizer, RandomSynthesizer
from shared.backbone import Backbone, BackboneConfig

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_heads": 2, "intermediate_size": 8, "max_positions": 12, "initializer_range": 0.5}


def _encoder(kind, layers=2):
    paddle.seed(0)
    made = Backbone(BackboneConfig(attention=kind, num_layers=layers, **SIZES))
    made.eval()
    return made


def test_the_input_makes_nothing_of_a_random_row_and_a_part_of_the_others():
    ids = paddle.to_tensor(np.random.default_rng(0).integers(1, 30, [5, 7]))
    shares = {kind: input_share(last_weights(_encoder(kind), ids)) for kind in ("random", "dense", "dot_product")}
    assert shares["random"] < 1e-9 and 0 < shares["dense"] < 1 and 0 < shares["dot_product"] < 1


def test_where_rows_only_swap_their_places_the_input_makes_everything():
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])[:, None, None]  # [t, n, l, l] of one query
    assert input_share(weights) == 1


def test_a_layer_below_is_needed():
    with pytest.raises(ValueError, match="num_layers=2"):
        last_weights(_encoder("dense", 1), paddle.ones([1, 3], dtype="int64"))


def test_matrices_are_the_scores_of_the_places():
    from shared.attention import Places

    for scores in (RandomSynthesizer(2, 6), FactorizedRandomSynthesizer(2, 6, rank=2)):
        np.testing.assert_allclose(matrices(scores), scores([], [], Places(6, 6)).numpy()[0], rtol=1e-5, atol=1e-6)
