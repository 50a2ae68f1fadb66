"""A bridge on a stage: real calls, flows and conferences between a recording SIP and media room.

Everything in between is the real thing. What would go to the SIP thread or the media process is
kept in lists, and what would come from them is told by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Literal

from bridge.directory import Directory
from bridge.media.messages import (
    CloseLeg,
    Command,
    DigitPressed,
    FirstMedia,
    Heartbeat,
    LegClosed,
    LegStatistics,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
)
from bridge.media.place_messages import AddPlace, DropPlace, TakePlace
from bridge.media.ports import MediaPair
from bridge.port_sharing import SharedPlace, SharedPorts
from bridge.posts import Busy, Post
from bridge.records import Records
from bridge.server import Bridge
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    Dial,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    NegotiatedMedia,
    SipStatistics,
    TcpRoom,
)
from cdr.journal import RecorderStatus
from cdr.records import Record
from config.settings import Settings
from dialplan import pins, store
from dialplan.events import NumberInfo
from dialplan.phrases import Phrase
from dialplan.rules import ConferenceRules
from privacy.vault import Vault

__all__ = ["FakeMedia", "FakeSip", "Stage"]

NUMBER = "1000"
CONFERENCE = 1


class FakeSip:
    """Keep what the bridge says to the SIP thread."""

    port = 5060
    running = True

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def accept(self, call: int, media: LocalMedia) -> None:
        """Keep the answer."""
        self.said.append(("accept", call, media.rtp_port))

    def refuse(self, call: int, status: int, *, retry_after: int | None = None) -> None:
        """Keep the refusal."""
        self.said.append(("refuse", call, status, retry_after))

    def hangup(self, call: int, q850: int = 16, text: str = "") -> None:
        """Keep the BYE."""
        self.said.append(("hangup", call, q850, text))

    def dial(self, dial: Dial) -> int:
        """Keep the call; return its number."""
        number = 1000 + len(self.said)
        self.said.append(("dial", number, dial))
        return number

    def reoffer(self, call: int, media: LocalMedia) -> None:
        """Keep the offer."""
        self.said.append(("reoffer", call, media.rtp_port))

    def probe(self, call: int) -> None:
        """Keep the question."""
        self.said.append(("probe", call))

    def set_trunks(self, table: object) -> None:
        """Keep the trunks."""
        self.said.append(("trunks", table))

    def room(self) -> TcpRoom:
        """Say how much room is left for TCP."""
        return TcpRoom(
            connections=3,
            limit=1000,
            refused_full=1,
            refused_source=2,
            idle_closed=4,
            highest_fd=1100,
            fd_limit=4096,
        )

    def statistics(self) -> SipStatistics:
        """Say what the SIP thread has counted."""
        return SipStatistics({"requests": 5}, {})

    def verbs(self, call: int) -> list[str]:
        """Return what was said about a call."""
        return [words[0] for words in self.said if len(words) > 1 and words[1] == call]


class FakeMedia:
    """Keep what the bridge says to the media process."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.pairs: dict[int, MediaPair | SharedPlace] = {}
        self.seconds: dict[int, MediaPair | SharedPlace] = {}
        self.places = self
        self.shared: SharedPorts | None = None
        self.heartbeat: Heartbeat | None = None
        self.overloaded = False
        process: Any = SimpleNamespace(pid=1)
        self.posts = (Post(0, Busy(0.85), process=process), Post(1, Busy(0.85)))
        self.lost_by_bridge = 0
        self.replaced = 0
        self.spares: list[int] = []

    def reserve(self, remote: tuple[str, int], _leg: int | None = None) -> SharedPlace | None:
        """Find a place on a shared port, where a test has some."""
        return self.shared.reserve(remote) if self.shared is not None else None

    def open_leg(self, command: OpenLeg, sockets: MediaPair | SharedPlace) -> None:
        """Keep the leg and its sockets."""
        self.sent.append(command)
        self.pairs[command.leg] = sockets

    def add(self, leg: int, place: MediaPair | SharedPlace) -> None:
        """Keep the second place."""
        self.sent.append(AddPlace(leg=leg, shared_port=getattr(place, "index", None)))
        self.seconds[leg] = place

    def take(self, leg: int) -> None:
        """Let places change their roles."""
        self.sent.append(TakePlace(leg=leg))
        self.pairs[leg], self.seconds[leg] = self.seconds[leg], self.pairs[leg]

    def drop(self, leg: int) -> None:
        """Close the second place."""
        self.sent.append(DropPlace(leg=leg))
        self.seconds.pop(leg).close()

    def send(self, command: Command) -> None:
        """Keep the command."""
        self.sent.append(command)

    def closing(self, leg: int) -> LegStatistics:
        """Keep the leg's end."""
        self.sent.append(CloseLeg(leg=leg))
        return LegStatistics(leg=leg)

    def plays(self, leg: int) -> list[Play]:
        """Return what was played to a leg."""
        return [each for each in self.sent if isinstance(each, Play) and each.leg == leg]

    def place(self, leg: int) -> Place | None:
        """Return where a leg was put last."""
        places = [each for each in self.sent if isinstance(each, Place) and each.leg == leg]
        return places[-1] if places else None


class FakeBank:
    """One clip for each phrase, so that what is played can be read back."""

    def __init__(self) -> None:
        self.phrases: list[Phrase] = []

    def clips(
        self, _language: str, phrases: Iterable[Phrase], _names: object = None
    ) -> list[tuple[int, int]]:
        """Return a clip a phrase; its start is the phrase's place in `phrases`."""
        found = []
        for phrase in phrases:
            self.phrases.append(phrase)
            found.append((len(self.phrases) - 1, 160))
        return found

    def tone(self, name: str) -> tuple[int, int]:
        """Return a clip for a tone."""
        return (-2 if name == "enter" else -3, 160)

    def music(self) -> tuple[int, int]:
        """Return a clip for the music."""
        return (-4, 160)


class FakeRecorder:
    """Keep records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, record: Record) -> None:
        """Keep one."""
        self.records.append(record)

    def status(self) -> RecorderStatus:
        """Say that all is written."""
        return RecorderStatus("database", 0, 0, len(self.records), 0, 0)


class _NoTraces:
    """Stand for traces that nobody asked for."""

    def call_begun(self, call: object) -> None:
        """Do nothing."""

    def call_ended(self, call: object) -> None:
        """Do nothing."""


@dataclass
class Stage:
    """The bridge and what stands around it."""

    bridge: Bridge
    sip: FakeSip
    media: FakeMedia
    bank: FakeBank
    recorder: FakeRecorder
    host_pin: str
    guest_pin: str
    faults: list[Exception] = field(default_factory=list)
    _calls: int = 0

    @classmethod
    def build(
        cls,
        folder: Path,
        loop: asyncio.AbstractEventLoop,
        rules: ConferenceRules | None = None,
        settings: Settings | None = None,
    ) -> Stage:
        """Set the stage with one number, one conference and its two PINs."""
        settings = settings or Settings(data_dir=folder)
        vault = Vault.open(bytes(32), folder / "keys.sqlite", folder / "log", create=True)
        rng = Random(1)
        guest_pin, host_pin = pins.generate(rng, 9), pins.generate(rng, 9)
        directory = Directory(None, vault, settings)  # type: ignore[arg-type] # nothing is read
        directory.replace(
            store.Directory(
                numbers={
                    NUMBER: store.NumberEntry(
                        id=1,
                        info=NumberInfo(number=NUMBER, kind="extension"),
                        call_limit=None,
                        enabled=True,
                    )
                },
                conferences={
                    CONFERENCE: store.ConferenceEntry(
                        CONFERENCE, "demo", rules or ConferenceRules(), "UTC"
                    )
                },
                pins={
                    vault.pin_hash(guest_pin): store.PinEntry(1, CONFERENCE, "guest"),
                    vault.pin_hash(host_pin): store.PinEntry(2, CONFERENCE, "host"),
                },
                trunks={},
            )
        )
        recorder, bank, sip, media = FakeRecorder(), FakeBank(), FakeSip(), FakeMedia()
        records = Records(recorder, directory.normalise)  # type: ignore[arg-type] # stand-in
        bridge = Bridge(settings, directory, vault, records, bank, loop)  # type: ignore[arg-type] # stand-in
        bridge.sip = sip  # type: ignore[assignment] # stand-in
        bridge.media = media  # type: ignore[assignment] # stand-in
        bridge.traces = _NoTraces()  # type: ignore[assignment] # stand-in
        stage = cls(bridge, sip, media, bank, recorder, host_pin, guest_pin)
        bridge.dispatcher._on_error = stage.faults.append
        return stage

    def invite(self, **changes: object) -> int:
        """Bring a call to the door; return its number."""
        self._calls += 1
        facts: dict[str, Any] = {
            "call": self._calls,
            "call_id": f"call-{self._calls}",
            "trunk": None,
            "source": ("127.0.0.1", 5070),
            "transport": "udp",
            "dialled": (NUMBER,),
            "asserted": None,
            "claimed": "alice",
            "privacy": False,
            "has_offer": True,
            "codecs_ok": True,
        }
        facts.update(changes)
        self.bridge._sip(IncomingCall(**facts))
        return self._calls

    def answer(self, call: int) -> int:
        """Finish the call's set-up: SDP agreed, ACK, first RTP; return the leg."""
        self.bridge._sip(MediaNegotiated(call, negotiated()))
        self.bridge._sip(CallConfirmed(call))
        leg = self.bridge.calls[call].leg
        self.bridge.on_media(FirstMedia(leg=leg, at=self.bridge.loop.time()))
        return leg

    def press(self, leg: int, digits: str) -> None:
        """Press keys."""
        for digit in digits:
            at = self.bridge.loop.time()
            self.bridge.on_media(DigitPressed(leg=leg, digit=digit, method="rfc4733", at=at))

    def finish_plays(self, leg: int) -> None:
        """Let everything that is being said to a leg come to its end."""
        for play in self.media.plays(leg):
            if not play.loop:
                self.bridge.on_media(PlayFinished(play=play.play, completed=True, leg=leg))

    def end(
        self,
        call: int,
        by: Literal["caller", "bridge", "network"] = "caller",
        **statistics: Any,  # noqa: ANN401 - fields of LegStatistics
    ) -> None:
        """End the call from outside, and let the media process close the leg."""
        leg = self.bridge.calls[call].leg
        self.bridge._sip(CallEnded(call=call, by=by, status=None, q850=16, reason="bye"))
        if leg in self.media.pairs:
            self.media.pairs.pop(leg).close()
            seen = LegStatistics(leg=leg, **{"talk_ms": 40, **statistics})
            self.bridge.on_media(LegClosed(leg=leg, statistics=seen))

    def said(self, leg: int) -> list[str]:
        """Return the phrases that were played to a leg."""
        starts = [clip[0] for play in self.media.plays(leg) for clip in play.clips]
        return [self.bank.phrases[start].key for start in starts if start >= 0]

    def of(self, kind: type[Record]) -> list[Any]:
        """Return the records of one kind."""
        return [record for record in self.recorder.records if isinstance(record, kind)]

    def close(self) -> None:
        """Strike the stage."""
        for pair in (*self.media.pairs.values(), *self.media.seconds.values()):
            pair.close()
        for call in self.bridge.calls.values():
            call.media_place.close()
            call._timers.stop_all()
        self.bridge.names.close()
        self.bridge.vault.close()


def negotiated(**changes: object) -> NegotiatedMedia:
    """Return what an ordinary phone agrees on."""
    facts: dict[str, Any] = {
        "codec": "PCMU",
        "payload_type": 0,
        "dtmf_payload_type": 101,
        "cn_payload_type": None,
        "ptime_ms": 20,
        "remote_ip": "127.0.0.1",
        "remote_port": 4000,
        "remote_rtcp": ("127.0.0.1", 4001),
        "tx": True,
        "rx": True,
        "on_hold": False,
    }
    facts.update(changes)
    return NegotiatedMedia(**facts)


def perform(
    folder: Path,
    scene: Callable[[Stage], Awaitable[None]],
    rules: ConferenceRules | None = None,
    settings: Settings | None = None,
) -> None:
    """Run a scene, a coroutine function, on a fresh stage; faults in deliveries fail it."""

    async def play() -> None:
        stage = Stage.build(folder, asyncio.get_running_loop(), rules, settings)
        try:
            await scene(stage)
            assert stage.faults == []
        finally:
            stage.close()

    asyncio.run(play())
