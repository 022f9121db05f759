"""Prepares a process for Paddle. Call :func:`prepare` before anything imports paddle; ``import shared`` never does.

What it sets and why (figures in docs/decisions.md):

* ``zlib`` is imported first: where Python's zlib is a shared module, paddle 2.6 imported before it makes every later
  decompression crash.
* OpenMP and MKL threads: paddle starts with one.
* ``MKL_DEBUG_CPU_TYPE=5`` on AMD processors: the MKL that paddle ships takes its slow path there.
* glibc's malloc keeps freed memory instead of handing it back to the kernel: paddle's CPU allocator maps and unmaps
  every large tensor, and the page faults cost more than the arithmetic of most element-wise operations.
* ``FLAGS_use_stride_kernel=0``: with strided views, which paddle 3 has on, reading a transposed tensor on a CPU is about ten times slower.

Every setting gives way to one that the user made in the environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import platform
import sys
import warnings
import zlib  # noqa: F401  (must come before paddle; see above)
from dataclasses import asdict, dataclass

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_FREED_BYTES = 1 << 30


@dataclass(frozen=True)
class Environment:
    """What :func:`prepare` found and set; written beside every run's weights."""

    threads: int
    processor: str
    mkl_debug_cpu_type: str | None
    malloc_tuned: bool
    paddle_was_imported: bool

    def as_dict(self) -> dict:
        return asdict(self)


def usable_cores() -> int:
    """Cores this process may run on (cgroup and affinity aware where the platform says)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _cpuinfo(field: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(field):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def _tune_malloc() -> bool:
    if platform.libc_ver()[0] != "glibc" or "MALLOC_MMAP_THRESHOLD_" in os.environ or "LIC_KEEP_MALLOC" in os.environ:
        return False
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_FREED_BYTES)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_FREED_BYTES))
    except (OSError, AttributeError):
        return False


def prepare(threads: int | None = None) -> Environment:
    """Sets the process up and says what it did. Idempotent; late calls (paddle already imported) change what still can be.

    ``threads``: OpenMP and MKL threads; default: ``LIC_THREADS``, else what ``OMP_NUM_THREADS`` says, else every usable core.
    Raises ValueError for a thread count below 1.
    """
    if threads is None:
        asked = os.environ.get("LIC_THREADS") or os.environ.get("OMP_NUM_THREADS") or str(usable_cores())
        if not asked.isdecimal():
            raise ValueError(f"LIC_THREADS / OMP_NUM_THREADS must be a whole number of threads, found {asked!r}: unset it or give e.g. 2")
        threads = int(asked)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}: leave it out to use every core ({usable_cores()} here)")
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if _cpuinfo("vendor_id") == "AuthenticAMD":
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("FLAGS_use_stride_kernel", "0")
    return Environment(
        threads=threads,
        processor=_cpuinfo("model name") or platform.processor() or platform.machine(),
        mkl_debug_cpu_type=os.environ.get("MKL_DEBUG_CPU_TYPE"),
        malloc_tuned=_tune_malloc(),
        paddle_was_imported="paddle" in sys.modules,
    )


_KNOWN_NOISE = ("OMP_NUM_THREADS", "ccache")


def import_paddle() -> None:
    """Imports paddle without its advice about settings that :func:`prepare` made on purpose; anything else it says is passed on."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*ccache.*")
        import paddle  # noqa: F401
    for line in said.getvalue().splitlines():
        if not any(noise in line for noise in _KNOWN_NOISE):
            print(line, file=sys.stderr)
