#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of journals, written from weir-snapshot(5) and nothing else, in Python's standard library.

usage: read_journal.py [--run HEX] FOLDER...

Prints each record of the journals' folders as one line of JSON, in the form of weir-dump --json --history: of each
folder in order, or, with --run, those of one run by epoch and seq. Says on stderr what it passes over.
"""
import json
import os
import struct
import sys

LONGEST = 64 << 20


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frames(data, name):
    """The payloads of a segment, up to the first frame that is not whole and sound."""
    at = 0
    while at < len(data):
        rest = len(data) - at
        if rest < 8:
            break
        length, crc = struct.unpack_from("<II", data, at)
        if length == 0 or length > LONGEST or length > rest - 8:
            break
        if crc32c(data[at:at + 4] + data[at + 8:at + 8 + length]) != crc:
            break
        yield data[at + 8:at + 8 + length]
        at += 8 + length
    if at < len(data):
        print(f"{name}: {len(data) - at} bytes passed over at offset {at}", file=sys.stderr)


class Reader:
    """msgpack, as far as records use it, straight into the JSON form of weir-dump."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        value, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def bytes(self, n):
        if self.at + n > len(self.data):
            raise ValueError("truncated")
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self):
        tag = self.take("B")
        if tag < 0x80:
            return tag
        if tag < 0x90:
            return self.map(tag & 0x0F)
        if tag < 0xA0:
            return [self.value() for _ in range(tag & 0x0F)]
        if tag < 0xC0:
            return self.bytes(tag & 0x1F).decode()
        if tag >= 0xE0:
            return tag - 256
        return self.long(tag)

    def long(self, tag):
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        if tag in (0xC4, 0xC5, 0xC6):
            return binary(self.bytes(self.take({0xC4: "B", 0xC5: "H", 0xC6: "I"}[tag])))
        if tag in (0xC7, 0xC8, 0xC9):
            n = self.take({0xC7: "B", 0xC8: "H", 0xC9: "I"}[tag])
            return extension(self.take("b"), self.bytes(n))
        if tag in (0xCA, 0xCB):
            return self.take({0xCA: "f", 0xCB: "d"}[tag])
        if 0xCC <= tag <= 0xD3:
            value = self.take("BHIQbhiq"[tag - 0xCC])
            return value if value < 1 << 63 else str(value)
        if 0xD4 <= tag <= 0xD8:
            kind = self.take("b")
            return extension(kind, self.bytes(1 << tag - 0xD4))
        if tag in (0xD9, 0xDA, 0xDB):
            return self.bytes(self.take({0xD9: "B", 0xDA: "H", 0xDB: "I"}[tag])).decode()
        if tag in (0xDC, 0xDD):
            return [self.value() for _ in range(self.take({0xDC: "H", 0xDD: "I"}[tag]))]
        if tag in (0xDE, 0xDF):
            return self.map(self.take({0xDE: "H", 0xDF: "I"}[tag]))
        raise ValueError(f"no msgpack: {tag:#x}")

    def map(self, n):
        out = {}
        for _ in range(n):
            key = self.value()
            out[key if isinstance(key, str) else json.dumps(key)] = self.value()
        return out


def binary(data):
    if len(data) != 32:
        return data.hex()
    return "sha256:" + data.hex() if any(data) else None


def extension(kind, data):
    if kind != -1 or len(data) not in (4, 8, 12):
        return data.hex()
    if len(data) == 4:
        ns, s = 0, struct.unpack(">I", data)[0]
    elif len(data) == 8:
        packed = struct.unpack(">Q", data)[0]
        ns, s = packed >> 34, packed & (1 << 34) - 1
    else:
        ns, s = struct.unpack(">Iq", data)
    return rfc3339(s, ns)


def rfc3339(s, ns):
    """Days to a date by hand: datetime has no nanoseconds."""
    days, s = divmod(s, 86400)
    days += 719468
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (month <= 2)
    return f"{year:04}-{month:02}-{date:02}T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{ns:09}Z"


def records(folder):
    """Every record of one controller, or of one segment, once: what was sent again has a seq that was seen."""
    last = 0
    if os.path.isfile(folder):
        folder, names = os.path.split(folder)
        names = [names]
    else:
        names = [n for n in os.listdir(folder) if n.endswith(".wal") and n[:-4].isdigit()]
    for name in sorted(names, key=lambda n: int(n[:-4])):
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        for payload in frames(data, os.path.join(folder, name)):
            record = Reader(payload).value()
            if record["kind"] == "header":
                yield record
            elif record["seq"] > last:
                last = record["seq"]
                yield record


def main(args):
    run = None
    if args[:1] == ["--run"]:
        run = "sha256:" + args[1]
        args = args[2:]
    found = [r for folder in args for r in records(folder)]
    if run:
        found = [r for r in found if r.get("run") == run]
        found.sort(key=lambda r: (r["epoch"], r["seq"]))
    for record in found:
        print(json.dumps({"$schema": "weir-record/1", **record}, ensure_ascii=False))


main(sys.argv[1:])
