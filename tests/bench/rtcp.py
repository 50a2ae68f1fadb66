"""Compare what the bridge says of each line with what tshark reads in the same packets.

A media process has a leg for each line of a list: clean, with loss at random and in bursts, with
jitter, with packets that come twice, in PCMU, PCMA and G.722, on own sockets and on a shared port.
The far ends send RTP with these faults, by written patterns, and are RTCP peers: they count and
time what comes to them, miss a share of it, and report that over a way of 15 ms in each direction.
dumpcap writes down all that goes over loopback; tshark reads it (`-z rtp,streams`, fields of
rtcp). Needs root, or whatever lets dumpcap capture.

One row for each line, the bridge's figure (its record's, at the leg's end) beside tshark's:

  packets, lost     from the leg, what tshark counts of the stream; `doubled` are in tshark's count
  jitter_ms         mean and greatest. tshark takes every packet in; the bridge times one tick in
                    ten of a leg on own sockets, so its greatest is smoother
  rr_lost           the cumulative number in our last report, and tshark's own expected less counted
  sr_packets        the sender's packet count in our last report, and packets that tshark saw
  remote_lost       what the far end's last report says, in the record and as tshark reads it
  rtt_ms            round trip, the last one
  r, mos            the record's, and by the same formulas from tshark's figures; waiting for
                    playout, and what came too late for it, nobody sees on a wire: the record's
  reports           our compound packets, those whose length tshark finds right, and how far apart
  cname             characters of our CNAME, and how many different ones

Fails where counts differ, a report of ours is malformed, a CNAME is not random, jitter is off by
more than a fifth and 1 ms, a round trip by more than 2 ms, or R by more than 1.
"""

import contextlib
import heapq
import secrets
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge.media.emodel import G711, G722, burst_ratio, mos, rating
from bridge.media.messages import (
    CloseLeg,
    Codec,
    LegMedia,
    LegStatistics,
    OpenLeg,
    Place,
    SharePort,
)
from bridge.media.ports import MediaPair, open_pair, open_shared
from bridge.media.rtcp import read_compound
from tests.bench.cores import machine
from tests.bench.media_process import MediaProcess, media_process
from tests.bench.programs import LoadError, say
from tests.media.engine import Sender
from tests.media.network import FRAME_S, losses
from tests.support.rtp import open_pair as open_far_pair

__all__ = ["LINES", "Line", "measure"]

HOST: Final = "127.0.0.1"
PORTS: Final = (16_384, 17_383)
SHARED_PORTS: Final = (17_384, 17_583)
CNAME_OCTETS: Final = 12
WAY_S: Final = 0.015
"""That a report takes each way: loopback has none of its own."""

REPORT_S: Final = 2.0
"""Between two reports of a far end."""

ARRIVE_S: Final = 0.5
IN_ORDER: Final = 6
"""Packets at the end that do not overtake each other."""

SNAP_OCTETS: Final = 400
JITTER_SHARE: Final = 0.2
JITTER_MS: Final = 1.0
RTT_MS: Final = 2.0
R_POINTS: Final = 1.0
NUMBERS: Final[dict[Codec, int]] = {"PCMU": 0, "PCMA": 8, "G722": 9}
_HEADER: Final = struct.Struct("!BBHII")
_MASK: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class Line:
    """What happens to packets of a leg.

    Args:
        name: of the row.
        lost: share of packets that never come.
        burst: mean length of runs of lost packets.
        jitter_ms: packets take up to so much longer, evenly spread.
        doubled: share of packets that come twice.
        missed: share of our packets that the far end says it lost.
        codec: of the leg.
        shared: it is on the shared port.
    """

    name: str
    lost: float = 0.0
    burst: float = 1.0
    jitter_ms: float = 0.0
    doubled: float = 0.0
    missed: float = 0.0
    codec: Codec = "PCMU"
    shared: bool = False


LINES: Final = (
    Line("clean"),
    Line("clean, shared port", shared=True),
    Line("1 % lost", lost=0.01, missed=0.02),
    Line("5 % lost", lost=0.05, missed=0.05, codec="PCMA"),
    Line("5 % in bursts", lost=0.05, burst=4.0),
    Line("jitter 10 ms", jitter_ms=10),
    Line("jitter 40 ms", jitter_ms=40),
    Line("jitter 40 ms, shared port", jitter_ms=40, shared=True),
    Line("jitter 80 ms, 2 % lost", jitter_ms=80, lost=0.02),
    Line("2 % doubled", doubled=0.02),
    Line("3 % lost, G.722", lost=0.03, missed=0.03, codec="G722"),
)


@dataclass
class _End:
    """The far end of a leg: sends RTP, is an RTCP peer."""

    line: Line
    leg: int
    rtp: socket.socket
    rtcp: socket.socket
    bridge: MediaPair
    sender: Sender
    cname: str = field(default_factory=lambda: secrets.token_urlsafe(CNAME_OCTETS))
    first: int = -1
    highest: int = -1
    came: int = 0
    theirs: int = 0
    missed: Callable[[int], bool] = lambda _: False
    told: tuple[int, int] = (0, 0)
    jitter: float = 0.0
    transit: float | None = None
    last_sr: tuple[int, float] = (0, 0.0)

    @property
    def number(self) -> int:
        """The port of its RTP."""
        port: int = self.rtp.getsockname()[1]
        return port

    @property
    def port(self) -> int:
        """The bridge's port."""
        return self.bridge.port

    def close(self) -> None:
        """Close all sockets."""
        self.rtp.close()
        self.rtcp.close()
        self.bridge.close()

    def take(self, data: bytes, now: float) -> None:
        """Count and time a packet of ours, unless it is to be missed (RFC 3550 A.3, A.8)."""
        _, _, sequence, timestamp, self.theirs = _HEADER.unpack_from(data)
        if self.first < 0:
            self.first = self.highest = sequence
        self.highest += ((sequence - self.highest) + 0x8000 & 0xFFFF) - 0x8000
        if self.missed(self.highest - self.first):
            return
        self.came += 1
        transit = (now * 8000 - timestamp) % 2**32
        if self.transit is not None:
            difference = abs((transit - self.transit + 2**31) % 2**32 - 2**31)
            self.jitter += (difference - self.jitter) / 16
        self.transit = transit

    def hear(self, data: bytes, now: float) -> None:
        """Take a report of the bridge's, which has been on its way for `WAY_S`."""
        report = read_compound(data)
        if report.ntp is not None:
            self.last_sr = (report.ntp, now + WAY_S)

    def report(self, now: float) -> bytes:
        """Return a receiver's report that leaves now, to be sent on the wire `WAY_S` later."""
        expected = self.highest - self.first + 1
        lost = expected - self.came
        before_expected, before_lost = self.told
        since, gone = expected - before_expected, lost - before_lost
        self.told = (expected, lost)
        fraction = min(255, 256 * gone // since) if since > 0 and gone > 0 else 0
        stamp, at = self.last_sr
        delay = max(0, round((now - at) * 65536)) if stamp else 0
        block = struct.pack(
            "!IIIIII",
            self.theirs,
            fraction << 24 | lost & 0xFF_FFFF,
            self.highest & _MASK,
            round(self.jitter),
            stamp,
            delay,
        )
        name = self.cname.encode()
        chunk = struct.pack("!IBB", self.sender.ssrc, 1, len(name)) + name + b"\0"
        chunk += bytes(-len(chunk) % 4)
        return (
            struct.pack("!BBHI", 0x81, 201, 7, self.sender.ssrc)
            + block
            + struct.pack("!BBH", 0x81, 202, len(chunk) // 4)
            + chunk
        )


def _far_ends() -> tuple[list[_End], MediaPair]:
    """Return a far end for each line, with the bridge's own sockets for it; nothing is sent yet."""
    shared = open_shared(HOST, *SHARED_PORTS, 1)[0]
    ends = []
    for leg, line in enumerate(LINES, 1):
        rtp, rtcp = open_far_pair(HOST)
        end = _End(
            line=line,
            leg=leg,
            rtp=rtp,
            rtcp=rtcp,
            bridge=shared if line.shared else open_pair(HOST, *PORTS),
            # A number that soon wraps, and packets out of order, confuse tshark's count.
            sender=Sender(NUMBERS[line.codec], ssrc=0x5EED_0000 + leg, sequence=1000),
            missed=losses(line.missed, 1.0, 900 + leg),
        )
        ends.append(end)
    return ends, shared


def _open(media: MediaProcess, ends: list[_End], shared: MediaPair) -> None:
    """Open a leg for each far end, all in one room."""
    media.tell(SharePort(port=0), (shared.rtp.fileno(), shared.rtcp.fileno()))
    for end in ends:
        line = end.line
        described = LegMedia(
            codec=line.codec,
            payload_type=NUMBERS[line.codec],
            dtmf_payload_type=101,
            remote_rtp=(HOST, end.number),
            remote_rtcp=(HOST, end.number + 1),
        )
        opened = OpenLeg(
            leg=end.leg,
            media=described,
            ssrc=secrets.randbelow(2**32 - 1) + 1,
            cname=secrets.token_urlsafe(CNAME_OCTETS),
            shared_port=0 if line.shared else None,
        )
        sockets = () if line.shared else (end.bridge.rtp.fileno(), end.bridge.rtcp.fileno())
        media.tell(opened, sockets)
        media.tell(Place(leg=end.leg, room=1))


def _sendings(ends: list[_End], seconds: float) -> list[tuple[float, int, bytes]]:
    """Return every packet of every far end, and when it is sent from the first on, as a heap."""
    queue: list[tuple[float, int, bytes]] = []
    count = int(seconds / FRAME_S)
    for number, end in enumerate(ends):
        line = end.line
        generator = np.random.default_rng(end.leg)
        late = generator.uniform(0, line.jitter_ms / 1000, count)
        # tshark takes the last packet that came for the highest one.
        late[-IN_ORDER:] = line.jitter_ms / 1000
        doubled = generator.random(count) < line.doubled
        gone = losses(line.lost, line.burst, end.leg)
        payload = generator.integers(0, 256, (count, 160), dtype=np.uint8)
        phase = FRAME_S * number / len(ends)
        for packet in range(count):
            data = end.sender.audio(payload[packet].tobytes()).pack()
            if gone(packet) and packet:
                continue
            due = phase + FRAME_S * packet + float(late[packet])
            queue += [(due, number, data)] * (2 if doubled[packet] else 1)
    heapq.heapify(queue)
    return queue


def _talk(ends: list[_End], media: MediaProcess, seconds: float) -> None:
    """Let all send, hear and report for so long."""
    queue = _sendings(ends, seconds)
    began = time.monotonic() + 0.2
    reports = [(began + REPORT_S * (1 + number / len(ends)), number) for number in range(len(ends))]
    heapq.heapify(reports)
    on_their_way: list[tuple[float, int, bytes]] = []
    sockets = {end.rtp.fileno(): (end, end.take) for end in ends}
    sockets |= {end.rtcp.fileno(): (end, end.hear) for end in ends}
    last, heard = began + seconds + ARRIVE_S, 0.0
    while (now := time.monotonic()) < last:
        while queue and began + queue[0][0] <= now:
            _, number, data = heapq.heappop(queue)
            ends[number].rtp.sendto(data, (HOST, ends[number].port))
        while reports[0][0] <= now:
            at, number = heapq.heappop(reports)
            heapq.heappush(reports, (at + REPORT_S, number))
            if ends[number].first >= 0:
                entry = (now + WAY_S, number, ends[number].report(now))
                heapq.heappush(on_their_way, entry)
        while on_their_way and on_their_way[0][0] <= now:
            _, number, data = heapq.heappop(on_their_way)
            ends[number].rtcp.sendto(data, (HOST, ends[number].port + 1))
        if now - heard > 1.0:
            media.hear()
            heard = now
        nearest = min(last, now + 0.02, *(each[0][0] for each in (reports, on_their_way) if each))
        if queue:
            nearest = min(nearest, began + queue[0][0])
        ready, _, _ = select.select(list(sockets), [], [], max(0.0, nearest - time.monotonic()))
        now = time.monotonic()
        for descriptor in ready:
            end, take = sockets[descriptor]
            sock = end.rtp if descriptor == end.rtp.fileno() else end.rtcp
            with contextlib.suppress(BlockingIOError):
                while True:
                    take(sock.recv(2048), now)


# --- the capture ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _capture(path: Path, ports: list[int]) -> Iterator[None]:
    """Write down what goes over loopback to or from ports.

    Raises:
        LoadError: dumpcap is not there, may not, or lost packets.
    """
    program = shutil.which("dumpcap")
    if program is None:
        raise LoadError("dumpcap is not there: scripts/bench installs tshark, which brings it")
    wanted = " or ".join(f"udp port {port} or udp port {port + 1}" for port in ports)
    capture = subprocess.Popen(
        [program, "-q", "-i", "lo", "-s", str(SNAP_OCTETS), "-B", "64", "-f", wanted, "-w", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 10
        while not path.exists() or not path.stat().st_size:
            if capture.poll() is not None or time.monotonic() > deadline:
                capture.kill()
                said = capture.communicate()[1].strip().replace("\n", " ")
                raise LoadError(f"dumpcap does not capture (it needs root): {said}")
            time.sleep(0.05)
        time.sleep(0.3)
        yield
        time.sleep(0.5)
    finally:
        capture.terminate()
        said = capture.communicate(timeout=10)[1]
    if "dropped" in said and "dropped on interface 'lo': " in said:
        counts = said.split("dropped on interface 'lo': ")[1].split()[0]
        if counts.partition("/")[2] not in {"", "0"}:
            raise LoadError(f"dumpcap lost packets: {said.strip().splitlines()[-1]}")


def _tshark(path: Path, ends: list[_End], *arguments: str) -> list[str]:
    """Return the lines that tshark says of a capture."""
    decode: list[str] = []
    for end in ends:
        decode += ["-d", f"udp.port=={end.number},rtp", "-d", f"udp.port=={end.number + 1},rtcp"]
    run = subprocess.run(
        ["tshark", "-n", "-r", path, *decode, "-o", "rtcp.show_roundtrip_calculation:TRUE",
         "-o", "rtcp.roundtrip_min_threshhold:0", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    if run.returncode:
        raise LoadError(f"tshark cannot read the capture: {run.stderr.strip()[:300]}")
    return run.stdout.splitlines()


@dataclass
class _Stream:
    """A line of tshark's table of streams."""

    packets: int
    lost: int
    jitter_mean: float
    jitter_max: float


def _streams(path: Path, ends: list[_End]) -> dict[tuple[int, int], _Stream]:
    """Return tshark's streams by source and destination port."""
    found = {}
    for line in _tshark(path, ends, "-q", "-z", "rtp,streams"):
        words = line.split()
        # Start, end, from address, port, to address, port, SSRC, payload (one word or more),
        # packets, lost, (percent), three of delta, three of jitter, problems.
        share = next((at for at, word in enumerate(words) if word.endswith("%)")), None)
        if share is None or not words[0].replace(".", "").isdigit():
            continue
        numbers = [float(word) for word in words[share + 1 : share + 7]]
        found[int(words[3]), int(words[5])] = _Stream(
            packets=int(words[share - 2]),
            lost=int(words[share - 1]),
            jitter_mean=numbers[4],
            jitter_max=numbers[5],
        )
    return found


def _sequences(path: Path, ends: list[_End]) -> dict[int, list[int]]:
    """Return sequence numbers by source port, in the order of the capture."""
    found: dict[int, list[int]] = defaultdict(list)
    fields = ("-Y", "rtp", "-T", "fields", "-e", "udp.srcport", "-e", "rtp.seq")
    for line in _tshark(path, ends, *fields):
        port, sequence = line.split("\t")
        found[int(port)].append(int(sequence))
    return found


@dataclass
class _Said:
    """RTCP from one port to another, as tshark reads it; lists by packet."""

    at: list[float] = field(default_factory=list)
    whole: int = 0
    kinds: list[str] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    rtt: list[float] = field(default_factory=list)


RTCP_FIELDS: Final = (
    "udp.srcport",
    "udp.dstport",
    "frame.time_relative",
    "rtcp.length_check",
    "rtcp.pt",
    "rtcp.sender.packetcount",
    "rtcp.ssrc.cum_nr",
    "rtcp.sdes.text",
    "rtcp.roundtrip-delay",
)


def _reports(path: Path, ends: list[_End]) -> dict[tuple[int, int], _Said]:
    """Return what was reported, by source and destination port."""
    found: dict[tuple[int, int], _Said] = defaultdict(_Said)
    fields = [word for name in RTCP_FIELDS for word in ("-e", name)]
    for line in _tshark(path, ends, "-Y", "rtcp", "-T", "fields", *fields):
        source, to, at, whole, kinds, packets, lost, names, rtt = line.split("\t")
        said = found[int(source), int(to)]
        said.at.append(float(at))
        said.whole += whole in {"1", "True"}
        said.kinds.append(kinds)
        said.packets += [int(each) for each in packets.split(",") if each]
        said.lost += [int(each) for each in lost.split(",") if each]
        said.names |= {each for each in names.split(",") if each}
        said.rtt += [float(each) for each in rtt.split(",") if each]
    return found


# --- the table ------------------------------------------------------------------------------------


def _r_of(line: Line, delay: float, lost: int, bursts: int, expected: int) -> float:
    """Return R by what tshark counted."""
    codec = G722 if line.codec == "G722" else G711
    one = [np.array([float(value)]) for value in (lost, bursts, expected)]
    ratio = burst_ratio(*one)
    loss = np.array([100 * lost / expected])
    return float(
        rating(np.array([delay]), loss, ratio, np.array([codec.ie]), np.array([codec.bpl]))[0]
    )


def _bursts(sequences: list[int]) -> int:
    """Return how many runs of numbers are missing."""
    whole = np.unwrap(np.array(sequences, np.float64), period=65_536)
    return int((np.diff(np.unique(whole)) > 1).sum())


def _row(
    end: _End,
    record: LegStatistics,
    streams: dict[tuple[int, int], _Stream],
    sequences: dict[int, list[int]],
    said: dict[tuple[int, int], _Said],
) -> dict[str, Any]:
    """Return a line's row."""
    came, went = streams[end.number, end.port], streams[end.port, end.number]
    ours, theirs = said[end.port + 1, end.number + 1], said[end.number + 1, end.port + 1]
    distinct = len(set(sequences[end.number]))
    rtt = theirs.rtt[-1] if theirs.rtt else 0.0
    # What waits for playout is on no wire; what came too late is neither.
    wait = (record.playout_ms_median or 0.0) + 10.0
    expected = distinct + came.lost + came.packets - distinct
    lost = came.lost + came.packets - distinct
    r = _r_of(
        end.line, 20 + wait + rtt / 2, lost + record.late, _bursts(sequences[end.number]), expected
    )
    pauses = np.diff(ours.at)
    return {
        "line": end.line.name,
        "packets": (record.packets_rx, distinct),
        "doubled": (record.duplicate, came.packets - distinct),
        "lost": (record.lost, lost),
        "jitter_ms": (_two(record.jitter_ms_mean), _two(came.jitter_mean)),
        "jitter_max_ms": (_two(record.jitter_ms_worst), _two(came.jitter_max)),
        "rr_lost": (ours.lost[-1], came.lost),
        "sr_packets": (ours.packets[-1], went.packets),
        "sent": (record.packets_tx, went.packets),
        "remote_lost": (record.remote_lost, theirs.lost[-1]),
        "rtt_ms": (_two(record.rtt_ms), _two(rtt)),
        "late": record.late,
        "r": (_one(record.r_factor), _one(r)),
        "mos": (_two(record.mos), _two(float(mos(np.array([r]))[0]))),
        "remote_mos": _two(record.remote_mos),
        "reports": {
            "sent": len(ours.at),
            "whole": ours.whole,
            "seconds_between": _one(float(np.mean(pauses))) if len(pauses) else None,
            "last": ours.kinds[-1],
        },
        "cname": {"characters": max(map(len, ours.names), default=0), "different": len(ours.names)},
    }


def _agree(row: dict[str, Any]) -> bool:
    """Say whether the bridge and tshark agree about a line."""
    ours, theirs = row["jitter_ms"]
    apart = abs(ours - theirs)
    return (
        all(row[name][0] == row[name][1] for name in EXACT)
        and apart <= max(JITTER_MS, JITTER_SHARE * theirs)
        and abs(row["rtt_ms"][0] - row["rtt_ms"][1]) <= RTT_MS
        and abs(row["r"][0] - row["r"][1]) <= R_POINTS
        and row["reports"]["sent"] == row["reports"]["whole"]
        and row["reports"]["last"] == "200,202,203"
        and row["cname"] == {"characters": 16, "different": 1}
    )


EXACT: Final = ("packets", "doubled", "lost", "rr_lost", "sr_packets", "sent", "remote_lost")


def _one(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _two(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def measure(seconds: float) -> dict[str, Any]:
    """Measure.

    Args:
        seconds: how long all send.

    Returns:
        What `scripts/bench rtcp --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    ends, shared = _far_ends()
    with contextlib.ExitStack() as stack:
        for end in ends:
            stack.callback(end.close)
        media = stack.enter_context(media_process())
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "loopback.pcapng"
        media.wait(lambda: media.ready, "a sign of life")
        with _capture(path, sorted({end.port for end in ends})):
            _open(media, ends, shared)
            media.asked()  # it has them: what queues before a source is known is not played
            say(f"{len(ends)} lines for {seconds:g} s")
            _talk(ends, media, seconds)
            for end in ends:
                media.tell(CloseLeg(leg=end.leg))
            media.wait(lambda: len(media.closed) == len(ends), "the end of each leg")
        statistics = media.asked()
        say("reading the capture")
        streams, said = _streams(path, ends), _reports(path, ends)
        sequences = _sequences(path, ends)
        rows = [_row(end, media.closed[end.leg], streams, sequences, said) for end in ends]
    return {
        "seconds": seconds,
        "tshark": _tshark_version(),
        "rows": rows,
        "disagree": [row["line"] for row in rows if not _agree(row)],
        "lost_by_bridge": statistics.lost_by_bridge,
        "rtcp_malformed": statistics.counters["rtcp_malformed"],
        "machine": machine(),
        "ok": all(_agree(row) for row in rows) and statistics.lost_by_bridge == 0,
    }


def _tshark_version() -> str:
    run = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=False)
    return run.stdout.splitlines()[0] if run.stdout else "unknown"
