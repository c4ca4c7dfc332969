# SPDX-License-Identifier: Apache-2.0
"""powerloss - reads the log that powerloss.c wrote, and makes the files a disk may hold after a
power loss at any place of it.

Safe is what a sync has covered that began after the write; a new file's name is safe after a sync
of the folder. Of what is not safe, a disk may have kept nothing, all, or any part: writes may be
reordered and torn at sectors of 512 bytes. Truncations and removals that no sync has covered may
have happened or not.
"""
import pathlib
import struct

RECORD = struct.Struct("<IHHIIq")
MAGIC = 0x48465057
NAMED, WRITTEN, TRUNCATED, SYNCED, CREATED, REMOVED, FOLDER_SYNCED = range(1, 8)
SECTOR = 512


def library():
    import os
    from proc import ROOT
    return os.environ.get("HF_POWERLOSS",
                          str(ROOT / "build" / "debug" / "tests" / "support" / "powerloss.so"))


def records(log):
    """(place, kind, file, at, bytes); a record cut short ends the log."""
    data = memoryview(pathlib.Path(log).read_bytes())
    place = 0
    while place + RECORD.size <= len(data):
        magic, kind, file, length, _, at = RECORD.unpack_from(data, place)
        if magic != MAGIC:
            raise ValueError(f"{log}: no record at {place}")
        end = place + RECORD.size + length
        if end > len(data):
            return
        yield place, kind, file, at, data[place + RECORD.size:end]
        place = end


class File:
    """One file: what is safe, and what has been done since."""

    def __init__(self, name):
        self.name = name
        self.safe = bytearray()
        self.loose = []         # (place, kind, at, bytes)
        self.named_safe = False # is its name on the disk?
        self.exists = False
        self.named_at = 0       # place of the last creation or removal

    def sync(self, began):
        still = []
        for op in self.loose:
            if op[0] < began:
                apply(self.safe, op)
            else:
                still.append(op)
        self.loose = still


def apply(content, op):
    _, kind, at, data = op
    if kind == TRUNCATED:
        if at < len(content):
            del content[at:]
        else:
            content.extend(bytes(at - len(content)))
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at:at + len(data)] = data


class Disk:
    """The state after a prefix of the log."""

    def __init__(self):
        self.files = {}

    def feed(self, record):
        place, kind, number, at, data = record
        if kind == NAMED:
            self.files[number] = File(bytes(data).decode())
            return
        file = self.files[number]
        if kind in (WRITTEN, TRUNCATED):
            file.loose.append((place, kind, at, data))
        elif kind == SYNCED:
            file.sync(at)
        elif kind in (CREATED, REMOVED):
            file.exists = kind == CREATED
            file.named_at = place
            if kind == CREATED and not file.named_safe:
                file.safe, file.loose = bytearray(), []
        elif kind == FOLDER_SYNCED:
            for other in self.files.values():
                if other.name and other.named_at < at:
                    other.named_safe = other.exists

    def write(self, folder, how, rng):
        """how: "none", "all" or "some" of what is not safe."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.files.values():
            there = file.named_safe
            if file.named_safe != file.exists and how != "none":
                there = file.exists if how == "all" else rng.random() < 0.5
            if not file.name or not there:
                continue
            content = bytearray(file.safe)
            for op in file.loose:
                if how == "all":
                    apply(content, op)
                elif how == "some" and rng.random() < 0.6:
                    apply_part(content, op, rng)
            (folder / file.name).write_bytes(content)


def apply_part(content, op, rng):
    """All of it, or some of its sectors."""
    place, kind, at, data = op
    if kind == TRUNCATED or rng.random() < 0.5:
        apply(content, op)
        return
    start = 0
    while start < len(data):
        end = min(len(data), ((at + start) // SECTOR + 1) * SECTOR - at)
        if rng.random() < 0.5:
            apply(content, (place, kind, at + start, data[start:end]))
        start = end
