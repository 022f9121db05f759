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


def resident_memory_mib() -> float:
    """Memory of this process that is resident now, in MiB; its peak where the platform does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(peak_memory_mib() or 0)
