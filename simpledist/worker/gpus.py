"""GPUs of a worker: which one each of its children sees, by the variables that CUDA and ROCm read.

Pure. ROCm numbers what ROCR_VISIBLE_DEVICES leaves from 0, and HIP_VISIBLE_DEVICES (which takes CUDA's name as well)
counts among these; so where the first one is set, as Slurm does, the others are 0.
"""

from __future__ import annotations

from collections.abc import Mapping

CUDA, HIP, ROCR = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"

Variables = Mapping[str, str]


def gpus(count: int, environment: Mapping[str, str]) -> tuple[Variables, ...]:
    """Return the variables for each of so many GPUs: the first ones that this process may see.

    Raises ValueError, with one line for people, where it sees fewer.
    """
    limit = next((name for name in (ROCR, HIP, CUDA) if environment.get(name, "").strip()), None)
    visible = environment[limit] if limit else ",".join(map(str, range(count)))
    names = visible.replace(" ", "").split(",")
    if count > len(names):
        raise ValueError(f"{limit}={visible} leaves {len(names)} to this worker")
    if limit == ROCR:
        return tuple({ROCR: name, HIP: "0", CUDA: "0"} for name in names[:count])
    return tuple({CUDA: name, HIP: name} for name in names[:count])
