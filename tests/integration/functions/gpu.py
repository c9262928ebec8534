"""A function that says which GPUs its process may use."""

from __future__ import annotations

import os
import time


def visible(seconds: float) -> tuple[int, tuple[str, ...]]:
    time.sleep(seconds)
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    return os.getpid(), tuple(os.environ.get(name, "-") for name in names)
