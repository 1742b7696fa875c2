"""A second reader of the journal, written from docs/journal.md alone: it shares no code with intentd. Walks DIR/journal, checks CRC-32C, places,
sequences and chains, and the indexes of sealed segments, and prints what it found as JSON. Needs the program `zstd` for sealed segments.

    python3 journal_reader.py DIR
"""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys


def crc_tables():
    first = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        first.append(n)
    tables = [first]
    for _ in range(7):
        tables.append([first[c & 255] ^ (c >> 8) for c in tables[-1]])
    return tables


T0, T1, T2, T3, T4, T5, T6, T7 = crc_tables()


def crc32c(data):
    crc = 0xFFFFFFFF
    whole = len(data) // 8 * 8
    for low, high in struct.iter_unpack("<II", data[:whole]):
        low ^= crc
        crc = (
            T7[low & 255] ^ T6[low >> 8 & 255] ^ T5[low >> 16 & 255] ^ T4[low >> 24]
            ^ T3[high & 255] ^ T2[high >> 8 & 255] ^ T1[high >> 16 & 255] ^ T0[high >> 24]
        )
    for byte in data[whole:]:
        crc = T0[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Damage(Exception):
    pass


def need(holds, text):
    if not holds:
        raise Damage(text)


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def i64(data, at):
    return struct.unpack_from("<q", data, at)[0]


# ---- records ----


def record_at(raw, place, at):
    """The record at an offset: its bytes, or None."""
    if at + 48 > len(raw):
        return None
    size = u32(raw, at)
    if size < 48 or size % 8 or at + size > len(raw) or raw[at + 8] != 4:
        return None
    record = raw[at : at + size]
    if u64(record, 16) != place | at or u32(record, 4) != crc32c(record[8:]):
        return None
    return record


def entries(record):
    for i in range(struct.unpack_from("<H", record, 12)[0]):
        partition, flags, epoch, seq = struct.unpack_from("<HHIQ", record, 48 + 48 * i)
        yield partition, flags, epoch, seq, record[48 + 48 * i + 16 : 48 + 48 * i + 48]


class Segment:
    def __init__(self, path, log, number, raw):
        self.path, self.log, self.number, self.raw = path, log, number, raw
        need(raw[:8] == b"ITDJRNL\n" and u32(raw, 8) == 4, f"{path}: no segment of format 4")
        need(u32(raw, 12) == crc32c(raw[16:128]), f"{path}: its header's checksum")
        need(u32(raw, 16) == log and u32(raw, 20) == number, f"{path}: is another segment")
        need(raw[48:64].rstrip(b"\0") == b"crc32c" and raw[64:80].rstrip(b"\0") == b"sha256", f"{path}: algorithms")
        self.session, self.partitions = u32(raw, 32), u32(raw, 36)
        self.place = log << 56 | number << 32


class Walk:
    def __init__(self):
        self.tips, self.frames, self.torn, self.closed = {}, 0, 0, {}
        self.began = 0  # the session that was the first of its number of partitions

    def segment(self, segment):
        at = 128
        self.closed[segment.log] = False
        while True:
            end = self.commit(segment, at)
            if end is None:
                break
            at = end
        rest = segment.raw[at:].rstrip(b"\0")
        need(not rest or not segment.path.endswith(".seg"), f"{segment.path}: a sealed segment ends at {at}")
        self.torn += len(rest)

    def commit(self, segment, at):
        first, frames = at, []
        while True:
            record = record_at(segment.raw, segment.place, at)
            if record is None:
                return None
            at += len(record)
            if record[9] == 5:
                break
            frames.append(record)
        flags = struct.unpack_from("<H", record, 10)[0]
        need(u32(record, 24) == len(frames), f"{segment.path}: {first}: the trailer counts other frames")
        need(bool(flags & 1) == (first == 128), f"{segment.path}: {first}: the opening")
        if flags & 1:
            self.opening(segment, record)
            return at
        self.closed[segment.log] = bool(flags & 2)
        self.fold(segment, first, frames, record)
        return at

    def boundary(self, segment, record):
        before = [self.tips[p] for p in range(len(self.tips))]
        text = b"intentd reshard\0" + struct.pack("<2I", len(before), segment.partitions)
        text += b"".join(struct.pack("<Q", seq) + chain for seq, chain in before)
        tip = (max(seq for seq, _ in before) + 1, hashlib.sha256(text).digest())
        for partition, _, _, seq, chain in entries(record):
            need((seq, chain) == tip, f"{segment.path}: partition {partition} does not begin at the boundary")
        self.tips = {p: tip for p in range(segment.partitions)}
        self.began = segment.session

    def opening(self, segment, record):
        flags = struct.unpack_from("<H", record, 10)[0]
        if self.tips and flags & 8 and segment.session != self.began:
            self.boundary(segment, record)
        need(not self.tips or len(self.tips) == segment.partitions, f"{segment.path}: another number of partitions")
        for partition, flags, _, seq, chain in entries(record):
            known = self.tips.get(partition)
            if known is not None and flags & 1:
                need(known == (seq, chain), f"{segment.path}: partition {partition} does not go on where it ended")
            if known is None:
                need(seq == 0 and chain == bytes(32), f"{segment.path}: partition {partition} does not begin at its beginning")
                self.tips[partition] = (seq, chain)

    def fold(self, segment, first, frames, trailer):
        hashes, seqs = {}, {}
        for frame in frames:
            partition, epoch, seq = struct.unpack_from("<H", frame, 12)[0], u32(frame, 24), u64(frame, 32)
            need(epoch == segment.session, f"{segment.path}: {first}: an epoch")
            need(sum(struct.unpack_from("<8I", frame, 144)) + 176 <= len(frame), f"{segment.path}: {first}: sections")
            if partition not in hashes:
                hashes[partition] = hashlib.sha256(self.tips[partition][1])
            need(seq == seqs.get(partition, self.tips[partition][0]) + 1, f"{segment.path}: {first}: a sequence number")
            seqs[partition] = seq
            hashes[partition].update(frame)
        named = {partition: (seq, chain) for partition, _, _, seq, chain in entries(trailer)}
        need(set(named) == set(hashes), f"{segment.path}: {first}: the trailer names other partitions")
        for partition, tip in named.items():
            need(tip == (seqs[partition], hashes[partition].digest()), f"{segment.path}: {first}: the chain of {partition}")
            self.tips[partition] = tip
        self.frames += len(frames)


# ---- sealed segments ----


def leb128(data):
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            yield value
            value = shift = 0


def read_sealed(path, log, number):
    data = open(path, "rb").read()
    raw = subprocess.run(["zstd", "-q", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    foot = data[-128:]
    need(u32(foot, 0) == 0x184D2A5F and u32(foot, 4) == 120 and foot[8:16] == b"ITDSEAL\n", f"{path}: footer")
    need(u32(foot, 16) == 1 and u32(foot, 20) == crc32c(foot[24:]), f"{path}: the footer's checksum")
    session, partitions, size, blocks, leads, flags = struct.unpack_from("<6I", foot, 32)
    frames, least, greatest, index_at, leads_at = struct.unpack_from("<QqqQQ", foot, 56)
    need((u32(foot, 24), u32(foot, 28), size, u64(foot, 104)) == (log, number, len(raw), len(data)), f"{path}: footer")
    index, lead_index = data[index_at:leads_at], data[leads_at:-128]
    need(u32(foot, 96) == crc32c(index) and u32(index, 0) == 0x184D2A5D, f"{path}: the index's checksum")
    need(u32(foot, 100) == crc32c(lead_index) and u32(lead_index, 0) == 0x184D2A5E, f"{path}: the lead index's checksum")
    starts = []
    for i in range(blocks):
        at, raw_at, crc = struct.unpack_from("<QII", index, 8 + 32 * i)
        end = u64(index, 8 + 32 * (i + 1)) if i + 1 < blocks else index_at
        need(crc32c(data[at:end]) == crc, f"{path}: the checksum of block {i}")
        starts.append(raw_at)
    segment = Segment(path, log, number, raw)
    need((segment.session, segment.partitions) == (session, partitions), f"{path}: footer")
    check_index(path, segment, index[8:], lead_index[8:], starts, leads, (frames, least, greatest, flags))
    return segment


def check_index(path, segment, index, lead_index, starts, leads, counts):
    """The indexes say what the records say."""
    times, of_lead, tips, frames, closing = [[] for _ in starts], {}, {}, 0, False
    at, block = 128, 0
    while at < len(segment.raw):
        record = record_at(segment.raw, segment.place, at)
        need(record is not None, f"{path}: no record at {at}")
        while block + 1 < len(starts) and starts[block + 1] <= at:
            block += 1
        if record[9] == 5:
            closing = bool(record[10] & 2)
            for partition, flags, epoch, seq, chain in entries(record):
                tips[partition] = struct.pack("<HHIQ", partition, flags, epoch, seq) + chain
        else:
            frames += 1
            times[block].append(i64(record, 64))
            if any(record[40:56]):
                of_lead.setdefault(record[40:48], set()).add(block)
        at += len(record)
    for i, found in enumerate(times):
        want = (min(found), max(found)) if found else (2**63 - 1, -(2**63))
        need(struct.unpack_from("<qq", index, 32 * i + 16) == want, f"{path}: the times of block {i}")
    every = [t for found in times for t in found]
    span = (min(every), max(every)) if every else (2**63 - 1, -(2**63))
    need(counts == (frames, *span, int(closing)), f"{path}: the footer's counts")
    need(index[32 * len(starts) :] == b"".join(tips[p] for p in sorted(tips)), f"{path}: the tips of its end")
    lists = lead_index[12 * leads :]
    offsets = [u32(lead_index, 12 * i + 8) for i in range(leads)] + [len(lists)]
    prefixes = [lead_index[12 * i : 12 * i + 8] for i in range(leads)]
    need(prefixes == sorted(of_lead), f"{path}: the leads of the lead index")
    for i, prefix in enumerate(prefixes):
        found = list(leb128(lists[offsets[i] : offsets[i + 1]]))
        for k in range(1, len(found)):
            found[k] += found[k - 1]
        need(found == sorted(of_lead[prefix]), f"{path}: the blocks of a lead")


# ---- a directory ----


def read_directory(directory):
    folder, names = os.path.join(directory, "journal"), {}
    for name in sorted(os.listdir(folder)):  # .log before .seg: where both are there, the log counts
        match = re.fullmatch(r"([0-9a-f]{2})-([0-9a-f]{8})\.(log|seg)", name)
        if match:
            names.setdefault((int(match[1], 16), int(match[2], 16)), name)
    segments, sealed = [], 0
    for (log, number), name in names.items():
        path = os.path.join(folder, name)
        if name.endswith(".seg"):
            segments.append(read_sealed(path, log, number))
            sealed += 1
        else:
            segments.append(Segment(path, log, number, open(path, "rb").read()))
    for log in {log for log, _ in names}:
        numbers = sorted(number for l, number in names if l == log)
        need(numbers == list(range(1, len(numbers) + 1)), f"log {log}: a segment is missing")
    walk = Walk()
    for segment in sorted(segments, key=lambda s: (s.session, s.log, s.number)):
        walk.segment(segment)
    return {
        "frames": walk.frames,
        "segments": len(segments),
        "sealed": sealed,
        "torn_bytes": walk.torn,
        "partitions": [{"seq": walk.tips[p][0], "chain": walk.tips[p][1].hex()} for p in sorted(walk.tips)],
    }


if __name__ == "__main__":
    try:
        print(json.dumps(read_directory(sys.argv[1])))
    except Damage as damage:
        print(damage, file=sys.stderr)
        sys.exit(1)
