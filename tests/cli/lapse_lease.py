#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sets the lease in every snapshot of a journal back by an hour, as if that much time had passed.

lapse_lease.py JOURNAL-FOLDER: rewrites its segments in place. Whoever wrote them must be gone. The field is found by
its name and the timestamp behind it; the frames are those of weir-snapshot(5).
"""
import glob
import struct
import sys

HOUR = 3600
TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def lapse(payload):
    """The payload with each Expires an hour earlier, and how many there were."""
    name = b"\xa7Expires"
    count = 0
    at = payload.find(name)
    while at >= 0:
        at += len(name)
        kind = payload[at : at + 2]
        if kind == b"\xd6\xff":  # 32 bits of seconds
            new = struct.pack(">I", struct.unpack(">I", payload[at + 2 : at + 6])[0] - HOUR)
            payload = payload[: at + 2] + new + payload[at + 6 :]
        elif kind == b"\xd7\xff":  # 30 bits of nanoseconds, 34 of seconds
            new = struct.pack(">Q", struct.unpack(">Q", payload[at + 2 : at + 10])[0] - HOUR)
            payload = payload[: at + 2] + new + payload[at + 10 :]
        else:
            raise SystemExit("no timestamp behind Expires")
        count += 1
        at = payload.find(name, at)
    return payload, count


def main():
    total = 0
    for path in sorted(glob.glob(sys.argv[1] + "/*/*.wal")):
        with open(path, "r+b") as f:
            data = f.read()
            out = b""
            at = 0
            while at + 8 <= len(data):
                length, crc = struct.unpack_from("<II", data, at)
                payload = data[at + 8 : at + 8 + length]
                if crc32c(data[at : at + 4] + payload) != crc:
                    break
                payload, count = lapse(payload)
                total += count
                head = struct.pack("<I", len(payload))
                out += head + struct.pack("<I", crc32c(head + payload)) + payload
                at += 8 + length
            f.seek(0)
            f.write(out)
            f.truncate()
    print(total)


main()
