"""Pretraining of an encoder on raw text: no track, but the same recipes, features on disk and training as one."""
