"""``lic doctor``: what this machine has, whether it fits together, and the command that would mend what does not.

GPU facts are read from the paddlepaddle-gpu 2.6.2 wheel that PyPI serves; they were not tried on a GPU here.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from .console import emit_json, table

WHEEL_262 = {"cuda": "11.8", "cudnn": "8.6", "capabilities": ("6.1", "7.0", "7.5", "8.0", "8.6")}
TESTED = {
    "paddlepaddle": ("3.3.1", "2.6.2"),
    "paddlenlp": ("2.8.1",),
    "huggingface_hub": ("0.26.5",),
    "aistudio-sdk": ("0.2.6",),
    "datasets": ("3.1.0",),
    "pyarrow": ("18.1.0",),
    "pandas": ("2.2.3",),
    "numpy": ("1.26.4",),
}
CPU_INSTALL = 'pip install -c constraints-cpu.txt "lic2020[cpu]"'
GPU_INSTALL = 'pip install -c constraints-gpu.txt "lic2020[gpu]"'


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``state`` is ok, note or wrong; ``remedy`` what would mend it."""

    what: str
    found: str
    state: str
    remedy: str = ""


def doctor() -> list[Finding]:
    """Looks at Python, packages, paddle's build, GPUs, CUDA and cuDNN, threads and malloc. Changes nothing but this process."""
    from shared import environment

    prepared = environment.prepare()
    findings = [_python(), *_packages(), *_gpu()]
    findings.append(Finding("processor", f"{prepared.processor}, {environment.usable_cores()} usable cores", "ok"))
    threads = Finding("threads", str(prepared.threads), "ok")
    if prepared.threads < environment.usable_cores():
        threads = Finding("threads", f"{prepared.threads} of {environment.usable_cores()} cores", "note", "unset OMP_NUM_THREADS or set LIC_THREADS")
    findings.append(threads)
    findings.append(Finding("MKL path", _mkl_path(prepared), "ok"))
    if prepared.malloc_tuned:
        findings.append(Finding("malloc", "keeps freed memory (fewer page faults)", "ok"))
    else:
        findings.append(Finding("malloc", "as the platform has it", "note", "unset MALLOC_MMAP_THRESHOLD_ and LIC_KEEP_MALLOC, on glibc"))
    return findings


def _mkl_path(prepared: Any) -> str:
    return f"MKL_DEBUG_CPU_TYPE={prepared.mkl_debug_cpu_type}" if prepared.mkl_debug_cpu_type else "the library's own choice (not AMD)"


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < (3, 10) or sys.version_info >= (3, 13):
        return Finding("python", found, "wrong", "use Python 3.10 to 3.12; tested with 3.11")
    tested = sys.version_info[:2] == (3, 11)
    return Finding("python", found, "ok" if tested else "note", "" if tested else "tested with 3.11")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    findings = []
    for name, tested in TESTED.items():
        found = _installed(name) or (_installed("paddlepaddle-gpu") if name == "paddlepaddle" else None)
        if found is None:
            findings.append(Finding(name, "not installed", "wrong", CPU_INSTALL))
        elif found not in tested:
            findings.append(Finding(name, found, "note", f"tested with {' and '.join(tested)}: {CPU_INSTALL}"))
        else:
            findings.append(Finding(name, found, "ok"))
    return findings


def _gpu() -> list[Finding]:
    devices = _nvidia_smi()
    try:
        from shared import environment

        environment.import_paddle()
        import paddle
    except Exception as error:  # whatever stops the import is what the person must know
        return [Finding("paddle import", f"{type(error).__name__}: {error}", "wrong", CPU_INSTALL)]
    build = f"{paddle.__version__}, {'CUDA ' + str(paddle.version.cuda()) if paddle.is_compiled_with_cuda() else 'CPU build'}"
    findings = [Finding("paddle build", build, "ok")]
    if not devices:
        state = "note" if paddle.is_compiled_with_cuda() else "ok"
        return [*findings, Finding("GPU", "none seen by nvidia-smi", state, "" if state == "ok" else f"for this machine: {CPU_INSTALL}")]
    for name, capability in devices:
        findings.append(_device(name, capability, paddle))
    if paddle.is_compiled_with_cuda():
        findings += _libraries(str(paddle.version.cudnn()))
    return findings


def _device(name: str, capability: str, paddle: Any) -> Finding:
    found = f"{name}, compute capability {capability}"
    from_wheel = paddle.__version__.startswith("2.6.2")
    if not paddle.is_compiled_with_cuda():
        fits = capability in WHEEL_262["capabilities"]
        remedy = GPU_INSTALL if fits else "the PyPI wheel has no code for it: install a paddlepaddle-gpu 3.x build from Paddle's own index"
        return Finding("GPU", found + "; paddle is the CPU build", "note", remedy)
    if from_wheel and capability not in WHEEL_262["capabilities"]:
        has = ", ".join(WHEEL_262["capabilities"])
        return Finding("GPU", f"{found}; paddlepaddle-gpu 2.6.2 has code for {has} only", "wrong", "install a 3.x build from Paddle's own index")
    return Finding("GPU", found, "ok")


def _libraries(cudnn: str) -> list[Finding]:
    findings = []
    for label, library, want in (
        ("CUDA runtime", "cudart", f"CUDA {WHEEL_262['cuda']}"),
        ("cuBLAS", "cublas", f"CUDA {WHEEL_262['cuda']}"),
        ("cuDNN", "cudnn", f"cuDNN {WHEEL_262['cudnn']}"),
    ):
        path = ctypes.util.find_library(library)
        if path is None:
            folder = os.environ.get("LD_LIBRARY_PATH", "")
            remedy = f"install {want} and put its lib folder on LD_LIBRARY_PATH (now {folder or 'empty'})"
            findings.append(Finding(label, "not found", "wrong", remedy))
        else:
            findings.append(Finding(label, f"{path}{', built for cuDNN ' + cudnn if library == 'cudnn' else ''}", "ok"))
    return findings


def _nvidia_smi() -> list[tuple[str, str]]:
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in out.splitlines() if "," in line]
    return [(row[0].strip(), row[1].strip()) for row in rows]


def command(json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False) -> None:
    """Look at this machine: what it has, what fits, what to install."""
    findings = doctor()
    wrong = sum(finding.state == "wrong" for finding in findings)
    if json:
        emit_json({"wrong": wrong, "findings": [vars(finding) for finding in findings]})
    else:
        table("lic doctor", ["", "found", "state", "remedy"], [[f.what, f.found, f.state, f.remedy] for f in findings])
        typer.echo("Everything fits." if not wrong else f"{wrong} things do not fit; the remedies are in the table.")
    if wrong:
        raise typer.Exit(1)
