"""Attention kinds behind one interface: ``attention(hidden [b, l, h], mask) -> [b, l, h]``."""

from .dot_product import MultiHeadAttention

__all__ = ["MultiHeadAttention"]
