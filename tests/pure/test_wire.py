"""The bytes of an answer that is filled in anew for every call are those of a reply packed from nothing."""

import pytest

from assay.core.dtypes import DType
from assay.referee.processes.wire import PACKET_BYTES, Answer, OutputRecord, Place, Status, pack_reply, unpack_reply


def records(*addresses):
    shapes = [(2, 3), (), (4, 5, 6)]
    strides = [(3, 1), (), (30, 6, 1)]
    return tuple(
        OutputRecord(Place.OWN_MEMORY, DType.FLOAT32.code, shapes[i], strides[i], a) for i, a in enumerate(addresses)
    )


@pytest.mark.parametrize("addresses", [(), (7,), (2**63, 64, 1 << 40)])
def test_an_answer_reads_as_a_reply_with_the_same_outputs(addresses):
    packet = memoryview(bytearray(PACKET_BYTES))
    answer = Answer(records(*(0 for _ in addresses)), packet)
    packet[:5] = b"other"  # what was said in between
    length = answer.fill(2**40 + 3, list(addresses))
    assert bytes(packet[:length]) == pack_reply(Status.OK, 2**40 + 3, records(*addresses))
    assert unpack_reply(bytes(packet[:length])).outputs == records(*addresses)


def test_an_answer_takes_as_many_addresses_as_it_has_outputs():
    answer = Answer(records(0, 0), memoryview(bytearray(PACKET_BYTES)))
    with pytest.raises(ValueError, match="shorter"):
        answer.fill(1, [5])
