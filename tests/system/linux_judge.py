# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the segments of one host in a capture made at its own interface.

tshark reads the capture; malformed packets, errors of its expert and retransmissions are its word.
Windows that shrink, data beyond the offered window and acknowledgements of what never came are
computed here from the fields. control() shows that each fault is found, and none where there is none."""

import os
import shutil
import struct
import subprocess
import tempfile

from box import need

FIELDS = ("frame.number", "frame.time_epoch", "ip.src", "tcp.stream", "tcp.seq_raw", "tcp.ack_raw",
          "tcp.len", "tcp.flags", "tcp.window_size_value", "tcp.options.wscale.shift",
          "_ws.malformed", "_ws.expert.severity", "_ws.expert.message",
          "tcp.analysis.retransmission", "tcp.analysis.fast_retransmission",
          "tcp.analysis.spurious_retransmission", "tcp.analysis.ack_lost_segment")
FIN, SYN, RST, ACK = 1, 2, 4, 16
EXPERT_ERROR = 0x800000
# A peer that was silent for so long may be probed with the last segment (RFC 8985 section 7), once:
# programs wait for their processor now and then.
SILENCE_S = 0.0015


def ahead(one, other):
    """By how much sequence number `one` is beyond `other`."""
    return (one - other + (1 << 31)) % (1 << 32) - (1 << 31)


def later(one, other):
    return one if other is None or ahead(one, other) > 0 else other


def has_tshark():
    return shutil.which("tshark") is not None


class Row:
    """One frame."""

    def __init__(self, values):
        value = dict(zip(FIELDS, values))
        self.number, self.source, self.stream = (value["frame.number"], value["ip.src"],
                                                 value["tcp.stream"])
        self.time = float(value["frame.time_epoch"])
        self.seq, self.ack, self.size, self.window = (int(value[name] or 0) for name in (
            "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.window_size_value"))
        self.shift = int(value["tcp.options.wscale.shift"] or -1)
        self.flags = int(value["tcp.flags"] or "0", 16)
        self.is_tcp = value["tcp.flags"] != ""
        self.is_malformed = value["_ws.malformed"] != ""
        self.errors = [text for text in value["_ws.expert.message"].split("|")
                       if text] if any(int(part, 0) >= EXPERT_ERROR for part in
                                       value["_ws.expert.severity"].split("|") if part) else []
        self.is_again = any(value[f"tcp.analysis.{name}retransmission"]
                            for name in ("", "fast_", "spurious_"))
        self.acks_lost = value["tcp.analysis.ack_lost_segment"] != ""

    def end(self):
        """Sequence number behind it."""
        return self.seq + self.size + (self.flags & SYN != 0) + (self.flags & FIN != 0)


def read(capture):
    fields = [part for name in FIELDS for part in ("-e", name)]
    out = subprocess.run(
        # Payload is data: nobody is to guess what it may be.
        ["tshark", "-r", capture, "-d", "tcp.port==9092,data", "-n", "-T", "fields",
         "-E", "separator=/t", "-E", "aggregator=|", "-o", "tcp.check_checksum:FALSE",
         *fields],
        check=True, capture_output=True, text=True, timeout=120).stdout
    return [Row((line.split("\t") + [""] * len(FIELDS))[:len(FIELDS)])
            for line in out.splitlines()]


class Side:
    """How far one host came in one connection."""

    def __init__(self):
        self.end = self.edge = None  # behind what it sent; end of the window it offered
        self.shift = None  # of its windows; -1: it cannot
        self.time = 0.0  # of its last segment
        self.is_probed = False  # since then

    def edge_of(self, row, peer):
        is_scaled = not row.flags & SYN and min(self.shift or 0, peer.shift or 0) >= 0
        return row.ack + (row.window << (self.shift or 0) if is_scaled else row.window)

    def note(self, row, peer):
        if row.flags & SYN and self.shift is None:
            self.shift = row.shift
        self.time, self.is_probed = row.time, False
        self.end = later(row.end(), self.end)
        if row.flags & ACK and not row.flags & RST:
            self.edge = later(self.edge_of(row, peer), self.edge)


def judge_one(row, own, peer, is_clean, is_damaged):
    """Yield what is wrong with one segment of ours."""
    at = f"frame {row.number}"
    if row.is_malformed or row.errors:
        yield f"{at}: malformed {' '.join(row.errors)}"
    if not row.is_tcp:
        return
    if row.flags & ACK and peer.end is not None and not is_damaged:
        if ahead(row.ack, peer.end) > 0:
            yield f"{at}: acknowledges {ahead(row.ack, peer.end)} bytes that the peer never sent"
        elif row.acks_lost:
            yield f"{at}: acknowledges what did not come"
    if is_clean and row.is_again:
        if peer.is_probed or row.time - peer.time < SILENCE_S:
            yield f"{at}: sent again though nothing was lost"
        peer.is_probed = True
    if row.flags & ACK and not row.flags & (RST | SYN) and own.edge is not None:
        shrinks = ahead(own.edge, own.edge_of(row, peer))
        if shrinks > 0:
            yield f"{at}: the window shrinks by {shrinks}"
    if row.size > 0 and peer.edge is not None:
        beyond = ahead(row.seq + row.size, peer.edge)
        if beyond > 1:  # one byte more is a probe of a shut window
            yield f"{at}: {beyond} bytes beyond the offered window"


def judge(rows, ours, is_clean=False, is_damaged=False):
    """@param is_clean: nothing was lost. @param is_damaged: what came in may be wrong"""
    found, streams = [], {}
    for row in rows:
        sides = streams.setdefault(row.stream, (Side(), Side()))
        own, peer = sides if row.source == ours else sides[::-1]
        if row.source == ours:
            found += judge_one(row, own, peer, is_clean, is_damaged)
        if row.is_tcp and not row.is_malformed:
            own.note(row, peer)
    return found


def crossed(rows, what):
    """Both hosts sent their SYN, or their FIN, before they had the other's."""
    firsts = {}
    for row in rows:
        if row.is_tcp and (row.flags & (SYN | ACK) == SYN if what == "syn" else row.flags & FIN):
            firsts.setdefault(row.source, row)
    if len(firsts) != 2:
        return False
    one, other = firsts.values()
    return what == "syn" or (ahead(one.ack, other.end()) < 0 and ahead(other.ack, one.end()) < 0)


# ---- the control

OURS, PEER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def segment(source, seq, ack, flags, payload=b"", window=1000, offset=5):
    destination = PEER if source == OURS else OURS
    ports = (1000, 2000) if source == OURS else (2000, 1000)
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, offset << 4, flags, window, 0, 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, destination)
    return bytes(12) + b"\x08\x00" + ip + tcp


def verdict(frames, gap_ns=1000, **more):
    """Judge frames as if they had been captured, so long after one another."""
    with tempfile.TemporaryDirectory(prefix="mrlinux-judge-") as folder:
        path = os.path.join(folder, "made.pcap")
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 1))
            for number, frame in enumerate(frames):
                file.write(struct.pack("<IIII", 1, number * gap_ns, len(frame), len(frame)) + frame)
        return judge(read(path), "10.0.0.1", **more)


def control():
    """Each fault alone, in a conversation that is right otherwise."""
    if not has_tshark():
        return
    right = [segment(OURS, 100, 0, SYN), segment(PEER, 500, 101, SYN | ACK),
             segment(OURS, 101, 501, ACK), segment(OURS, 101, 501, ACK, bytes(400)),
             segment(PEER, 501, 501, ACK, bytes(300)), segment(OURS, 501, 801, ACK, window=700),
             segment(OURS, 501, 801, FIN | ACK, window=700), segment(PEER, 801, 502, FIN | ACK),
             segment(OURS, 502, 802, ACK, window=699)]
    found = verdict(right, is_clean=True)
    need(not found, f"faults where there are none: {found}")
    for fault, frame in (
            ("malformed", segment(OURS, 501, 801, ACK, window=700, offset=4)),
            ("malformed", segment(OURS, 501, 801, ACK, window=700, offset=15)),
            ("acknowledges 401 bytes", segment(OURS, 501, 1202, ACK)),
            ("shrinks by 1", segment(OURS, 501, 801, ACK, window=699)),
            ("sent again", segment(OURS, 101, 801, ACK, bytes(400), window=700)),
            ("beyond the offered window", segment(OURS, 501, 801, ACK, bytes(1002), window=700))):
        found = verdict(right[:6] + [frame], is_clean=True)
        need(any(fault in text for text in found), f"{fault!r} is not found: {found}")
    probe = segment(OURS, 101, 801, ACK, bytes(400), window=700)
    need(not verdict(right[:6] + [probe], gap_ns=3000000, is_clean=True), "a probe is right")
    need(verdict(right[:6] + [probe, probe], gap_ns=3000000, is_clean=True), "two probes are not")
    again = verdict(right[:6] + [probe])
    need(not again, f"sending again is right where something was lost: {again}")
