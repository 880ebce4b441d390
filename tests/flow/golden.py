#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Digests and keys, computed a second time from the description of the format alone: prints the table of test_golden.c.

A digest w1 is SHA-256 over "weir-w1\\n", the domain (u32 length, bytes), each part as kind (u8), position (u32), length
(u64, all ones for an absent text), bytes, and at the end 0xff and the number of parts (u32); all little endian.
"""
import hashlib
import struct

TEXT, DIGEST, INT, INPUT, OUTPUT, DELAYED, NAME, FLOAT, NEG, POS = range(1, 11)
sha = lambda b: hashlib.sha256(b).digest()
D = lambda text: sha(text.encode())


def w1(domain, *parts):
    out = b"weir-w1\n" + struct.pack("<I", len(domain)) + domain.encode()
    for kind, pos, data in parts:
        size = (1 << 64) - 1 if data is None else len(data)
        out += struct.pack("<BIQ", kind, pos, size) + (data or b"")
    return sha(out + b"\xff" + struct.pack("<I", len(parts)))


def text(pos, s, kind=TEXT):
    return (kind, pos, None if s is None else s.encode())


def u64(pos, n):
    return (INT, pos, struct.pack("<Q", n))


def each(kind, digests, first=0):
    return [(kind, first + i, d) for i, d in enumerate(digests)]


# Values.

def value(kind, *parts):
    return w1("value", text(0, kind), *parts)


def integer(n):
    m = abs(n)
    return value("int", (NEG if n < 0 else POS, 0, m.to_bytes((m.bit_length() + 7) // 8, "big")))


def named(kind, fields):
    parts = [u64(0, len(fields))]
    for i, (name, v) in enumerate(sorted(fields)):
        parts += [text(i, name, NAME), (DIGEST, i, v)]
    return value(kind, *parts)


def listed(kind, values):
    return value(kind, u64(0, len(values)), *each(DIGEST, values))


a_file = value("file", (DIGEST, 0, D("bytes")))
a_string = value("string", text(0, "text"))
a_fileset = w1("fileset", text(0, "map"), u64(0, 2), text(0, "a/x", NAME), (DIGEST, 0, D("x")), text(1, "b", NAME),
               (DIGEST, 1, D("y")))
values = {
    "zero": integer(0),
    "int": integer(300),
    "negative": integer(-300),
    "large": integer(1 << 70),
    "float": value("float", text(0, "0x1.8p+0", FLOAT)),
    "string": a_string,
    "bool": value("bool", u64(0, 1)),
    "file": a_file,
    "dir": value("dir", (DIGEST, 0, a_fileset)),
    "unit": value("unit"),
    "list": listed("list", [integer(1), integer(2)]),
    "map": value("map", u64(0, 2), *each(DIGEST, [value("string", text(0, "a")), value("string", text(0, "b")),
                                                  integer(1), integer(2)])),
    "tuple": listed("tuple", [integer(1), a_string]),
    "struct": named("struct", [("b", integer(1)), ("a", integer(2))]),
    "module": named("module", [("b", integer(1)), ("a", integer(2))]),
    "variant": value("variant", u64(0, 1), text(0, "Tag", NAME), (DIGEST, 0, integer(1))),
    "variant without a value": value("variant", u64(0, 0), text(0, "Tag", NAME)),
}

# An exec: `cat %s %s > %s` with two inputs and one output, in a namespace, with an environment.


def exec_parts(inputs):
    return [text(0, "lab"), text(1, "host:2"), text(2, None), text(3, "cat %s %s > %s"), u64(0, 3),
            (INPUT, 0, inputs[0]), (INPUT, 1, inputs[1]), (OUTPUT, 2, struct.pack("<I", 0)),
            u64(1, 1), text(0, "file", OUTPUT), text(0, "A=1", NAME), text(1, "B=2", NAME)]


def intern(url):
    return w1("node-intern", text(0, url), u64(0, 0))


def content(v):
    return w1("content", (DIGEST, 0, v))


two = [D("one"), D("two")]
interns = [intern("/data/one"), intern("s3://lab/two")]
node_exec = w1("node-exec", *exec_parts(interns), u64(2, 0), *each(DIGEST, interns))
keys = {
    "logical key of an exec": w1("exec-logical", *exec_parts(two)),
    "physical key of an exec": w1("exec-physical", *exec_parts(two)),
    "node of an intern": interns[0],
    "node of an exec": node_exec,
    "node of a continuation": w1("node-k", (DIGEST, 0, D("own")), u64(0, 1), u64(1, 1), (INPUT, 0, node_exec),
                                 (DELAYED, 0, interns[0])),
    "logical key of a continuation": w1("k-logical", text(0, "lab"), (DIGEST, 0, D("own")), u64(0, 1), u64(1, 1),
                                        (INPUT, 0, two[0]), (DELAYED, 1, two[1])),
    "logical key of an input that is read": content(a_file),
    "logical key of an input that is remote": w1("intern-logical", text(0, "lab"), text(1, "s3://lab/two"), u64(0, 0)),
    "logical key of a constant": content(a_string),
    "logical key of data": content(value("file", (DIGEST, 0, D("bytes")))),
}

if __name__ == "__main__":
    for name, digest in {**values, **keys}.items():
        print('\t{ "%s", "%s" },' % (name, digest.hex()))
