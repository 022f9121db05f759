"""Models of the relation track, one file each."""
