"""What stands on an encoder: layers that turn hidden states into scores, and their decoders."""
