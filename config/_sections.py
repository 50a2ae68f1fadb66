"""The sections of the settings, each a frozen class: keys, kinds, defaults, what they are for."""

# ruff: noqa: RUF009 - _setting() makes a dataclass field, and nothing shared

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from config import _kinds as kinds
from config._kinds import Kind, PortRange

__all__ = [
    "LANGUAGES",
    "AdminSettings",
    "EntrySettings",
    "KeySettings",
    "LimitSettings",
    "LogSettings",
    "MediaSettings",
    "MetricsSettings",
    "PrivacySettings",
    "RecordSettings",
    "SipSettings",
]

LANGUAGES = ("en", "sv")

T = TypeVar("T")


def _setting(kind: Kind[T], default: T, about: str) -> T:
    """Declare a setting: a dataclass field that knows its kind and what it is for."""
    return field(default=default, metadata={"kind": kind, "about": about})


def _region(value: object) -> str:
    if value != "" and not (isinstance(value, str) and re.fullmatch("[A-Z]{2}", value)):
        raise ValueError
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """``[sip]``: signalling."""

    bind_ip: str = _setting(kinds.address(), "0.0.0.0", "address to listen on")  # noqa: S104 - a bridge answers calls on every interface unless told otherwise
    port: int = _setting(kinds.integer(0, 65535), 5060, "UDP and TCP port; 0 takes a free one")
    public_address: str | None = _setting(
        kinds.optional(kinds.address()),
        None,
        "address that callers reach us by (Contact and SDP), where NAT changes it",
    )
    tcp: bool = _setting(kinds.boolean(), True, "answer over TCP too")  # noqa: FBT003 - the default of a setting
    user_agent: str = _setting(kinds.text(80), "dialin-bridge", "User-Agent and Server header")
    open_admission: bool = _setting(
        kinds.boolean(),
        True,  # noqa: FBT003 - the default of a setting
        "let loopback and private networks call until a trunk or a public_address is set",
    )
    max_tcp: int = _setting(
        kinds.integer(1, 20000), 1000, "TCP connections at once; each takes a file descriptor"
    )
    max_tcp_per_source: int = _setting(
        kinds.integer(1, 20000),
        32,
        "TCP connections that one address may hold, trunks and private networks apart",
    )
    tcp_idle_s: float = _setting(kinds.number(5, 86400), 180.0, "idle TCP connections are closed")
    session_timer_s: int = _setting(
        kinds.integer(90, 86400), 1800, "session interval offered (RFC 4028, Session-Expires)"
    )
    min_session_s: int = _setting(
        kinds.integer(90, 86400), 90, "least session interval accepted (RFC 4028, Min-SE)"
    )
    overload_status: int = _setting(
        kinds.integer(480, 606), 503, "answer to new calls when the whole bridge is full"
    )
    retry_after_s: int = _setting(kinds.integer(1, 3600), 10, "Retry-After with it and at shutdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """``[media]``: RTP and the media process."""

    bind_ip: str | None = _setting(
        kinds.optional(kinds.address()), None, "address for RTP; that of SIP where not set"
    )
    rtp_ports: PortRange = _setting(
        kinds.port_range(16), PortRange(16384, 32767), "UDP ports for RTP and RTCP"
    )
    shared_ports: int = _setting(
        kinds.integer(1, 64),
        8,
        "pairs of ports, the lowest of rtp_ports, that a media process shares among the legs of"
        " trunks with shared media",
    )
    quiet_probe_s: float = _setting(
        kinds.number(5, 3600), 30.0, "seconds without RTP after which the other end is asked"
    )
    quiet_limit_s: float = _setting(
        kinds.number(60, 86400),
        7200.0,
        "seconds without RTP after which a leg ends (held: is asked)",
    )
    wideband: str = _setting(
        kinds.choice("prefer", "accept", "off"),
        "prefer",
        "G.722: wherever it is offered, only where the other side likes it best, or never",
    )
    processes: int = _setting(
        kinds.integer(0, 64),
        0,
        "media processes; 0 is one for each core but one, four at most",
    )
    memory_limit_mb: int = _setting(
        kinds.integer(256, 65536), 1024, "memory at which a media process is taken for leaking"
    )
    gate: bool = _setting(kinds.boolean(), True, "keep what is no speech out of the mix")  # noqa: FBT003 - the default of a setting
    agc: bool = _setting(kinds.boolean(), True, "bring all talkers to one level")  # noqa: FBT003 - the default of a setting
    target_dbov: float = _setting(
        kinds.number(-36, -12), -24.0, "that level: active speech level in dBov (ITU-T P.56)"
    )
    limiter: bool = _setting(
        kinds.boolean(),
        True,  # noqa: FBT003 - the default of a setting
        "turn a conference that is too loud down as a whole, where it would be clipped",
    )
    over_loud: bool = _setting(kinds.boolean(), True, "turn lines down that are far too loud")  # noqa: FBT003 - the default of a setting
    over_loud_duck_s: float = _setting(kinds.number(0.5, 60), 2.0, "too loud for so long, before")
    over_loud_mute_s: float = _setting(
        kinds.number(0.5, 300), 5.0, "too loud for so long after that, before a line is muted"
    )
    leak: bool = _setting(kinds.boolean(), True, "mute music and noise, until somebody speaks")  # noqa: FBT003 - the default of a setting
    leak_s: float = _setting(kinds.number(5, 300), 10.0, "music or noise for so long, before")
    echo: bool = _setting(kinds.boolean(), True, "turn the echo down that a line returns")  # noqa: FBT003 - the default of a setting


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySettings:
    """``[entry]``: what a caller meets before a conference."""

    tries: int = _setting(kinds.integer(1, 10), 3, "PINs a caller may try in one call")
    greeting_delay_ms: int = _setting(
        kinds.integer(0, 2000), 400, "wait after ACK or the first RTP before the greeting"
    )
    between_digits_s: float = _setting(kinds.number(1, 60), 10.0, "wait for the next digit")
    give_up_s: float = _setting(
        kinds.number(10, 3600), 600.0, "longest time without a PIN, for keypads that never rest"
    )
    default_region: str = _setting(
        Kind(
            'a country, as two capitals ("SE"), or "" where numbers always come with a +',
            _region,
        ),
        "",
        "country of numbers that come without +",
    )
    languages: tuple[str, ...] = _setting(
        kinds.choices(*LANGUAGES), LANGUAGES, "languages that prompts are loaded for"
    )
    default_language: str = _setting(
        kinds.choice(*LANGUAGES), "en", "language of numbers that name none"
    )
    pin_length: int = _setting(
        kinds.one_number(0, 6, 8, 9, 10, 11, 12, 13),
        0,
        "digits of new PINs; 0 is as many as their number calls for, and 6 or 8 can be guessed",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """``[limits]``: how much at once."""

    calls: int = _setting(kinds.integer(1, 20000), 1000, "calls at once, in the whole bridge")
    tick_share: float = _setting(
        kinds.number(0.2, 0.95),
        0.85,
        "share of its 20 ms that a media process's tick may take (95th percentile) before new calls"
        " are refused",
    )
    conference_capacity: int = _setting(
        kinds.integer(2, 5000), 150, "capacity of a conference that names none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """``[records]``: call detail records."""

    heartbeat_s: float = _setting(
        kinds.number(1, 300),
        10.0,
        "how often the bridge notes that it runs (end time after a crash)",
    )
    keep_refused_days: int = _setting(
        kinds.integer(1, 3650), 30, "days that refused attempts are kept"
    )
    queue: int = _setting(
        kinds.integer(100, 1000000), 20000, "records that may wait in memory for the database"
    )
    journal_mib: int = _setting(
        kinds.integer(1, 1024), 16, "disk space reserved for records while the database is away"
    )
    journal_dir: Path | None = _setting(
        kinds.optional(kinds.path()), None, "folder of that journal; data_dir where not set"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """``[privacy]``: the vault."""

    master_key: str = _setting(
        kinds.choice("file", "env", "command"), "file", "where the master key comes from"
    )
    master_key_file: Path | None = _setting(
        kinds.optional(kinds.path()), None, "its file; master.key in data_dir where not set"
    )
    master_key_env: str = _setting(kinds.text(80), "DIALIN_MASTER_KEY", "its environment variable")
    master_key_command: str | None = _setting(
        kinds.optional(kinds.text(1000)), None, "command that prints it"
    )
    key_store: Path | None = _setting(
        kinds.optional(kinds.path()), None, "the key store; keys.sqlite in data_dir where not set"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[log]``: what the bridge says while it runs, on standard error."""

    format: str = _setting(
        kinds.choice("auto", "json", "console"), "auto", "auto is console on a terminal, else json"
    )
    level: str = _setting(
        kinds.choice("debug", "info", "warning", "error"), "info", "the least that is said"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """``[admin]``: the local socket that the command line speaks to."""

    socket: Path | None = _setting(
        kinds.optional(kinds.path()), None, "its path; admin.sock in data_dir where not set"
    )
    group: str | None = _setting(
        kinds.optional(kinds.text(32)), None, "group whose members may administer"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """``[metrics]``: metrics for Prometheus, liveness and readiness, over HTTP."""

    enabled: bool = _setting(kinds.boolean(), True, "serve them")  # noqa: FBT003 - the default of a setting
    bind_ip: str = _setting(
        kinds.address(), "127.0.0.1", "address to serve them on; nobody is asked who they are"
    )
    port: int = _setting(kinds.integer(0, 65535), 9469, "TCP port; 0 takes a free one")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """``[keys]``: what callers press in a conference, by action."""

    mute: str = _setting(kinds.key_pairs(), "*6", "mute oneself, or be heard again")
    hand: str = _setting(kinds.key_pairs(), "*2", "raise or lower one's hand")
    volume: str = _setting(kinds.key_pairs(), "*1", "how loud one hears the others")
    count: str = _setting(kinds.key_pairs(), "*#", "how many there are")
    become_host: str = _setting(kinds.key_pairs(), "*3", "become host with the host PIN")
    lock: str = _setting(
        kinds.key_pairs(), "*5", "lock or unlock (hosts, as all that follow but help)"
    )
    mode: str = _setting(kinds.key_pairs(), "*7", "who can speak")
    mute_all: str = _setting(kinds.key_pairs(), "#6", "mute everybody but hosts")
    take_hand: str = _setting(kinds.key_pairs(), "#2", "give the floor to the next raised hand")
    roll_call: str = _setting(kinds.key_pairs(), "#1", "roll call")
    sounds: str = _setting(kinds.key_pairs(), "*8", "what is heard when somebody comes or goes")
    breakout: str = _setting(kinds.key_pairs(), "#3", "breakout rooms")
    dial_out: str = _setting(kinds.key_pairs(), "#7", "call a number")
    coach: str = _setting(kinds.key_pairs(), "#8", "speak to one caller alone")
    end_all: str = _setting(kinds.key_pairs(), "#0", "end the conference for all")
    record: str = _setting(kinds.key_pairs(), "*9 #9", "recording, which is not available yet")
    help: str = _setting(kinds.key_pairs(), "*4", "hear one's keys")

    def sequences(self) -> dict[str, str]:
        """Return the keys of each action."""
        return {declared.name: getattr(self, declared.name) for declared in fields(self)}
