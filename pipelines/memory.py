"""How much memory this process has used."""

from __future__ import annotations

import sys


def peak_memory_mib() -> int | None:
    """Largest resident set so far in MiB, or None where the platform does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
