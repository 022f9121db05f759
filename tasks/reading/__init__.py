"""Machine reading comprehension, DuReader-robust: the piece of a passage that answers a question."""
