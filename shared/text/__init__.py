"""Text with exact character offsets: vocabulary, tokenizer, spans. Needs numpy only."""

from .spans import occurrences, span_to_tokens, spans_to_tokens, token_span
from .tokenizer import Encoding, Tokenizer
from .vocabulary import Vocabulary

__all__ = ["Encoding", "Tokenizer", "Vocabulary", "occurrences", "span_to_tokens", "spans_to_tokens", "token_span"]
