"""Blobs: shared objects, and buffers that come again. Whose bytes they are, and how often they travel."""

from __future__ import annotations

from tests.mutants.mutation import Mutation

FAULTS = "tests/faults/test_blobs.py"
UNIT = "tests/unit/test_repeated_buffers.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "blobs",
        "what Redis has is not compared with its name",
        "simpledist/worker/blob_store.py",
        "if digest.hexdigest() != name:",
        "if not digest:",
        f"{FAULTS} -k forged",
    ),
    Mutation(
        "blobs",
        "a child opens whatever file has the number",
        "simpledist/worker/decoded.py",
        'if its.removesuffix(" (deleted)").rpartition("/")[2] not in',
        "if not its and its not in",
        "tests/unit/test_blobs.py -k another_file",
    ),
    Mutation(
        "blobs",
        "each job fetches its blob",
        "simpledist/worker/blob_store.py",
        "        coming = self._coming.get(name)\n",
        "        coming = None\n",
        f"{FAULTS} -k eight_slots",
    ),
    Mutation(
        "blobs",
        "what a worker missed is not put again while Redis has something there",
        "simpledist/engine/uploads.py",
        "            self._lost.add(blob.name)\n",
        "",
        f"{FAULTS} -k forged",
    ),
    Mutation(
        "blobs",
        "a key of another type is the fault of the call",
        "simpledist/worker/jobs.py",
        "if blob and isinstance(error, RedisRefused):",
        "if blob and not error:",
        f"{FAULTS} -k forged",
    ),
    Mutation(
        "blobs",
        "they have no budget",
        "simpledist/broker/lua/admit.lua",
        "elseif total + tonumber(bytes) <= budget and count < BATCH_ITEMS then",
        "elseif count < BATCH_ITEMS then",
        "tests/broker/test_admit.py",
    ),
    Mutation(
        "repeated buffers",
        "one that changed is taken for what it was",
        "simpledist/engine/repeated_buffers.py",
        "if view is None or own != hashed:",
        "if view is None:",
        f"{UNIT} -k changes_in_place",
    ),
    Mutation(
        "repeated buffers",
        "they are not copied for calls that are sent later",
        "simpledist/engine/repeated_buffers.py",
        "return buffer if lend else copied(buffer)",
        "return buffer",
        f"{UNIT} -k changes_in_place",
    ),
    Mutation(
        "repeated buffers",
        "the memory of a plain call is kept for later ones",
        "simpledist/engine/repeated_buffers.py",
        "if stays(view):  #",
        "if view is not None:  #",
        f"{UNIT} -k plain_calls_memory",
    ),
    Mutation(
        "repeated buffers",
        "an array that changes with each call is put with each call",
        "simpledist/engine/repeated_buffers.py",
        "if name is None and known.names:",
        "if name is None and not hashed:",
        f"{UNIT} -k changes_a_little",
    ),
    Mutation(
        "repeated buffers",
        "a content is named at each call",
        "simpledist/engine/repeated_buffers.py",
        "            known.note(hashed, name)\n        known.changes = 0\n",
        "        known.changes = 0\n",
        f"{UNIT} -k named_once",
    ),
    Mutation(
        "repeated buffers",
        "a copy that never changes is copied for each call",
        "simpledist/buffers.py",
        "type(part.obj) in (bytes, _Copy)",
        "type(part.obj) is bytes",
        f"{UNIT} -k hold_one_copy",
    ),
    Mutation(
        "repeated buffers",
        "each job maps what it cannot write to",
        "simpledist/worker/decoded.py",
        "kept = self._read_only.pop(name, None)",
        "kept = None",
        "tests/unit/test_blobs.py -k cannot_write",
    ),
    Mutation(
        "repeated buffers",
        "what may be the frame of a pickle is taken for bytes",
        "simpledist/wire/buffer_blobs.py",
        "if part[:1] == _FRAME:",
        "if not part:",
        f"{UNIT} -k same_types",
    ),
    Mutation(
        "repeated buffers",
        "the calls of a process write to one copy",
        "simpledist/worker/decoded.py",
        "return memoryview(self._mapped(name, mmap.ACCESS_COPY))",
        "return self._bytes.setdefault(name, bytearray(self._mapped(name)))  # type: ignore",
        "tests/integration/test_repeated_buffers.py -k array_of_its_own",
    ),
    Mutation(
        "repeated buffers",
        "a call has as many blobs as it has buffers",
        "simpledist/wire/buffer_blobs.py",
        "if len(part) < LEAST_BYTES or len(blobs) >= room:",
        "if len(part) < LEAST_BYTES:",
        f"{UNIT} -k at_most_64",
    ),
)
