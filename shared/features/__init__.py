"""Features of many texts: ragged arrays on disk, and batches under a token budget."""
