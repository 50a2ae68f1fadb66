"""What the control process and a media process say to each other.

The channel is a `SOCK_SEQPACKET` Unix socket pair. Each packet from control is one msgpack
`Command`, or a list of such as need no descriptors; those that a command needs travel with it
(SCM_RIGHTS), in the order its docstring gives. Each packet to control is a msgpack list of `Event`.
All times named `at` are seconds of `time.monotonic()`, which on Linux is one clock for both
processes.

Identifiers are chosen by the control process and never used twice in one run of the bridge:
`leg`, `room` and `play` are positive integers.

An `OpenLeg` carries all that a media process needs to know of a new leg. A leg that another process
had is handed on in `OpenLegs`, with its record: of the state page (`page`) after a death, of
`LegGiven` when it moves. What is said of a leg's second place is in `place_messages`,
what is told of how a leg goes in `leg_reports`.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from bridge.media.leg_reports import (
    Direction,
    DtmfMethod,
    LegClosed,
    LegStatistics,
    QualityDropped,
    QualityRecovered,
)
from bridge.media.name_messages import NameRecorded, RecordName, StopName, UseNames
from bridge.media.place_messages import AddPlace, DropPlace, PlaceAdded, TakePlace

__all__ = [
    "SILENCE",
    "BeginTrace",
    "ChangeLeg",
    "CloseLeg",
    "Codec",
    "Command",
    "Configure",
    "DigitInfo",
    "DigitPressed",
    "Direction",
    "DtmfMethod",
    "EndTrace",
    "EngineError",
    "EngineStatistics",
    "Event",
    "FirstMedia",
    "GiveLegs",
    "GuardAction",
    "GuardName",
    "HandedLeg",
    "Heartbeat",
    "LegClosed",
    "LegGiven",
    "LegGuarded",
    "LegMedia",
    "LegStatistics",
    "LoadBank",
    "MediaQuiet",
    "MediaResumed",
    "OpenLeg",
    "OpenLegs",
    "Place",
    "Play",
    "PlayFinished",
    "PlayMode",
    "QualityDropped",
    "QualityRecovered",
    "Ready",
    "SetVolume",
    "SharePort",
    "SourceLatched",
    "StartTap",
    "Statistics",
    "Stop",
    "StopPlay",
    "StopTap",
    "TalkSpurt",
    "Traced",
    "UsePage",
    "UseTaps",
]

Codec: TypeAlias = Literal["PCMU", "PCMA", "G722"]
PlayMode: TypeAlias = Literal["replace", "mix"]
GuardName: TypeAlias = Literal["over_loud", "leak", "echo"]
GuardAction: TypeAlias = Literal["ducked", "muted", "released"]

SILENCE: Final = -1
"""As the start of a clip: silence of the clip's length."""


class LegMedia(msgspec.Struct, frozen=True):
    """What an offer and answer agreed on for one leg.

    Args:
        codec: the encoding of both directions: G.711 at 8 kHz, or G.722 at 16 kHz.
        payload_type: its RTP payload type, 0 to 127.
        dtmf_payload_type: of telephone-event (RFC 4733), `None` when not negotiated.
        cn_payload_type: of comfort noise (RFC 3389), 13 unless negotiated otherwise; `None` when
            the peer may not send it.
        tx_ptime_ms: sound per packet that we send, 10 or 20 ms. What comes in may be 10 to 60 ms.
        remote_rtp: address and port the peer's SDP names, `None` when it names none (0.0.0.0).
        remote_rtcp: the same for RTCP.
        tx: we may send to the peer (false while it holds us).
        rx: we accept what it sends.
    """

    codec: Codec
    payload_type: int
    dtmf_payload_type: int | None = None
    cn_payload_type: int | None = 13
    tx_ptime_ms: int = 20
    remote_rtp: tuple[str, int] | None = None
    remote_rtcp: tuple[str, int] | None = None
    tx: bool = True
    rx: bool = True


# --- control to media -------------------------------------------------------------------------


class Configure(msgspec.Struct, frozen=True, tag=True):
    """Set the engine's options, all of them: what is not named has its default.

    A media process is told before its first leg; told again, it changes while legs talk.

    Args:
        gate: what is no speech is kept out of the mix.
        agc: talkers are brought to one level.
        target_dbov: that level, an active speech level of ITU-T P.56 [dBov], -36 to -12.
        limiter: rooms that are too loud are turned down as a whole instead of clipped.
        over_loud: lines that are far too loud are ducked, and muted where it goes on.
        over_loud_duck_s: too loud for so long before a leg is ducked [s].
        over_loud_mute_s: and for so long after that before it is muted [s].
        leak: lines with music or steady noise and no speech are muted.
        leak_s: for so long before they are [s].
        echo: lines that return what they are sent are found, and turned down while they do.
    """

    gate: bool = True
    agc: bool = True
    target_dbov: float = -24.0
    limiter: bool = True
    over_loud: bool = True
    over_loud_duck_s: float = 2.0
    over_loud_mute_s: float = 5.0
    leak: bool = True
    leak_s: float = 10.0
    echo: bool = True


class OpenLeg(msgspec.Struct, frozen=True, tag=True):
    """Take a leg over. Descriptors: the bound RTP socket, the bound RTCP socket.

    Args:
        leg: the leg.
        media: what was negotiated.
        ssrc: the synchronisation source we send with, 1 to 2**32 - 1, constant for the call.
        cname: the RTCP canonical name, without personal information.
        sequence: the first sequence number to send, random when `None`.
        timestamp: the first time stamp to send, random when `None`.
        shared_port: the shared port that carries it (`SharePort`): no descriptors come then.
        former_ssrc: what another process sent with that left no record: a BYE is said for it.
    """

    leg: int
    media: LegMedia
    ssrc: int
    cname: str
    sequence: int | None = None
    timestamp: int | None = None
    shared_port: int | None = None
    former_ssrc: int | None = None


class SharePort(msgspec.Struct, frozen=True, tag=True):
    """Use a port for many legs. Descriptors: the bound RTP socket, the bound RTCP socket.

    Args:
        port: what `OpenLeg` calls it, 0 to 63.
    """

    port: int


class ChangeLeg(msgspec.Struct, frozen=True, tag=True):
    """Apply a re-INVITE or UPDATE: hold, resume, moved media, another codec."""

    leg: int
    media: LegMedia


class CloseLeg(msgspec.Struct, frozen=True, tag=True):
    """Send an RTCP BYE, close the sockets, answer with `LegClosed`."""

    leg: int


class Place(msgspec.Struct, frozen=True, tag=True):
    """Put a leg into a room, or leave it alone (`room` is `None`).

    Args:
        leg: the leg.
        room: the room, which exists from its first leg to its last.
        speaks: the others in the room hear this leg.
        hears: this leg hears the others.
        group: a room in the room: legs of one group hear each other and nobody else. What is
            played to the room is heard in all of them.
        whispers_to: the one leg that hears this one, whatever its group, as long as it is in the
            same room and hears: nobody else does. `None`: everybody in the group.
    """

    leg: int
    room: int | None
    speaks: bool = True
    hears: bool = True
    group: int = 0
    whispers_to: int | None = None


class SetVolume(msgspec.Struct, frozen=True, tag=True):
    """Let a leg hear its room louder or softer; what is played to it stays as it is.

    Args:
        leg: the leg.
        gain_db: against normal, -12 to 12: what is beyond is taken for the nearest of these [dB].
    """

    leg: int
    gain_db: float


class Play(msgspec.Struct, frozen=True, tag=True):
    """Play clips of the bank to one leg or to all who hear in a room.

    A leg has a foreground, where plays queue behind each other, and one background loop (`loop`),
    heard when the foreground is silent and no room is heard; a background of mode "mix" is heard
    together with the room. A new background takes the old one's place. A room's plays queue too
    and are always mixed.

    Args:
        leg: the leg, or `None`.
        room: the room, or `None`; exactly one of the two is given.
        play: identifies the play in `StopPlay` and `PlayFinished`.
        clips: start and length of each clip in samples of the bank (8 kHz); `SILENCE` as start
            is silence. They follow each other without a gap.
        loop: begin again at the end, until stopped; for a leg this makes it the background.
        mode: "replace": the leg hears the play instead of its room; "mix": both.
        gain_db: level change.
        skip: samples to leave out at its beginning, where nothing plays before it: another process
            has played them.
    """

    play: int
    clips: list[tuple[int, int]]
    leg: int | None = None
    room: int | None = None
    loop: bool = False
    mode: PlayMode = "replace"
    gain_db: float = 0.0
    skip: int = 0


class StopPlay(msgspec.Struct, frozen=True, tag=True):
    """Stop one play, or all of a leg or room (`play` is `None`); each answers `PlayFinished`."""

    leg: int | None = None
    room: int | None = None
    play: int | None = None


class HandedLeg(msgspec.Struct, frozen=True):
    """A leg that another process had, and all that has been said of it.

    Args:
        opened: how it was opened, and what was negotiated last.
        record: its record of `page.record_type`, empty where there is none.
        at: when the record was true [s].
        place: where it is.
        volume_db: of `SetVolume`.
        plays: what is played to it, in order.
        traced: its headers are reported.
        descriptors: how many of those that came are its own.
    """

    opened: OpenLeg
    record: bytes = b""
    at: float = 0.0
    place: Place | None = None
    volume_db: float = 0.0
    plays: list[Play] = []
    traced: bool = False
    descriptors: int = 2


class OpenLegs(msgspec.Struct, frozen=True, tag=True):
    """Go on with legs of another process. Descriptors: those of each leg, one after the other.

    Args:
        legs: the legs.
        more: how many come right behind, in further ones.
    """

    legs: list[HandedLeg]
    more: int = 0


class GiveLegs(msgspec.Struct, frozen=True, tag=True):
    """Let go of legs, without a word to their far ends; each answers `LegGiven`."""

    legs: list[int]


class UsePage(msgspec.Struct, frozen=True, tag=True):
    """Write the state page (`page`) in every tick. Descriptor: a memfd."""


class UseTaps(msgspec.Struct, frozen=True, tag=True):
    """Write what is tapped to a ring (`tap_ring`). Descriptor: its memfd."""


class StartTap(msgspec.Struct, frozen=True, tag=True):
    """Record the legs of a room: write what it hears of them to the ring, until `StopTap`.

    Args:
        room: the room, which need not exist yet.
        group: of the room; what is said in its other groups is not on it.
    """

    room: int
    group: int = 0


class StopTap(msgspec.Struct, frozen=True, tag=True):
    """End a tap. Told before the room has ended, or after."""

    room: int
    group: int = 0


class DigitInfo(msgspec.Struct, frozen=True, tag=True):
    """A digit came by SIP INFO; it comes back as `DigitPressed` unless it came by RTP as well."""

    leg: int
    digit: str
    duration_ms: int = 0

    def __repr__(self) -> str:
        """Leave the digit out, as `DigitPressed` does."""
        return f"DigitInfo(leg={self.leg}, digit=hidden, duration_ms={self.duration_ms})"


class BeginTrace(msgspec.Struct, frozen=True, tag=True):
    """Report the leg's RTP headers as `Traced` until `EndTrace`."""

    leg: int


class EndTrace(msgspec.Struct, frozen=True, tag=True):
    """End a trace."""

    leg: int


class LoadBank(msgspec.Struct, frozen=True, tag=True):
    """Use a prompt bank. Descriptor: a sealed memfd of int16 samples, 8 kHz, mono.

    Args:
        samples: how many samples; at least a frame (160) of zeros follows them in the memfd.
    """

    samples: int


class Statistics(msgspec.Struct, frozen=True, tag=True):
    """Ask for `EngineStatistics`."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Close every leg and end. So does the end of the control socket."""


Command: TypeAlias = (
    Configure
    | SharePort
    | OpenLeg
    | OpenLegs
    | GiveLegs
    | AddPlace
    | TakePlace
    | DropPlace
    | ChangeLeg
    | CloseLeg
    | Place
    | SetVolume
    | Play
    | StopPlay
    | DigitInfo
    | BeginTrace
    | EndTrace
    | LoadBank
    | UsePage
    | UseTaps
    | StartTap
    | StopTap
    | UseNames
    | RecordName
    | StopName
    | Statistics
    | Stop
)


# --- media to control -------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process has its tables and its first tick is due.

    Args:
        pid: its process identifier.
        realtime: SCHED_FIFO was granted.
    """

    pid: int
    realtime: bool = False


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """Once a second: the process lives, and how its ticks went.

    Args:
        tick: ticks since the start.
        tick_ms_p50: median over the last second [ms].
        tick_ms_p95: 95th percentile over the last second [ms].
        tick_ms_max: longest of the last second [ms].
        late_ticks: ticks that began more than a tick late and were made up, since the start.
        jumped_ticks: ticks left out altogether, since the start.
        legs: legs open now.
        rxq_overflow: packets that receive buffers dropped, since the start.
        send_errors: packets that could not be sent, since the start.
        lost_by_bridge: of `EngineStatistics`.
    """

    tick: int
    tick_ms_p50: float
    tick_ms_p95: float
    tick_ms_max: float
    late_ticks: int
    jumped_ticks: int
    legs: int
    rxq_overflow: int
    send_errors: int
    lost_by_bridge: int = 0


class DigitPressed(msgspec.Struct, frozen=True, tag=True):
    """A key was pressed, told at its start, once per press.

    Args:
        leg: the leg.
        digit: one of `0123456789*#ABCD`.
        method: how it came.
        at: when it was recognised.
    """

    leg: int
    digit: str
    method: DtmfMethod
    at: float

    def __repr__(self) -> str:
        """Leave the digit out: digits are PINs, and a repr ends up in logs."""
        return f"DigitPressed(leg={self.leg}, digit=hidden, method={self.method!r}, at={self.at})"


class FirstMedia(msgspec.Struct, frozen=True, tag=True):
    """The leg's first valid RTP packet arrived."""

    leg: int
    at: float


class MediaQuiet(msgspec.Struct, frozen=True, tag=True):
    """No RTP for so long; told every ten seconds, until `MediaResumed`. Silence is not absence."""

    leg: int
    seconds: float


class MediaResumed(msgspec.Struct, frozen=True, tag=True):
    """RTP came again after a `MediaQuiet`."""

    leg: int


class SourceLatched(msgspec.Struct, frozen=True, tag=True):
    """The leg's RTP comes from a source that is now connected.

    Args:
        leg: the leg.
        own_sdp: it is the address of the peer's SDP; false behind NAT.
    """

    leg: int
    own_sdp: bool


class PlayFinished(msgspec.Struct, frozen=True, tag=True):
    """A play ended.

    Args:
        play: which.
        completed: it was heard to its end; false when it was stopped, refused or replaced.
        leg: the leg, or `None`.
        room: the room, or `None`.
    """

    play: int
    completed: bool
    leg: int | None = None
    room: int | None = None


class LegGiven(msgspec.Struct, frozen=True, tag=True):
    """The answer to `GiveLegs`; nothing comes from the leg afterwards.

    Args:
        leg: the leg.
        record: its record of `page.record_type`; empty where the leg was not there.
        at: when the record was true [s].
    """

    leg: int
    record: bytes
    at: float


class TalkSpurt(msgspec.Struct, frozen=True, tag=True):
    """The leg began or ended to speak; at most one every 300 ms a leg."""

    leg: int
    talking: bool


class LegGuarded(msgspec.Struct, frozen=True, tag=True):
    """A guard holds a leg down, or holds it no more; what the others hear of it has changed.

    Args:
        leg: the leg.
        guard: "over_loud": its line is far too loud; "leak": it makes sound and does not speak;
            "echo": it returns what it is sent.
        action: "ducked": heard softly, with "echo" only while it does not speak itself; "muted":
            not heard; "released": heard as it is.
        sound: what it is muted for by "leak".
        delay_ms: of its echo, between what it is sent and what comes [ms].
        return_loss_db: by how much its echo is softer [dB].
    """

    leg: int
    guard: GuardName
    action: GuardAction
    sound: Literal["music", "noise"] | None = None
    delay_ms: int | None = None
    return_loss_db: float | None = None


class EngineStatistics(msgspec.Struct, frozen=True, tag=True):
    """The process's state and counters since its start.

    Args:
        ticks: ticks made.
        legs: legs open now.
        rooms: rooms with at least one leg.
        tick_ms_p50: median over the last ten seconds [ms].
        tick_ms_p95: 95th percentile over the last ten seconds [ms].
        tick_ms_p99: 99th percentile over the last ten seconds [ms].
        tick_ms_max: longest since the last `Statistics` [ms].
        tick_counts: ticks by the time that they took, in quarters of a millisecond; the last one
            is of all that took longer.
        cpu_seconds: user and system time of the process.
        lost_by_bridge: receive-buffer overflow, ticks jumped times legs, send errors.
        counters: every odd outcome by its name.
        stages_ms: mean share of a tick by stage over the last ten seconds [ms].
    """

    ticks: int
    legs: int
    rooms: int
    tick_ms_p50: float
    tick_ms_p95: float
    tick_ms_p99: float
    tick_ms_max: float
    tick_counts: list[int]
    cpu_seconds: float
    lost_by_bridge: int
    counters: dict[str, int]
    stages_ms: dict[str, float]


class Traced(msgspec.Struct, frozen=True, tag=True):
    """RTP headers of a traced leg, one line per packet, without sound or digits."""

    leg: int
    lines: list[str]


class EngineError(msgspec.Struct, frozen=True, tag=True):
    """A command could not be carried out.

    Args:
        what: what was wrong and with which command.
        leg: the leg it was about, if any.
        unopened: the leg is not there: it hears nobody, and nobody hears it.
    """

    what: str
    leg: int | None = None
    unopened: bool = False


Event: TypeAlias = (
    Ready
    | Heartbeat
    | DigitPressed
    | FirstMedia
    | MediaQuiet
    | MediaResumed
    | SourceLatched
    | PlayFinished
    | LegStatistics
    | QualityDropped
    | QualityRecovered
    | LegClosed
    | LegGiven
    | PlaceAdded
    | NameRecorded
    | TalkSpurt
    | LegGuarded
    | EngineStatistics
    | Traced
    | EngineError
)
