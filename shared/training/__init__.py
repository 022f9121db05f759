"""The training loop, its events and its checkpoints. It draws nothing: callers do."""
