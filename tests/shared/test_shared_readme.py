"""shared/README.md and its Chinese twin: every example runs and prints what it says, every name that the library promises is there."""

import importlib
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / "shared" / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

PROMISED = {
    "shared.activations": "gelu gelu_tanh gelu_sigmoid fit_local fit_minimax_tanh fit_minimax_sigmoid fit_weighted approximation_report",
    "shared.masks": "padding_mask causal_mask unilm_mask packed_mask Mask",
    "shared.attention": """MultiHeadAttention DotProduct DenseSynthesizer RandomSynthesizer FactorizedDenseSynthesizer
        FactorizedRandomSynthesizer Mixture count_parameters""",
    "shared.norms": "LayerNorm ConditionalLayerNorm",
    "shared.heads": "HalfPointer GlobalPointer EfficientGlobalPointer LinearChainCRF SpanHead TiedLanguageModelHead",
    "shared.losses": "multilabel_cross_entropy sparse_multilabel_cross_entropy powered_bce seq2seq_cross_entropy in_batch_similarity",
    "shared.optim": "AdaX AdaXL2 AdaXW EMA equivalent_decay decay_criteria linear_schedule parameter_groups",
    "shared.robust": "RandomReplacement gradient_penalty FGM ScheduledSampling",
    "shared.decoding": "greedy beam_search sample rerank_mbr Trie SubstringAutomaton NGramBlock MinLength",
    "shared.generative": "Autoencoder VAE EAE knn_entropy kl_standard_normal geometric_regularizer coverage holes ellipses aggregate_moments",
    "shared.similarity": "SimBERT PairBatcher RetrievalIndex generate_synonyms",
    "shared.backbone": "Backbone BackboneConfig Cache",
    "shared.pretrained": "load_backbone save_encoder",
    "shared.unilm": "UniLM",
    "shared.text": "Tokenizer Vocabulary",
    "shared.features.ragged": "Ragged save_arrays load_arrays",
    "shared.features.batches": "token_budget_batches pad",
    "shared.training.loop": "train LoopSettings",
    "shared.training.checkpoint": "save_weights load_weights",
    "shared.environment": "prepare",
}
"""What people import (issue 5), by module. A name leaves this table only with a new major version."""


def examples(text):
    """The python blocks as (heading, code)."""
    parts = re.split(r"^#{2,3} (.*)$", text, flags=re.M)
    return [(heading, code) for heading, part in zip(parts[1::2], parts[2::2], strict=True) for kind, code in FENCE.findall(part) if kind]


def rooms(text):
    """The table of modules: (module, sources, names)."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `shared.")]
    return [(cells[0].strip("`"), cells[2], cells[3].replace("`", "").split()) for cells in rows if len(cells) == 4]


@pytest.fixture
def own_environment():
    """What `prepare` sets stays in the example."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("code", [pytest.param(code, id=heading) for heading, code in examples(ENGLISH)])
def test_the_example_runs_and_prints_what_it_says(code):
    lines = code.splitlines()
    promised = {number: line.split("  # ", 1)[1] for number, line in enumerate(lines, 1) if line.lstrip().startswith("print(")}
    printed = set()

    def checked_print(*values):
        number, said = sys._getframe(1).f_lineno, " ".join(map(str, values))
        assert promised[number] == said or promised[number].startswith(f"{said}: "), f"line {number} printed {said!r}"
        printed.add(number)

    assert promised or "assert " in code
    exec(compile(code, "README.md", "exec"), {"__name__": "example", "print": checked_print})
    assert printed == set(promised)


def test_both_languages_have_the_same_code_and_names():
    assert [code for _, code in examples(ENGLISH)] == [code for _, code in examples(CHINESE)]
    assert rooms(ENGLISH) == rooms(CHINESE)
    prose_of = [FENCE.sub("", text) for text in (ENGLISH, CHINESE)]
    for level in ("# ", "## ", "### "):
        assert len({len(re.findall(f"^{level}", prose, re.M)) for prose in prose_of}) == 1
    for pattern in (r"\]\(([^)]*)\)", r"`([^`\n]+)`", r"\d+\.\d+(?:\.\d+)?"):
        mine, theirs = (set(re.findall(pattern, prose)) for prose in prose_of)
        assert mine - {"README.zh-CN.md"} == theirs - {"README.md"}


@pytest.mark.parametrize(("module", "names"), PROMISED.items())
def test_promised_names_are_there_and_shown(module, names):
    found = importlib.import_module(module)
    for name in names.split():
        assert hasattr(found, name), f"{module} has no {name}"
        for text in (ENGLISH, CHINESE):
            shown = " ".join([code for _, code in examples(text)] + [name for _, _, listed in rooms(text) for name in listed])
            assert re.search(rf"\b{name}\b", shown), f"{name} stands in no example and not in the table"


def test_the_table_lists_modules_and_names_that_exist():
    assert {module for module, _, _ in rooms(ENGLISH)} >= set(PROMISED)
    for module, sources, names in rooms(ENGLISH):
        found = importlib.import_module(module)
        assert names and not [name for name in names if not hasattr(found, name)], module
        assert all(address.startswith(("https://kexue.fm/archives/", "https://arxiv.org/abs/")) for address in re.findall(r"\((.*?)\)", sources))


def test_modules_named_in_the_prose_exist():
    for name in set(re.findall(r"`(shared(?:\.\w+)+)`", FENCE.sub("", ENGLISH))):
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last) or importlib.import_module(name)
