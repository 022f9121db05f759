import numpy as np
import paddle
import pytest

from shared.backbone import Backbone, BackboneConfig
from shared.convolution import LocalConvolution
from shared.masks import causal_mask

B, L, H, WIDTH = 2, 7, 8, 5


@pytest.fixture
def layer():
    paddle.seed(3)
    made = LocalConvolution(H, WIDTH, weight_attr=paddle.ParamAttr(initializer=paddle.nn.initializer.Normal(0.0, 0.3)))
    made.norm.weight.set_value(1 + 0.1 * paddle.randn([H]))
    made.eval()
    return made


def test_it_is_the_sum_over_neighbours(layer):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((B, L, H)).astype(np.float32)  # [b, l, h]
    real = np.arange(L) < np.array([[L], [4]])  # [b, l]
    weight, bias = layer.mix.weight.numpy(), layer.mix.bias.numpy()  # [w * h, h], [h]
    expected = np.zeros_like(hidden)  # [b, l, h]
    for b in range(B):
        for i in range(L):
            total = bias.copy()  # [h]
            for k in range(WIDTH):
                j = i + k - WIDTH // 2
                if 0 <= j < L and real[b, j]:
                    total += hidden[b, j] @ weight[k * H : (k + 1) * H]
            gelu = paddle.nn.functional.gelu(paddle.to_tensor(total)).numpy()  # [h]
            summed = hidden[b, i] + gelu  # [h]
            normed = (summed - summed.mean()) / np.sqrt(summed.var() + 1e-12)  # [h]
            expected[b, i] = normed * layer.norm.weight.numpy() + layer.norm.bias.numpy()
    found = layer(paddle.to_tensor(hidden), paddle.to_tensor(real)).numpy()  # [b, l, h]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("width", [0, 2, -1])
def test_a_width_without_a_middle_is_refused(width):
    with pytest.raises(ValueError, match="odd number"):
        LocalConvolution(H, width)


def test_an_encoder_with_it_ignores_padding_and_refuses_masks():
    config = BackboneConfig(
        vocab_size=30, hidden_size=H, num_layers=1, num_heads=2, intermediate_size=16, dropout=0.0, attention_dropout=0.0, convolution_width=3
    )
    paddle.seed(1)
    encoder = Backbone(config)
    encoder.eval()
    together = encoder(paddle.to_tensor([[5, 6, 7, 8], [9, 10, 0, 0]])).hidden  # [b, l, h]
    alone = encoder(paddle.to_tensor([[9, 10]])).hidden  # [1, 2, h]
    np.testing.assert_allclose(together[1, :2].numpy(), alone[0].numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="convolution_width=0"):
        encoder(paddle.to_tensor([[5, 6, 7, 8]]), mask=causal_mask(4))
    with pytest.raises(ValueError, match="odd"):
        BackboneConfig.from_dict({**config.as_dict(), "convolution_width": 4})


def test_what_a_task_adds_is_summed_with_the_embeddings():
    config = BackboneConfig(vocab_size=30, hidden_size=H, num_layers=1, num_heads=2, intermediate_size=16, dropout=0.0, attention_dropout=0.0)
    paddle.seed(1)
    encoder = Backbone(config)
    encoder.eval()
    ids = paddle.to_tensor([[5, 6, 7]])
    other = encoder.embeddings.token.weight[9] - encoder.embeddings.token.weight[6]  # [h]
    added = paddle.stack([paddle.zeros([H]), other, paddle.zeros([H])]).unsqueeze(0)  # [1, l, h]
    np.testing.assert_allclose(encoder(ids, added=added).hidden.numpy(), encoder(paddle.to_tensor([[5, 9, 7]])).hidden.numpy(), atol=1e-5)
