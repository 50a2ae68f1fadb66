"""What crosses between the SIP thread and the rest of the bridge, as plain frozen values.

Three groups, in this order:

- **configuration** handed to :class:`bridge.sip.endpoint.SipEndpoint`: :class:`SipSettings`,
  :class:`Trunk` with :class:`Digest` and :class:`Register`, :class:`LocalMedia`;
- **events** handed to the endpoint's ``on_event`` in the SIP thread: :data:`SipEvent`;
- **reports** returned by the endpoint's queries: :class:`Rejection`, :class:`SipStatistics`,
  :class:`TcpRoom`.

A call is named by ``call``, a number that is never used twice in one run; pointers stay in the SIP
thread. Whatever names a person (numbers, addresses) is left out of ``repr``, so that a value that
lands in a log or a traceback says nothing about anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal

__all__ = [
    "Answer",
    "CallConfirmed",
    "CallEnded",
    "Codec",
    "Dial",
    "Digest",
    "DigitByInfo",
    "EndpointFailed",
    "IncomingCall",
    "LocalMedia",
    "MediaNegotiated",
    "NegotiatedMedia",
    "OutgoingRinging",
    "ProbeAnswered",
    "Register",
    "RegistrationChanged",
    "RegistrationState",
    "Rejection",
    "ReofferAnswered",
    "SipEvent",
    "SipSettings",
    "SipStatistics",
    "TcpRoom",
    "Transport",
    "Trunk",
]

Codec = Literal["PCMU", "PCMA", "G722"]
Transport = Literal["udp", "tcp"]
RegistrationState = Literal["trying", "registered", "refused", "unregistered"]


# -- configuration ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SipSettings:
    """Say where and how the endpoint listens.

    Attributes:
        bind_ip: IPv4 address to listen on; ``0.0.0.0`` is every interface.
        port: port for UDP and TCP alike; 0 takes a free one (see ``SipEndpoint.port``).
        public_address: IPv4 address put into Contact and SDP instead of the local one (NAT).
            Setting it also ends the open admission of private networks.
        user_agent: what ``User-Agent`` and ``Server`` say.
        tcp: listen on TCP too.
        max_tcp: connections at once.
        max_tcp_per_source: connections at once from an address that is not trusted by itself.
        tcp_idle_s: a connection without a call is closed after this many idle seconds.
        session_timer_s: session interval offered and accepted at most (RFC 4028), seconds.
        min_session_s: smallest session interval accepted (``Min-SE``), seconds.
        open_admission: loopback and private networks may call while no trunk is configured.
        unanswered_s: an INVITE that the bridge has not decided in this time is refused with 503.
    """

    bind_ip: str = "0.0.0.0"  # noqa: S104 - a telephone bridge listens on every interface
    port: int = 5060
    public_address: str | None = None
    user_agent: str = "dialin-bridge"
    tcp: bool = True
    max_tcp: int = 1000
    max_tcp_per_source: int = 8
    tcp_idle_s: float = 180.0
    session_timer_s: int = 1800
    min_session_s: int = 90
    open_admission: bool = True
    unanswered_s: float = 32.0


@dataclass(frozen=True, slots=True)
class Digest:
    """Credentials that a trunk's requests must prove (RFC 2617/7616, MD5).

    ``ha1`` is the hexadecimal MD5 of ``user:realm:password``; the password itself is not needed.
    """

    realm: str
    user: str = field(repr=False)
    ha1: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Register:
    """Where and as whom the bridge registers itself for a trunk.

    ``server`` is ``host`` or ``host:port``; ``contact_user`` is the user part of the Contact.
    """

    server: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    expires_s: int = 300
    realm: str = "*"
    transport: Transport = "udp"
    contact_user: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier or a switch whose calls are taken.

    A trunk admits by ``addresses``, by ``digest``, or by both (either is enough). A trunk that
    registers also admits the addresses in ``addresses`` only: a registrar's name is not an address.

    Attributes:
        name: unique; what records and logs call it.
        addresses: networks whose out-of-dialog requests belong to it.
        digest: credentials that admit a request from anywhere.
        register: registration kept up with the provider.
        asserts_identity: its ``P-Asserted-Identity`` is believed.
        limit: calls at once, counted by the caller of this package; None is no limit.
        refuse_status: status said to this trunk when the whole bridge is overloaded.
    """

    name: str
    addresses: tuple[IPv4Network, ...] = ()
    digest: Digest | None = None
    register: Register | None = None
    asserts_identity: bool = True
    limit: int | None = None
    refuse_status: int = 503


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our half of the session description of one call.

    Attributes:
        rtp_port: even port of the call's RTP socket; RTCP is the next one.
        ip: IPv4 address to put in ``c=``; None leaves it to the endpoint (``public_address``, else
            the local address from which the caller is reached).
        codecs: codecs offered or accepted, best first. G.722 in the first place is taken wherever
            it is offered; among the rest the other side's order decides (RFC 3264 section 6.1).
        ptime_ms: packet time we ask for.
    """

    rtp_port: int
    ip: str | None = None
    codecs: tuple[Codec, ...] = ("G722", "PCMU", "PCMA")
    ptime_ms: int = 20


@dataclass(frozen=True, slots=True)
class Dial:
    """A call that we make.

    Attributes:
        number: user part of the Request-URI and of ``To``.
        caller: user part of ``From``: a number of ours.
        proxy: ``host`` or ``host:port`` that the INVITE goes to: a trunk's proxy or registrar.
        media: our half of the session description, which we offer.
        trunk: name of the trunk, for the call's records.
        transport: transport to the proxy.
        asserts: say ``caller`` in ``P-Asserted-Identity`` too (RFC 3325), where the trunk wants it.
        credentials: user and password for a digest challenge (401, 407), None without.
        ring_s: how long it may ring, seconds.
    """

    number: str = field(repr=False)
    caller: str = field(repr=False)
    proxy: str
    media: LocalMedia
    trunk: str | None = None
    transport: Transport = "udp"
    asserts: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    ring_s: float = 45.0


# -- events ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new INVITE has passed admission and waits for ring, accept or refuse.

    Attributes:
        call: our number for the call.
        call_id: SIP ``Call-ID``; not in ``repr``, because many phones put their address into it.
        trunk: name of the trunk that admitted it, None for open admission of private networks.
        source: address and port that sent the INVITE.
        transport: transport it came by.
        dialled: candidates for the number dialled, best first and without repetition: user parts of
            the Request-URI, ``To``, ``Diversion`` and ``History-Info``, unescaped, not normalised.
        asserted: user part of ``P-Asserted-Identity``, only from a trunk that asserts identity.
        claimed: user part of ``From``; no ground for any right. None when anonymous.
        privacy: the caller asked for privacy (``Privacy: id|user|header`` or anonymous ``From``).
        has_offer: the INVITE carries an offer; without one our 200 carries it.
        codecs_ok: the offer has audio and a codec of ours (True as well when there is no offer).
        media_source: address and port that the offer names for audio, None where it names none.
    """

    call: int
    call_id: str = field(repr=False)
    trunk: str | None
    source: tuple[str, int] = field(repr=False)
    transport: Transport
    dialled: tuple[str, ...] = field(repr=False)
    asserted: str | None = field(repr=False)
    claimed: str | None = field(repr=False)
    privacy: bool
    has_offer: bool
    codecs_ok: bool
    media_source: tuple[str, int] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OutgoingRinging:
    """A call of ours rings (180 to 189); comes once at most, and not before every answer."""

    call: int


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """The ACK of the call's 200 has come; of a call of ours: it was answered, our ACK is sent.

    Of a call of ours ``MediaNegotiated`` comes just before it: early media (183) is nobody's.
    """

    call: int


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """What both sides agreed on, read from PJSIP's negotiator.

    ``tx`` and ``rx`` are ours: ``tx`` is from the bridge to the caller.

    Attributes:
        codec: audio codec.
        payload_type: RTP payload type of ``codec``, both ways.
        dtmf_payload_type: payload type of telephone-event (RFC 4733) or None.
        cn_payload_type: payload type of comfort noise (RFC 3389) or None.
        ptime_ms: length of the packets we should send: 20, or 10 where ``maxptime`` is below 20.
        remote_ip: address of the caller's RTP.
        remote_port: port of the caller's RTP.
        remote_rtcp: address and port of the caller's RTCP (``a=rtcp``, RFC 3605, else port + 1).
        tx: we may send.
        rx: the caller may send.
        on_hold: the caller put us on hold (no audio to us, or a null address).
    """

    codec: Codec
    payload_type: int
    dtmf_payload_type: int | None
    cn_payload_type: int | None
    ptime_ms: int
    remote_ip: str = field(repr=False)
    remote_port: int = field(repr=False)
    remote_rtcp: tuple[str, int] = field(repr=False)
    tx: bool
    rx: bool
    on_hold: bool


@dataclass(frozen=True, slots=True)
class MediaNegotiated:
    """An offer/answer exchange is complete, the first one or a later one."""

    call: int
    media: NegotiatedMedia


@dataclass(frozen=True, slots=True)
class ReofferAnswered:
    """What came of an offer of ours (``SipEndpoint.reoffer``).

    It comes once for each, unless the call ends first. Where the answer changed anything,
    ``MediaNegotiated`` has come before it.

    Attributes:
        call: our number for the call.
        rtp_port: the port that was offered.
        accepted: media goes by the offer from now on; False leaves all as it was.
        status: final status of the re-INVITE, None where it could not be sent.
    """

    call: int
    rtp_port: int
    accepted: bool
    status: int | None


@dataclass(frozen=True, slots=True)
class DigitByInfo:
    """A key came in an INFO request (``application/dtmf-relay`` or ``application/dtmf``)."""

    call: int
    digit: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """A probe (OPTIONS in the dialog) came back; ``alive`` is False for 408, 481 or no reply."""

    call: int
    alive: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; comes exactly once for each :class:`IncomingCall`, as its last event.

    So it does for each call of ours (``SipEndpoint.dial``).

    Attributes:
        call: our number for the call.
        by: ``caller`` (CANCEL, BYE; the other side of a call of ours), ``bridge`` (refuse, hangup),
            ``network`` (no ACK, session timer, transport, 408/481).
        status: final status of the INVITE where it was not 200, or the status that ended it.
        q850: cause of a ``Reason: Q.850`` header (RFC 3326), the caller's or ours.
        reason: constant word for the log: ``cancelled``, ``refused``, ``bye``, ``no_ack``,
            ``session_expired``, ``no_answer_from_bridge``, ``transport``, ``gone``, ``stopped``; of
            a call of ours that was not answered, one of ``bridge.sip.outgoing.REASONS``.
    """

    call: int
    by: Literal["caller", "bridge", "network"]
    status: int | None
    q850: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """The registration of a trunk has changed state."""

    trunk: str
    state: RegistrationState
    status: int | None
    expires_s: int | None


@dataclass(frozen=True, slots=True)
class EndpointFailed:
    """The SIP thread ended by a fault; nothing more will come from it."""

    message: str


SipEvent = (
    IncomingCall
    | OutgoingRinging
    | CallConfirmed
    | MediaNegotiated
    | ReofferAnswered
    | DigitByInfo
    | ProbeAnswered
    | CallEnded
    | RegistrationChanged
    | EndpointFailed
)


# -- reports ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking another user agent by OPTIONS.

    Attributes:
        status: SIP status that it answered with, None where no answer came.
        outcome: constant word: ``answered``, ``timeout``, ``not_sent`` (no way there, connection
            refused, name unknown), ``malformed_target``, ``stopped``.
        milliseconds: from sending to the answer, or to giving up.
    """

    status: int | None
    outcome: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """Requests of one source that were not admitted, kept for 24 hours.

    Attributes:
        source: IPv4 address.
        reason: ``unknown_source``, ``wrong_credentials``, ``challenged`` or ``rate_limited``.
        method: SIP method of the last request.
        transport: transport of the last request.
        count: requests refused for this reason.
        first: time of the first one, seconds since the epoch.
        last: time of the last one, seconds since the epoch.
    """

    source: str
    reason: str
    method: str
    transport: Transport
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class SipStatistics:
    """Counters since the start and gauges of now, by name."""

    counters: Mapping[str, int]
    gauges: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TcpRoom:
    """How much room is left for SIP over TCP.

    Attributes:
        connections: connections open now.
        limit: connections allowed at once.
        refused_full: connections closed because there was no room, since the start.
        refused_source: connections closed because their address held too many, since the start.
        idle_closed: connections closed because they were idle, since the start.
        highest_fd: highest descriptor number in use in this process.
        fd_limit: number of descriptors that this process may have.
    """

    connections: int
    limit: int
    refused_full: int
    refused_source: int
    idle_closed: int
    highest_fd: int
    fd_limit: int

    @property
    def refused(self) -> int:
        """Connections closed for either reason."""
        return self.refused_full + self.refused_source
