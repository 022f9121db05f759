"""Models of the reading track, one file each."""
