"""Decoding for any step function: greedy, beam search, sampling, constraints, minimum-Bayes-risk choice."""

from .constraints import EVERY_TOKEN, Constraint, Forbidden, MinLength, NGramBlock, TokenSet
from .grammar import Choice, Literal, Repeat, Sequence
from .hypothesis import Hypothesis
from .patterns import Pattern, SubstringAutomaton, Trie
from .rerank import Ranked, rerank_mbr
from .sampling import filter_probabilities, sample
from .search import beam_search, greedy, length_penalty
from .steps import Step, from_prefixes, select_rows

__all__ = [
    "EVERY_TOKEN",
    "Choice",
    "Constraint",
    "Forbidden",
    "Hypothesis",
    "Literal",
    "MinLength",
    "NGramBlock",
    "Pattern",
    "Ranked",
    "Repeat",
    "Sequence",
    "Step",
    "SubstringAutomaton",
    "TokenSet",
    "Trie",
    "beam_search",
    "filter_probabilities",
    "from_prefixes",
    "greedy",
    "length_penalty",
    "rerank_mbr",
    "sample",
    "select_rows",
]
