"""The gate: what becomes of each message before PJSIP's layers see it. Pure; time comes in.

In this order: faults of form (:mod:`bridge.sip.hygiene`), duplicates that a transaction layer
cannot know any more, admission of requests outside dialogs (:mod:`bridge.sip.trunks`), and the
session description, which PJSIP gets in canonical form only (:mod:`bridge.sip.sdp`).

A request inside a dialog is not judged by its source: it passes when its Call-ID is that of a
call of ours. One that is not gets 481 where its source is trusted, silence elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Literal

from bridge.sip.errors import BadDescriptionError
from bridge.sip.hygiene import find_fault
from bridge.sip.messages import Transport, Trunk
from bridge.sip.sdp import Description, canonical, parse, without_loopback
from bridge.sip.trunks import Admission
from bridge.sip.wire import Message, body_part

__all__ = ["CallBook", "CallEntry", "Gate", "Verdict"]

_SDP = "application/sdp"
_BODY_METHODS = ("INVITE", "UPDATE", "ACK", "PRACK")
_DECLINED = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
)
_RECENT_S = 40.0  # 64 T1 and some: so long may a retransmission come after the end (RFC 3261 17.1)
_RECENT = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message.

    Attributes:
        action: ``pass`` it on, ``silence`` (drop it) or ``reply`` without a transaction.
        status: status of the reply.
        headers: headers of the reply.
        reason: constant word for the counter, "" for what is in order.
        trunk: trunk that admitted it.
        body: what becomes of the body; see ``Passage``.
        sdp: canonical description for ``replace``.
        offer: the description as read, where there is one that can be used.
        has_offer: the request came with a description, good or bad.
        hang_up: close the TCP connection too.
    """

    action: Literal["pass", "silence", "reply"]
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    trunk: Trunk | None = None
    body: Literal["keep", "remove", "replace"] = "keep"
    sdp: str = ""
    offer: Description | None = None
    has_offer: bool = False
    hang_up: bool = False


@dataclass(slots=True)
class CallEntry:
    """What the gate must know of one dialog of ours.

    Attributes:
        call: our number for the call.
        cseq: CSeq of the INVITE that made it.
        branch: Via branch of that INVITE.
        phase: ``waiting`` for our final answer, ``answered``, ``confirmed`` by ACK, ``over``.
        offered: offer and answer have begun, so that PJSIP has a negotiator.
        until: monotonic time at which an entry that is over is forgotten.
    """

    call: int
    cseq: int
    branch: str
    phase: Literal["waiting", "answered", "confirmed", "over"] = "waiting"
    offered: bool = False
    until: float = 0.0


@dataclass(slots=True)
class CallBook:
    """The calls of now and of the last seconds, by Call-ID and the caller's tag."""

    _entries: dict[tuple[str, str], CallEntry] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _over: OrderedDict[tuple[str, str], CallEntry] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, call_id: str, tag: str, entry: CallEntry) -> None:
        """Enter a new call."""
        if (call_id, tag) in self._entries:
            self._drop((call_id, tag))
        self._entries[call_id, tag] = entry
        self._ids[call_id] = self._ids.get(call_id, 0) + 1

    def find(self, call_id: str, tag: str) -> CallEntry | None:
        """Return the entry of a call, None without one."""
        return self._entries.get((call_id, tag))

    def knows(self, call_id: str) -> bool:
        """Tell whether any call of now or just now has this Call-ID."""
        return call_id in self._ids

    def close(self, call_id: str, tag: str, now: float) -> None:
        """Mark a call as over; it is remembered for retransmissions."""
        key = (call_id, tag)
        entry = self._entries.get(key)
        if entry is not None and entry.phase != "over":
            entry.phase, entry.until = "over", now + _RECENT_S
            self._over[key] = entry
        while len(self._over) > _RECENT:
            self._drop(next(iter(self._over)))

    def expire(self, now: float) -> None:
        """Forget calls whose retransmissions cannot come any more."""
        while self._over:
            key, entry = next(iter(self._over.items()))
            if entry.until > now:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._over.pop(key, None)
        if self._entries.pop(key, None) is None:
            return
        left = self._ids.get(key[0], 0) - 1
        if left > 0:
            self._ids[key[0]] = left
        else:
            self._ids.pop(key[0], None)


class Gate:
    """Judge messages."""

    def __init__(self, admission: Admission, book: CallBook) -> None:
        self._admission = admission
        self._book = book

    def judge(
        self, message: Message, source: str, transport: Transport, now: float, wall_time: float
    ) -> Verdict:
        """Judge a request.

        Args:
            message: the request.
            source: IPv4 address it came from.
            transport: transport it came by.
            now: monotonic seconds.
            wall_time: seconds since the epoch, for the memory of refusals.
        """
        entry = self._book.find(message.call_id, message.from_tag)
        stranger_by_tcp = transport == "tcp" and not self._admission.challenges_strangers()
        if message.to_tag or (message.method == "CANCEL" and entry is not None):
            verdict = self._inside(message, source, entry)
            unknown = verdict.action == "silence" and verdict.reason == "unknown_dialog"
            return replace(verdict, hang_up=True) if unknown and stranger_by_tcp else verdict
        fault = find_fault(message)
        duplicate = self._duplicate(message, entry)
        if duplicate is not None and fault is None:
            return duplicate
        decision = self._admission.decide(message, source, transport, now, wall_time)
        if decision.action != "admit":
            silent = decision.action == "silence" or fault is not None
            return Verdict(
                "silence" if silent else "reply",
                status=401,
                headers=decision.headers,
                reason=decision.reason or "stale_nonce",
                hang_up=stranger_by_tcp,
            )
        if fault is not None:
            return _refusal(message, fault.status, fault.reason)
        if message.method != "INVITE":
            return Verdict("pass", trunk=decision.trunk)
        return self._new_call(message, source, decision.trunk)

    def judge_response(self, message: Message, source: str) -> Verdict:
        """Judge a response: only its description matters."""
        fault = find_fault(message)
        if fault is not None:
            return Verdict("silence", reason=fault.reason)
        return self._tame(message, source)

    def _duplicate(self, message: Message, entry: CallEntry | None) -> Verdict | None:
        if message.method != "INVITE" or entry is None or message.cseq[0] != entry.cseq:
            return None
        if message.branch != entry.branch:
            # The same request by two ways (RFC 3261 section 8.2.2.2).
            return Verdict("reply", status=482, reason="merged_request")
        if entry.phase in ("confirmed", "over"):
            # PJSIP 2.15.1 forgets the transaction with the ACK; it would take this for a new call.
            return Verdict("silence", reason="late_retransmission")
        return None

    def _inside(  # noqa: PLR0911 - one return per case
        self, message: Message, source: str, entry: CallEntry | None
    ) -> Verdict:
        if entry is None and not self._book.knows(message.call_id):
            if not self._admission.trusts(source):
                return Verdict("silence", reason="unknown_dialog")
            fault = find_fault(message)
            if fault is not None:
                return _refusal(message, fault.status, fault.reason)
            return Verdict(
                "pass", reason="unknown_dialog", body="remove" if message.body else "keep"
            )
        fault = find_fault(message)
        if fault is not None:
            return _refusal(message, fault.status, fault.reason)
        if message.method not in _BODY_METHODS:
            return Verdict("pass")
        phase = entry.phase if entry is not None else "over"
        if message.method == "INVITE" and phase == "waiting":
            # A second INVITE before the final answer to the first (RFC 3261 section 14.2).
            return Verdict(
                "reply", status=500, headers=(("Retry-After", "3"),), reason="early_invite"
            )
        if message.method == "UPDATE" and (entry is None or not entry.offered):
            # Without a negotiator PJSIP would assert; there is nothing to update yet (RFC 3311).
            return Verdict(
                "reply", status=500, headers=(("Retry-After", "3"),), reason="early_update"
            )
        if message.method == "PRACK" and message.body:
            # We never put an answer into a reliable provisional response, so this is no place for
            # a new offer (RFC 3262 section 5), and PJSIP would assert.
            return Verdict("reply", status=488, reason="prack_offer")
        return self._tame(message, source)

    def _new_call(self, message: Message, source: str, trunk: Trunk | None) -> Verdict:
        if (refusal := _encoding_refusal(message)) is not None:
            return refusal
        if not message.body:
            return Verdict("pass", trunk=trunk)
        raw = body_part(message, _SDP)
        if raw is None:
            if message.content_type.startswith("multipart/"):
                return Verdict("pass", trunk=trunk, body="remove")
            return _wrong_type()
        try:
            description = _read(raw, source)
        except BadDescriptionError as fault:
            return Verdict(
                "pass",
                trunk=trunk,
                reason=fault.reason,
                body="replace",
                sdp=_DECLINED,
                has_offer=True,
            )
        taken = description.audio()
        return Verdict(
            "pass",
            trunk=trunk,
            reason="" if taken is not None else "sdp_unusable",
            body="replace",
            sdp=canonical(description),
            offer=description if taken is not None else None,
            has_offer=True,
        )

    def _tame(self, message: Message, source: str) -> Verdict:  # noqa: PLR0911 - likewise
        """Let a later description through in canonical form, or decline it."""
        if not message.body:
            return Verdict("pass")
        answerable = message.method in ("INVITE", "UPDATE")
        if answerable and (refusal := _encoding_refusal(message)) is not None:
            return refusal
        raw = body_part(message, _SDP)
        if raw is None:
            if answerable and not message.content_type.startswith("multipart/"):
                return _wrong_type()
            return Verdict("pass", body="remove")
        try:
            description = _read(raw, source)
        except BadDescriptionError as fault:
            reason, description = fault.reason, None
        else:
            reason = "sdp_unusable"
        if description is not None and description.audio() is not None:
            return Verdict("pass", body="replace", sdp=canonical(description), offer=description)
        if answerable:
            # The call goes on as it was (RFC 3261 section 14.1): T.38, SRTP only, no audio.
            return Verdict("reply", status=488, reason=reason)
        return Verdict("pass", body="remove", reason=reason)


def _read(raw: bytes, source: str) -> Description:
    description = parse(raw)
    return description if source.startswith("127.") else without_loopback(description)


def usable_codecs(verdict: Verdict) -> bool:
    """Tell whether an INVITE's offer, or its lack of one, can lead to audio."""
    if not verdict.has_offer:
        return True
    taken = verdict.offer.audio() if verdict.offer is not None else None
    return taken is not None and bool(taken.codecs())


def media_source(verdict: Verdict) -> tuple[str, int] | None:
    """Return where an INVITE's offer says that its audio comes from, None where it does not."""
    taken = verdict.offer.audio() if verdict.offer is not None else None
    if taken is None or taken.address == "0.0.0.0":  # noqa: S104 - hold the way of RFC 2543
        return None
    return taken.address, taken.port


def _refusal(message: Message, status: int, reason: str) -> Verdict:
    if not status or message.method == "ACK":
        return Verdict("silence", reason=reason)
    return Verdict("reply", status=status, reason=reason)


def _wrong_type() -> Verdict:
    return Verdict("reply", status=415, headers=(("Accept", _SDP),), reason="body_type")


def _encoding_refusal(message: Message) -> Verdict | None:
    encoding = (message.get("content-encoding") or "").strip().lower()
    if message.body and encoding not in ("", "identity"):
        return Verdict(
            "reply", status=415, headers=(("Accept-Encoding", "identity"),), reason="body_encoding"
        )
    return None
