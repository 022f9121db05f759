"""Chooses the device of a process."""

from __future__ import annotations

import re

from shared.errors import input_error


def choose_device(device: str) -> str:
    """Sets paddle's device and returns it: ``auto`` is the first GPU that works, else the CPU. Raises InputError for what is not there."""
    import paddle

    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if device == "auto":
        device = "gpu:0" if count else "cpu"
    match = re.fullmatch(r"cpu|gpu(?::(\d+))?", device)
    if match is None:
        raise input_error(
            "LIC-G001", found=f"device {device!r}", expected="auto, cpu, gpu or gpu:N", remedy="Correct --device."
        )
    if device != "cpu" and int(match.group(1) or 0) >= count:
        raise input_error(
            "LIC-G002",
            found=f"device {device}, but paddle {paddle.__version__} sees {count} GPUs",
            expected="a device of this machine",
            remedy="Use --device cpu, or see lic doctor for what is missing.",
        )
    paddle.device.set_device(device)
    return device
