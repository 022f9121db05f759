"""Every layer of shared/ passes one battery (battery.py) from one line of this table."""

import importlib
import inspect
import pkgutil

import pytest
from paddle import nn

import shared
from shared.activations import activation_names, get_activation
from shared.attention import (
    DenseSynthesizer,
    DotProduct,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    Mixture,
    MultiHeadAttention,
    Places,
    RandomSynthesizer,
    kind_names,
)
from shared.backbone import Backbone, BackboneConfig, Block, Embeddings
from shared.convolution import LocalConvolution
from shared.generative import EAE, MLP, VAE, Autoencoder, CodeNorm, ConvolutionDecoder, ConvolutionEncoder, TextDecoder, TextEncoder
from shared.generative.frechet import Classifier
from shared.heads import CopyHead, EfficientGlobalPointer, GlobalPointer, HalfPointer, LinearChainCRF, SpanHead, TiedLanguageModelHead
from shared.heads.crf_decode import bio_constraints
from shared.linear import Linear
from shared.masks import padding_mask, unilm_mask
from shared.norms import ConditionalLayerNorm, LayerNorm
from shared.similarity import SimBERT, SimilarityNetwork
from shared.text import Tokenizer, Vocabulary
from shared.unilm import UniLM

from .battery import CHECKS, Case, lengths, numbers, padded, places, real, segments, shares, whole

H, N, D, V, M = 8, 2, 4, 20, 12  # hidden, heads, head size, vocabulary, positions
KINDS = [*kind_names(), "random+dot_product", "dense+factorized_random+dot_product"]
ACTIVATIONS = {get_activation(name): name for name in reversed(activation_names())}.values()  # other names of one function are left out


def config(**changes):
    sizes = {"vocab_size": V, "hidden_size": H, "num_layers": 1, "num_heads": N, "intermediate_size": 10, "max_positions": M}
    return BackboneConfig(**{**sizes, **changes})


def backbone(**changes):
    return Backbone(config(**changes))


def crf():
    allowed, starts = bio_constraints(2)
    return LinearChainCRF(5, num_chains=2, allowed=allowed, allowed_start=starts)


def convolutions():
    return ConvolutionEncoder(1, 4, widths=(2, 3)), ConvolutionDecoder(2, 1, 4, widths=(3, 2)), 2


def simbert():
    vocabulary = Vocabulary.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"天地人你我他"])
    return SimBERT(backbone(), Tokenizer(vocabulary), max_length=6)


# -- calls with arguments that are no tensors ----------------------------------------------------------------------


def encode(layer, ids, segment_ids, real):
    return layer(ids, segment_ids=segment_ids, real=real).hidden


def encode_under_both_masks(layer, ids, segment_ids, real):
    """Padding and UniLM in one program."""
    out = layer(ids, segment_ids=segment_ids, real=real)
    under = layer(ids, segment_ids=segment_ids, real=real, mask=unilm_mask(segment_ids, real))
    return out.hidden, out.pre_norm, under.hidden


def encode_with_all_outputs(layer, ids, real, added):
    out = layer(ids, real=real, added=added, all_layers=True)
    return out.layers, out.pooled


def encode_under_condition(layer, ids, segment_ids, real, condition):
    return layer(ids, segment_ids=segment_ids, real=real, condition=condition).hidden


def write_and_find(layer, ids, segment_ids):
    return layer(ids, segment_ids), layer.unilm(ids, segment_ids)


def attend(layer, hidden, real):
    return layer(hidden, padding_mask(real))


def run_block(layer, hidden, real):
    return layer(hidden, padding_mask(real), None, ())[:2]


def score_pairs(layer, query, key):
    return layer([query], [key], Places(query.shape[2], key.shape[2]))


def score_tokens(layer, query):
    return layer([query], [], Places(query.shape[2], query.shape[2]))


def score_places(layer, states):
    return layer([], [], Places(states.shape[2], states.shape[2]))


# -- the table -----------------------------------------------------------------------------------------------------

TEXT = (whole("b l", V), segments("b l"), real())
PADDED = padded("b l", V)
STATES = numbers(f"b l {H}")
STATE = f"b l {H}"
QUERY = numbers(f"b {N} l {D}")
CONDITION = numbers("b 3")
PICTURE = shares("b 1 4 4")
CONSTANT = "gain and bias begin as 1 and 0"
UNROLLED = {"l": "the recursion over the tokens is written out, one step a token"}
CENTRED = "batch normalisation takes the mean away"


def encoder(name, call=encode, inputs=TEXT, outputs=(STATE,), **changes):
    return Case(f"Backbone {name}", lambda: backbone(**changes), inputs, outputs, call)


def attention(kind, **settings):
    sizes = {"hidden_size": H, "num_heads": N, "max_length": M, "dropout": 0.2}
    name = " ".join(["MultiHeadAttention", kind, *map(str, settings.values())])
    return Case(name, lambda: MultiHeadAttention(kind=kind, **sizes, **settings), (STATES, real()), (STATE,), attend)


ABSTRACT = {"Scores"}
"""Bases that cannot run by themselves."""

CASES = [
    *[encoder(kind, encode_under_both_masks, outputs=(STATE, STATE, STATE), attention=kind) for kind in KINDS],
    *[encoder(name, activation=name) for name in ACTIVATIONS],
    encoder("two blocks", encode_with_all_outputs, (TEXT[0], real(), STATES), (STATE, STATE, f"b {H}"), num_layers=2, has_pooler=True),
    encoder("double_backward", double_backward=True),
    encoder("condition", encode_under_condition, (*TEXT, CONDITION), condition_size=3),
    encoder("condition double_backward", encode_under_condition, (*TEXT, CONDITION), condition_size=3, double_backward=True),
    encoder("after_padding", position_start="after_padding", num_task_types=3, task_type=1),
    encoder("convolution", convolution_width=3),
    Case("Embeddings", lambda: Embeddings(config(), None), (TEXT[0], TEXT[1], places("b l"), STATES), (STATE,)),
    Case("Block", lambda: Block(config(), None), (STATES, real()), (STATE, STATE), run_block),
    *[attention(kind) for kind in KINDS],
    attention("random+dot_product", combine="sum"),
    attention("factorized_dense", tiling="tile"),
    attention("dot_product", double_backward=True),
    Case("DotProduct", lambda: DotProduct(D), (QUERY, QUERY), (f"b {N} l l",), score_pairs, undrawn="it has no weights"),
    Case("DenseSynthesizer", lambda: DenseSynthesizer(N, D, M), (QUERY,), (f"b {N} l l",), score_tokens),
    Case("FactorizedDenseSynthesizer", lambda: FactorizedDenseSynthesizer(N, D, M), (QUERY,), (f"b {N} l l",), score_tokens),
    Case("RandomSynthesizer", lambda: RandomSynthesizer(N, M), (QUERY,), (f"1 {N} l l",), score_places),
    Case("FactorizedRandomSynthesizer", lambda: FactorizedRandomSynthesizer(N, M), (QUERY,), (f"1 {N} l l",), score_places),
    Case("Mixture", lambda: Mixture([DotProduct(D), RandomSynthesizer(N, M)], N), (QUERY, QUERY), (f"b {N} l l",), score_pairs),
    Case("LayerNorm", lambda: LayerNorm(H), (STATES,), (STATE,), undrawn=CONSTANT),
    Case("LayerNorm double_backward", lambda: LayerNorm(H, double_backward=True), (STATES,), (STATE,), undrawn=CONSTANT),
    Case("ConditionalLayerNorm", lambda: ConditionalLayerNorm(H, 3), (STATES, CONDITION), (STATE,), undrawn=CONSTANT),
    Case("ConditionalLayerNorm hidden", lambda: ConditionalLayerNorm(H, 3, condition_hidden=2), (STATES, CONDITION), (STATE,)),
    Case("ConditionalLayerNorm tokens", lambda: ConditionalLayerNorm(H, 3), (STATES, numbers("b l 3")), (STATE,), undrawn=CONSTANT),
    Case("Linear", lambda: Linear(H, 3), (STATES,), ("b l 3",)),
    Case("LocalConvolution", lambda: LocalConvolution(H, 3), (STATES, real()), (STATE,)),
    Case("HalfPointer", lambda: HalfPointer(H, 3, power=2), (STATES,), ("b l 3 2",)),
    Case("GlobalPointer", lambda: GlobalPointer(H, 3, 4), (STATES, real()), ("b 3 l l",)),
    Case("GlobalPointer plain", lambda: GlobalPointer(H, 3, 4, rotary=False, upper_triangle=False), (STATES, real()), ("b 3 l l",)),
    Case("EfficientGlobalPointer", lambda: EfficientGlobalPointer(H, 3, 4), (STATES, real()), ("b 3 l l",)),
    Case("LinearChainCRF", crf, (numbers("b l 2 5"), whole("b l 2", 5), lengths()), ("b 2",), fixed=UNROLLED, undrawn="transitions begin as 0"),
    Case("TiedLanguageModelHead", lambda: TiedLanguageModelHead(H, V), (STATES, numbers(f"{V} {H}")), (f"b l {V}",)),
    Case("CopyHead", lambda: CopyHead(H, 4), (STATES, numbers(f"b 3 {H}")), ("b l 3",)),
    Case("SpanHead", lambda: SpanHead(H), (STATES, real()), ("b l 2",)),
    Case("UniLM", lambda: UniLM(backbone()), (PADDED, TEXT[1]), (f"b l {V}",)),
    Case("SimilarityNetwork mean", lambda: SimilarityNetwork(backbone(), pooling="mean"), (PADDED, TEXT[1]), (f"b {H}", f"b l {V}"), write_and_find),
    Case("SimBERT", simbert, (PADDED, TEXT[1]), (f"b {H}", f"b l {V}"), write_and_find),
    Case("MLP", lambda: MLP([16, 5, 16], output_shape=[1, 4, 4]), (PICTURE,), ("b 1 4 4",)),
    Case("ConvolutionEncoder", lambda: ConvolutionEncoder(1, 4, widths=(2, 3)), (PICTURE,), ("b 3",)),
    Case("ConvolutionDecoder", lambda: ConvolutionDecoder(3, 1, 4, widths=(3, 2)), (numbers("b 3"),), ("b 1 4 4",)),
    Case("TextEncoder", lambda: TextEncoder(backbone()), (PADDED,), (f"b {H}",)),
    Case("TextEncoder mean", lambda: TextEncoder(backbone(), pooling="mean"), (PADDED,), (f"b {H}",)),
    Case("TextDecoder", lambda: TextDecoder(backbone(), 3, start_id=1, end_id=2), (numbers("b 3"), PADDED), (f"b l-1 {V}",)),
    Case("CodeNorm", lambda: CodeNorm(3), (numbers("b 3"),), ("b 3",), undrawn="it has no gain"),
    Case("CodeNorm tau", lambda: CodeNorm(3, tau=0.5), (numbers("b 3"),), ("b 3",), undrawn="its gain begins even"),
    Case("Classifier", lambda: Classifier(16, 3, size=5, width=4), (PICTURE,), ("b 3",)),
    Case("Autoencoder", lambda: Autoencoder(*convolutions()), (PICTURE,), ("b 1 4 4",)),
    Case("VAE", lambda: VAE(MLP([16, 5]), MLP([2, 16], output_shape=[1, 4, 4]), 2), (PICTURE,), ("b 1 4 4",)),
    Case("VAE tau", lambda: VAE(MLP([16, 5]), MLP([2, 16]), 2, tau=0.5), (numbers("b 16"),), ("b 16",), idle={"mu_head.bias": CENTRED}),
    Case("EAE", lambda: EAE(*convolutions()), (PICTURE,), ("b 1 4 4",), idle={"head.bias": CENTRED}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_layer(check, case, tmp_path):
    check(case, tmp_path)


def test_the_table_misses_no_layer():
    found = set()
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, nn.Layer) and kind.__module__ == module.name and not name.startswith("_"):
                found.add(kind)
    covered = {type(case.new()) for case in CASES}
    assert {kind.__name__ for kind in found - covered} == ABSTRACT


def test_names_and_reasons_are_given_once():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert all(reason for case in CASES for reason in (*case.fixed.values(), *case.idle.values()))
