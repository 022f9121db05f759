"""Models of the event track, one file each."""
