"""What servers of an ensemble say to each other, as bytes."""

import struct

FOLLOWER_INFO, OBSERVER_INFO, ACK_EPOCH, ACK, PING, REQUEST, REVALIDATE, SYNC = 11, 16, 18, 3, 5, 1, 6, 7
LEADER_INFO = 17
LOOKING, FOLLOWING, LEADING, OBSERVING = range(4)


def packet(kind, zxid=0, data=None):
    """On a quorum port; nothing but its fields stands around it."""
    body = struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
    return struct.pack(">iq", kind, zxid) + body + struct.pack(">i", -1)


def introduction(server, epoch=0, kind=FOLLOWER_INFO, version=0):
    """The first packet of a learner."""
    return packet(kind, epoch << 32, struct.pack(">qiq", server, 0x10000, version))


def request(session, xid, opcode, body):
    return packet(REQUEST, 0, struct.pack(">qii", session, xid, opcode) + body)


def greeting(server, address):
    """The first bytes on an election port."""
    text = address.encode()
    return struct.pack(">qqi", -65536, server, len(text)) + text


def notification(state, leader, zxid=0, round_=1, epoch=0, config=b""):
    body = struct.pack(">iqqqqii", state, leader, zxid, round_, epoch, 2, len(config)) + config
    return struct.pack(">i", len(body)) + body
