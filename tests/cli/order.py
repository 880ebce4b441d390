# SPDX-License-Identifier: Apache-2.0
"""What strace -f -y -x has seen of weir: did the disk have it before somebody was told so? See order.sh."""
import os
import re
import sys

LINE = re.compile(r"(\d+) +(\w+)\((.*)$", re.S)
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.S)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)", re.S)
LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


def unescape(text):
    def one(m):
        e = m.group(1)
        if e[:1] == b"x":
            return bytes([int(e[1:], 16)])
        if e[:1].isdigit():
            return bytes([int(e, 8)])
        return LETTERS.get(e, e)

    return ESCAPE.sub(one, text.encode())


def calls(path):
    """(pid, call, arguments, result), when they return; what is sent, when it is: from then on it may have been read."""
    begun = {}
    for line in open(path, errors="surrogateescape"):
        m = RESUMED.match(line)
        if m:
            pid, call, rest = m.groups()
            if call == "sendto":
                continue
            rest = begun.pop(pid, "") + rest
        else:
            m = LINE.match(line)
            if not m:
                continue
            pid, call, rest = m.groups()
            if rest.rstrip().endswith("<unfinished ...>"):
                rest = rest.rstrip()[: -len("<unfinished ...>")]
                if call != "sendto":
                    begun[pid] = rest
                    continue
        args, _, result = rest.rpartition(" = ")
        if call == "sendto" or not result.startswith("-1"):
            yield pid, call, args or rest, result.strip()


def fd_path(args):
    m = re.match(r"\d+<([^>]*)>", args)
    return m.group(1) if m else ""


def paths(args):
    """Of openat, rename, unlink and the like: absolute."""
    out = []
    for m in re.finditer(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', args):
        out.append(os.path.normpath(os.path.join(m.group(1) or "/", m.group(2))))
    return out


class Process:
    def __init__(self):
        self.dirty = set()      # files with bytes that are not synced
        self.unnamed = {}       # files whose names are not durable: the folders that must be synced for it
        self.folders = False    # those above the journal's are
        self.acked = 0
        self.objects = {}       # digest: path, of objects that it has put or looked at
        self.told = False       # it has sent its first snapshot
        self.asked = False      # an entry that names objects was received, and no sync has followed

    def late(self, path):
        return [f"{path}: its bytes"] * (path in self.dirty) + [f"{path}: {d}" for d in self.unnamed.get(path, ())]

    def needs(self, path, folders):
        self.unnamed[path] = set(folders)

    def synced(self, path):
        self.dirty.discard(path)
        for folders in self.unnamed.values():
            folders.discard(path)


wanted = sys.argv[2:]
bad = []
seen = {"records": 0, "bundles": 0, "entries": 0, "packs": 0}
processes = {}


def expect_durable(what, late):
    if what not in wanted:
        return
    seen[what] += 1
    bad.extend(f"{what}: told although this was not synced: {l}" for l in late)


def opened(p, path, args, result):
    if path.endswith(".wal") and "O_CREAT" in args:
        dir = os.path.dirname(path)
        above = [] if p.folders else [os.path.dirname(dir), os.path.dirname(os.path.dirname(dir))]
        p.folders = True
        p.needs(path, [dir] + above)
    elif is_object(path):   # put by another: it may not be on the disk yet
        p.dirty.add(path)
        is_named(p, path)


def is_object(path):
    return re.search(r"/objects/[0-9a-f]{2}/[0-9a-f]{62}$", path)


def is_named(p, path):
    p.objects[path[-65:-63] + path[-62:]] = path
    p.needs(path, [os.path.dirname(path), os.path.dirname(os.path.dirname(path))])


def renamed(p, old, new):
    if is_object(new):
        is_named(p, new)
        if old in p.dirty:
            p.dirty.add(new)
    elif new.endswith(".pack"):
        p.needs(new, [os.path.dirname(new)])
        if old in p.dirty:
            p.dirty.add(new)
    elif "/.gone-" in new:
        removes(p)
    p.dirty.discard(old)


def removes(p):
    """A source of the packs that it has made."""
    expect_durable("packs", [l for path in p.unnamed if path.endswith(".pack") for l in p.late(path)])


def is_in(digest, data):
    return bytes.fromhex(digest) in data or digest.encode() in data


def sent(p, args):
    m = STRING.search(args)
    data = unescape(m.group(1)) if m else b""
    segments = [path for path in p.unnamed if path.endswith(".wal")]
    if segments and len(data) >= 20:    # the journal's process answers: how many records are durable
        count = int.from_bytes(data[12:20], "little")
        if count > p.acked:
            expect_durable("records", [l for path in segments for l in p.late(path)])
        p.acked = count
    elif b"snapshot" in data and not p.told:
        p.told = True
        for digest, path in p.objects.items():
            if is_in(digest, data):
                expect_durable("bundles", p.late(path))


def received(p, args):
    m = re.search(r'iov_base="((?:[^"\\]|\\.)*)"', args)
    data = unescape(m.group(1)) if m else b""
    if data[:4] == b"WDB1" and data[4:6] == b"\1\0":  # a put into the assoc
        p.asked = True


def written(p, path):
    p.dirty.add(path)
    if path.endswith("/data.mdb") and p.asked is not False:
        expect_durable("entries", ["the objects that an entry names"] * (p.asked is True))
        p.asked = False


for pid, call, args, result in calls(sys.argv[1]):
    p = processes.setdefault(pid, Process())
    if call == "openat":
        opened(p, (re.match(r"\d+<([^>]*)>", result) or re.match("()", "")).group(1), args, result)
    elif call in ("fsync", "fdatasync"):
        p.synced(fd_path(args))
    elif call == "syncfs" and fd_path(args).endswith("/objects"):
        p.asked = "synced" if p.asked else p.asked
    elif call.startswith("rename"):
        renamed(p, *paths(args)[:2])
    elif call.startswith("unlink") and paths(args)[0].endswith(".pack"):
        removes(p)
    elif call == "sendto":
        sent(p, args)
    elif call == "recvmsg":
        received(p, args)
    elif "write" in call:
        written(p, fd_path(args))

for line in bad:
    print(line)
print(", ".join(f"{n} {what}" for what, n in seen.items()))
sys.exit(bool(bad) or any(seen[what] < 1 for what in wanted))
