"""Files with something wrong in them."""

from __future__ import annotations

import random
import re

import odd_values

_NUMBER = re.compile(rb"-?[0-9][0-9.]*")
_TROUBLE = (
    b"", b"\0", b"\n", b"\r\n", b"\r", b"#", b"nan", b"inf", b"1e999", b"-", b"99999999999999999999", b"0x1p5", b"1_0", b"=",
    b";", b"}", b"{", b"\xff\xfe", b"\f", b" ", b"\t", b".", b"1.5", b"-1", b"0", b"+", b"e", b"SIZE1=", b"SIZE2=3;",
    b"HEADER_BYTES=", b"BYTE_ORDER=big_endian;", b"PIXEL_SIZE=0;", b"DISTANCE=nan;", b"\xc2\xb2", b"\x1c", b"9" * 400,
)  # fmt: skip
_LONGEST = 60_000


def mutated(data: bytes, r: random.Random) -> bytes:
    """The data with up to five changes: most of them in the first 600 bytes, where headers are."""
    for _ in range(r.randint(1, 5)):
        head = data[:600] if r.random() < 0.6 else data
        place = r.randrange(len(head) + 1)
        match r.randrange(8):
            case 0:  # a number becomes another one
                found = list(_NUMBER.finditer(head))
                if found:
                    match = r.choice(found)
                    new = odd_values.token(r) if r.random() < 0.4 else f"{odd_values.number(r):.8g}"
                    data = data[: match.start()] + new.encode("utf-8", "surrogateescape") + data[match.end() :]
            case 1:
                data = data[:place] + r.choice(_TROUBLE) + data[place:]
            case 2:
                data = data[:place] + r.choice(_TROUBLE) + data[place + r.randint(0, 12) :]
            case 3:
                data = data[:place] + r.randbytes(r.randint(1, 8)) + data[place + r.randint(0, 8) :]
            case 4:  # lines lost, doubled and swapped
                lines = data.split(b"\n")
                first, second = r.randrange(len(lines)), r.randrange(len(lines))
                lines[first], lines[second] = lines[second], lines[first] if r.random() < 0.5 else b""
                data = b"\n".join(lines)
            case 5:
                data = data[:place]
            case 6:
                data = data + data[place : place + 200]
            case _:
                if place < len(data):
                    data = data[:place] + bytes([data[place] ^ (1 << r.randrange(8))]) + data[place + 1 :]
    return data[:_LONGEST]
