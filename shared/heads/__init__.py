"""What stands on an encoder: layers that turn hidden states into scores, and their decoders."""

from .copying import CopyHead
from .crf import LinearChainCRF
from .crf_decode import bio_constraints, bio_spans, viterbi
from .global_pointer import EfficientGlobalPointer, GlobalPointer
from .half_pointer import HalfPointer, span_tags
from .language_model import TiedLanguageModelHead
from .span import SpanHead

__all__ = [
    "CopyHead",
    "EfficientGlobalPointer",
    "GlobalPointer",
    "HalfPointer",
    "LinearChainCRF",
    "SpanHead",
    "TiedLanguageModelHead",
    "bio_constraints",
    "bio_spans",
    "span_tags",
    "viterbi",
]
