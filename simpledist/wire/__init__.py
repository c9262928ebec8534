"""Bytes that travel: a call and its outcome, each in an envelope that is verified before anything in it is decoded.

`envelope` seals and opens, for the parent of a worker and the client; `bodies` encodes and decodes what it holds, for
the children of a worker and the client; `raised` does that for exceptions (`chain`: with what led to them); `running`
takes one call from arguments to outcome (`machine_errors`: what is the fault of the machine; `round_trip`: what would
not come back as it was). Knows no Redis and no process.

`keyring` has the keys and the codes over bytes; `key_file` reads keys and refuses files that others can read or write,
`process_keys` and `user_key` find them; `nonces` makes calls unlike others; `serializers` turns objects into bytes,
`json_values` those of JSON, `batches` many calls into one body; `blobs`: what stands outside a body, shared objects and
`buffer_blobs`; `expected_code`: which code a caller expects behind the names in it.
"""

from simpledist.code.fingerprint import fingerprint
from simpledist.wire.batches import (
    SLOW,
    Part,
    Row,
    decode_parts,
    encode_calls,
    encode_part,
    encode_together,
    join_calls,
    python_of_calls,
    row_from,
    split_calls,
)
from simpledist.wire.blobs import Shared, carrying, found_by, names_in, naming
from simpledist.wire.bodies import Raised, Value, decode_arguments, decode_outcome, encode_value
from simpledist.wire.buffer_blobs import BYTES, READ_ONLY, WRITEABLE, as_kind
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
from simpledist.wire.expected_code import compared_by, expecting, without_lines
from simpledist.wire.nonces import nonce
from simpledist.wire.raised import encode_error
from simpledist.wire.round_trip import survives_round_trip
from simpledist.wire.running import ForkedCopy, run_call
from simpledist.wire.serializers import dump_blob, load_blob, python_of

__all__ = [
    "BYTES",
    "CODECS",
    "READ_ONLY",
    "SLOW",
    "WRITEABLE",
    "ForkedCopy",
    "Kind",
    "OpenCall",
    "OpenOutcome",
    "Part",
    "Raised",
    "Row",
    "SealedCall",
    "Shared",
    "Value",
    "as_kind",
    "carrying",
    "codec_id",
    "compared_by",
    "decode_arguments",
    "decode_outcome",
    "decode_parts",
    "dump_blob",
    "encode_arguments",
    "encode_calls",
    "encode_error",
    "encode_part",
    "encode_together",
    "encode_value",
    "expecting",
    "fingerprint",
    "found_by",
    "join_calls",
    "load_blob",
    "names_in",
    "naming",
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
    "survives_round_trip",
    "without_lines",
]
