"""The heads' own decoders, from tensors to spans."""

import numpy as np
import paddle

from shared.heads import HalfPointer, LinearChainCRF, bio_constraints, bio_spans, span_tags, viterbi


def test_a_crf_decodes_by_its_own_constraints():
    paddle.seed(2)
    allowed, starts = bio_constraints(2)
    crf = LinearChainCRF(5, num_chains=3, allowed=allowed, allowed_start=starts)
    crf.transitions.set_value(paddle.randn(crf.transitions.shape))
    emissions, lengths = paddle.randn([4, 6, 3, 5]) * 3, paddle.to_tensor([6, 1, 4, 2])  # [4, 6, 3, 5], [4]
    tags = crf.decode(emissions, lengths)
    expected, _ = viterbi(emissions.numpy(), crf.masked_transitions().numpy(), lengths.numpy(), starts=starts)
    np.testing.assert_array_equal(tags, expected)
    assert starts[tags[:, 0]].all()
    for row, length in enumerate(lengths.tolist()):
        assert allowed[tags[row, : length - 1], tags[row, 1:length]].all()
        assert (tags[row, length:] == 0).all()
        assert sum(len(bio_spans(tags[row, :, chain], length)) for chain in range(3)) == (tags[row] % 2 == 1).sum()


def test_half_pointers_decode_what_was_tagged():
    head = HalfPointer(8, 2)
    spans = [[(0, 0, 1), (0, 3, 3), (1, 2, 4)], [(1, 0, 0)], []]
    tags = np.stack([span_tags(row, 6, 2) for row in spans])
    logits, mask = paddle.to_tensor(tags * 20 - 10), paddle.to_tensor([[1.0] * 6, [1.0] * 2 + [0.0] * 4, [1.0] * 6])
    assert head.decode(logits, mask) == spans
    beyond = logits.clone()
    beyond[1, 3] = 10.0  # behind the row
    assert head.decode(beyond, mask) == spans
    assert head.decode(logits - 1, mask, threshold=0.9999) == [[], [], []]
