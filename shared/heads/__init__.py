"""What stands on an encoder: layers that turn hidden states into scores, and their decoders."""

from .crf import LinearChainCRF
from .global_pointer import EfficientGlobalPointer, GlobalPointer
from .half_pointer import HalfPointer
from .language_model import TiedLanguageModelHead
from .span import SpanHead

__all__ = ["EfficientGlobalPointer", "GlobalPointer", "HalfPointer", "LinearChainCRF", "SpanHead", "TiedLanguageModelHead"]
