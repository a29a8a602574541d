"""Valid streams, damaged: whole frames that are dropped, repeated and exchanged; numbers that are replaced by those at
which mistakes happen; bytes that are flipped, removed and inserted. Everything comes from one random number generator."""

import struct

NUMBERS = [0, 1, -1, -2, 7, 127, 128, 255, 256, 1024, 0xFFFFF, 0x100000, 0x7FFFFFFF, -0x80000000, -0x7FFFFFFF, 0x61616161]
LONGS = [0, 1, -1, 2**63 - 1, -(2**63), 1 << 32, -(1 << 55), -(1 << 56), 1 << 40]
CHUNK_MAX = 24


def frame_bytes(rng, data):
    """The frame with one to three things wrong in it."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(8):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.randrange(256)
            case 2 | 3 if len(data) >= 4:
                # Where a number may stand: fields follow one another without gaps.
                at = rng.choice([at, at // 4 * 4]) % (len(data) - 3)
                data[at:at + 4] = struct.pack(">i", rng.choice(NUMBERS))
            case 4 if len(data) >= 8:
                at %= len(data) - 7
                data[at:at + 8] = struct.pack(">q", rng.choice(LONGS))
            case 5:
                data[at:at] = rng.randbytes(rng.randrange(CHUNK_MAX))
            case 6:
                del data[at:at + rng.randrange(CHUNK_MAX)]
            case _:
                piece = bytes(data[at:at + rng.randrange(CHUNK_MAX)])
                data[at:at] = piece * rng.choice([1, 2, 50])
    return bytes(data)


def frames(rng, stream, others):
    """The list of frames with some of them damaged, out of order, or of another stream."""
    stream = list(stream)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(stream)) if stream else 0
        match rng.randrange(8):
            case 0 if stream:
                del stream[at]
            case 1 if stream:
                stream[at:at] = [stream[at]] * rng.choice([1, 2, 30])
            case 2 if stream:
                to = rng.randrange(len(stream))
                stream[at], stream[to] = stream[to], stream[at]
            case 3:
                other = rng.choice(others)
                stream[at:at] = other[rng.randrange(len(other)):]
            case _ if stream:
                stream[at] = frame_bytes(rng, stream[at])
    return stream


def lengths(rng, stream):
    """The frames behind their lengths, of which one may be a lie."""
    liar = rng.randrange(len(stream)) if stream and rng.random() < 0.15 else -1
    out = bytearray()
    for at, frame in enumerate(stream):
        length = len(frame)
        if at == liar:
            length = rng.choice([*NUMBERS, length - 1, length + 1, length + 100_000])
        out += struct.pack(">i", length) + frame
    return bytes(out)


def text(rng, data, words):
    """As frame_bytes(), with words of a language put between."""
    data = bytearray(frame_bytes(rng, data) if rng.random() < 0.5 else data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(words)
    return bytes(data)
