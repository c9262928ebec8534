"""Bytes that travel: a call and its outcome, each in an envelope that is verified before anything in it is decoded.

`envelope` seals and opens, for the parent of a worker and the client; `bodies` encodes and decodes what it holds, for
the children of a worker and the client; `raised` does that for exceptions (`chain`: with what led to them); `running`
takes one call from arguments to outcome (`limits`: what is the machine's fault; `returning`: what would not come back).
Knows no Redis and no process.
"""

from simpledist.code.fingerprint import brief, differs, fingerprint
from simpledist.wire.bodies import Raised, Value, decode_arguments, decode_outcome, encode_value
from simpledist.wire.chunks import (
    SLOW,
    Part,
    Row,
    decode_parts,
    encode_calls,
    encode_part,
    join_calls,
    python_of_calls,
    row_from,
    split_calls,
)
from simpledist.wire.envelope import (
    CODECS,
    Kind,
    OpenCall,
    OpenOutcome,
    SealedCall,
    codec_id,
    encode_arguments,
    open_call,
    open_outcome,
    seal_call,
    seal_outcome,
)
from simpledist.wire.nonces import nonce
from simpledist.wire.raised import encode_error
from simpledist.wire.returning import comes_back
from simpledist.wire.running import ForkedCopy, run_call
from simpledist.wire.serializers import python_of

__all__ = [
    "CODECS",
    "SLOW",
    "ForkedCopy",
    "Kind",
    "OpenCall",
    "OpenOutcome",
    "Part",
    "Raised",
    "Row",
    "SealedCall",
    "Value",
    "brief",
    "codec_id",
    "comes_back",
    "decode_arguments",
    "decode_outcome",
    "decode_parts",
    "differs",
    "encode_arguments",
    "encode_calls",
    "encode_error",
    "encode_part",
    "encode_value",
    "fingerprint",
    "join_calls",
    "nonce",
    "open_call",
    "open_outcome",
    "python_of",
    "python_of_calls",
    "row_from",
    "run_call",
    "seal_call",
    "seal_outcome",
    "split_calls",
]
