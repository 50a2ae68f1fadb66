"""``dialin doctor``: what goes wrong in the field, looked for before it does.

Each check returns findings; a finding says what was looked at, how it is, and what to do about it.
Checks read and try, they change nothing. A running bridge performs them in its own process, so that
its settings and limits are judged and not those of the shell that asks; without one, the command
performs them itself.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import resource
import shutil
import socket
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from bridge.addresses import outward_address
from bridge.media.ports import SHARED_BUFFER
from bridge.mqtt import credentials
from bridge.mqtt.probe import probe
from bridge.sip.errors import SipError
from bridge.sip.layout import build_report

if TYPE_CHECKING:
    from config.settings import Settings

__all__ = ["Finding", "Verdict", "examine", "examine_machine", "shared_ports"]

Verdict = Literal["ok", "warning", "fault"]

DESCRIPTORS_PER_LEG: Final = 2
"""In the control process: RTP and RTCP, kept so that a leg outlives its media process."""

DESCRIPTORS_BESIDE: Final = 1024 + 256
"""Media sockets are numbered from 1024 on; the rest is for SIP, database, journal and sockets."""

LEAST_DISK: Final = 256 << 20
LITTLE_DISK: Final = 2 << 30

RECEIVE_BUFFER: Final = 212_992
"""What one leg's socket asks for; a smaller `rmem_max` would cut it."""

CLOCK_SANE_FROM: Final = 1_767_225_600
"""1 January 2026: a machine without a battery starts in 1970, and records then lie."""

TCP_NEARLY_FULL: Final = 0.8

CAP_SYS_NICE: Final = 23
"""capabilities(7): real-time scheduling without a limit that allows it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what, in one or two words.
        verdict: how it is.
        text: what was found.
        advice: what to do; empty where all is well.
    """

    check: str
    verdict: Verdict
    text: str
    advice: str = ""


def examine(settings: Settings, live: dict[str, Any] | None = None) -> list[Finding]:
    """Run every check.

    Args:
        settings: the settings in force.
        live: `dialin status` of the running bridge, None where none runs.

    Returns:
        The findings, in the order of the checks.
    """
    return [
        *_bridge(live),
        *_sip_ports(settings, live),
        *_tcp_room(settings, live),
        *_media_ports(settings),
        *_descriptors(settings),
        *_receive_buffers(),
        *_offered_address(settings),
        *_library(),
        *_realtime(),
        *_clock(),
        *_disk(settings),
        *_broker(settings, live),
    ]


def examine_machine(settings: Settings) -> list[Finding]:
    """Run the checks that stand when a bridge runs and does not answer: those of the machine.

    Args:
        settings: those of the command that asks; the bridge may have been started with others.
    """
    return [*_receive_buffers(), *_library(), *_clock(), *_disk(settings)]


def _bridge(live: dict[str, Any] | None) -> Iterator[Finding]:
    if live is None:
        yield Finding("bridge", "ok", "does not run; what is below is how it would find things")
        return
    yield Finding("bridge", "ok", f"runs, {live['calls']} calls, {live['conferences']} conferences")
    replaced = live["media"]["replaced"]
    if replaced:
        yield Finding(
            "media process",
            "warning",
            f"was replaced {replaced} times since the bridge started",
            "Look for 'media process replaced' in the log, and for the kernel's out-of-memory"
            " killer (dmesg).",
        )
    lost = live["media"]["lost_by_bridge"]
    if lost:
        yield Finding(
            "media loss",
            "warning",
            f"{lost} packets lost by the bridge since it started",
            "The machine was too busy or too slow for moments; see the tick in `dialin status`.",
        )
    yield from _records(live["records"])
    yield from _registrations(live["registrations"])
    sources = live["sip"]["sources_rejected"]
    yield Finding(
        "sources rejected",
        "ok",
        f"{sources} in the last 24 hours",
        "If calls are missing: `dialin trunk rejected` lists them, with what would admit each."
        if sources
        else "",
    )


def _records(records: dict[str, Any]) -> Iterator[Finding]:
    """Call detail records that are not in the database yet, or never will be."""
    waiting, gone = records["waiting"], records["dropped"] + records["failed"]
    if gone:
        yield Finding(
            "records",
            "fault",
            f"{gone} could not be kept since the bridge started, {waiting} wait",
            "The log says why; see to the database and its disk. Widen records.journal_mib for long"
            " interruptions.",
        )
    elif records["writing_to"] != "database":
        yield Finding(
            "records",
            "fault",
            f"go to the {records['writing_to']}, {waiting} wait: the database cannot be written",
            "Calls go on. Make room on its disk, and see who holds a lock on it; they catch up.",
        )
    else:
        yield Finding("records", "ok", f"go to the database, {waiting} wait")


def _registrations(registrations: list[dict[str, Any]]) -> Iterator[Finding]:
    """Providers whose calls do not reach us, because they do not know where we are."""
    for each in registrations:
        trunk, state, status = each["trunk"], each["state"], each["status"]
        if state == "registered":
            yield Finding("registration", "ok", f"{trunk} is registered")
            continue
        said = f"answered {status}" if status else "no answer"
        yield Finding(
            "registration",
            "fault",
            f"{trunk}: {state} ({said})",
            "Check user and password: remove the trunk and add it again."
            if state == "refused"
            else f"Is the provider reached? dialin trunk test {trunk}",
        )


def _sip_ports(settings: Settings, live: dict[str, Any] | None) -> Iterator[Finding]:
    port, bind_ip = settings.sip.port, settings.sip.bind_ip
    if live is not None:
        yield Finding("SIP port", "ok", f"the bridge listens on {bind_ip}:{live['sip']['port']}")
        return
    kinds = [("UDP", socket.SOCK_DGRAM)] + (
        [("TCP", socket.SOCK_STREAM)] if settings.sip.tcp else []
    )
    for name, kind in kinds:
        problem = _bind_problem(bind_ip, port, kind)
        if problem is None:
            yield Finding("SIP port", "ok", f"{name} {bind_ip}:{port} is free")
        elif problem == errno.EADDRNOTAVAIL:
            yield _foreign_address("SIP port", "sip.bind_ip", bind_ip)
        elif problem == errno.EADDRINUSE:
            yield Finding(
                "SIP port",
                "fault",
                f"{name} {bind_ip}:{port} is taken",
                f"Find who holds it (ss -lnp 'sport = :{port}'), or set sip.port to another.",
            )
        else:
            yield Finding(
                "SIP port",
                "fault",
                f"{name} {bind_ip}:{port}: {os.strerror(problem)}",
                "Ports below 1024 are the system's; set sip.port to another, or run doctor as the"
                " user that the bridge runs as.",
            )


def _foreign_address(check: str, key: str, address: str) -> Finding:
    return Finding(
        check,
        "fault",
        f"{key} is {address}, which is no address of this machine",
        "`ip -4 address` lists those there are; the address that NAT shows the world belongs into"
        " sip.public_address.",
    )


def _bind_problem(ip: str, port: int, kind: socket.SocketKind) -> int | None:
    """Return the error number of binding, None where it works."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return error.errno
    return None


def _media_ports(settings: Settings) -> Iterator[Finding]:
    media_ip = settings.media.bind_ip
    if media_ip is not None and _bind_problem(media_ip, 0, socket.SOCK_DGRAM):
        yield _foreign_address("RTP ports", "media.bind_ip", media_ip)
    ports = settings.media.rtp_ports
    pairs = (ports.high - ports.low + 1) // 2
    if pairs < settings.limits.calls:
        yield Finding(
            "RTP ports",
            "fault",
            f"{ports.low}-{ports.high} is {pairs} pairs, limits.calls is {settings.limits.calls}",
            "Widen media.rtp_ports or lower limits.calls; open the same range in the firewall.",
        )
    else:
        yield Finding(
            "RTP ports", "ok", f"UDP {ports.low}-{ports.high}: {pairs} calls; open in the firewall?"
        )
    ephemeral = _read("/proc/sys/net/ipv4/ip_local_port_range")
    if ephemeral:
        low, high = (int(part) for part in ephemeral.split())
        if ports.low <= high and low <= ports.high:
            yield Finding(
                "RTP ports",
                "warning",
                f"the range overlaps the kernel's own ports for clients ({low}-{high})",
                "A port of the range may be taken at any time; the bridge then tries the next one.",
            )


def _descriptors(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS_BESIDE + DESCRIPTORS_PER_LEG * settings.limits.calls
    text = f"{soft} (the bridge raises it to {hard}); {needed} are needed for limits.calls"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        yield Finding("open files", "ok", text)
    else:
        yield Finding(
            "open files",
            "fault",
            text,
            f"Set LimitNOFILE={needed} in the unit file, or `ulimit -Hn {needed}` before starting.",
        )


def _receive_buffers() -> Iterator[Finding]:
    limit = int(_read("/proc/sys/net/core/rmem_max") or 0)
    if 0 < limit < RECEIVE_BUFFER // 2:
        yield Finding(
            "receive buffers",
            "warning",
            f"net.core.rmem_max is {limit} bytes",
            f"sysctl -w net.core.rmem_max={RECEIVE_BUFFER}: a smaller one loses packets when the"
            " machine stalls.",
        )
    else:
        yield Finding("receive buffers", "ok", f"net.core.rmem_max is {limit or 'unknown'}")


def shared_ports(settings: Settings, trunks: Sequence[str]) -> Iterator[Finding]:
    """Look at the ports that trunks with shared media use, and at their buffers.

    Args:
        settings: the settings in force.
        trunks: names of the trunks with shared media.
    """
    if not trunks:
        return
    ports, count = settings.media.rtp_ports, settings.media.shared_ports
    low = ports.low + (ports.low & 1)
    limit = int(_read("/proc/sys/net/core/rmem_max") or 0)
    text = (
        f"the lowest {count} pairs of media.rtp_ports for each media process, from UDP {low} on,"
        f" carry the calls of {', '.join(trunks)}; net.core.rmem_max is {limit or 'unknown'}"
    )
    if 0 < limit < SHARED_BUFFER:
        yield Finding(
            "shared ports",
            "warning",
            text,
            f"sysctl -w net.core.rmem_max={SHARED_BUFFER} net.core.wmem_max={SHARED_BUFFER}:"
            " hundreds of legs share one buffer, and 20 ms of them must fit several times.",
        )
    else:
        yield Finding("shared ports", "ok", text)


def _offered_address(settings: Settings) -> Iterator[Finding]:
    """The address in our SDP is the commonest cause of silence in one direction."""
    if settings.sip.public_address is not None:
        yield Finding("address in SDP", "ok", f"{settings.sip.public_address} (sip.public_address)")
        return
    bound = settings.sip.bind_ip
    local = outward_address() if bound == "0.0.0.0" else bound  # noqa: S104 - compared, not bound
    address = ipaddress.ip_address(local)
    if address.is_loopback:
        yield Finding(
            "address in SDP",
            "warning",
            f"{local}: only programs on this machine can send us sound",
            "Fine for a trial. Otherwise set sip.bind_ip or sip.public_address.",
        )
    elif address.is_private:
        yield Finding(
            "address in SDP",
            "warning",
            f"{local}: a private address; callers from outside could be answered but not heard",
            "Behind NAT set sip.public_address to the address that the router shows the world.",
        )
    else:
        yield Finding("address in SDP", "ok", f"{local}")


def _library() -> Iterator[Finding]:
    try:
        report = build_report()
    except SipError as error:
        yield Finding(
            "PJSIP", "fault", str(error), "Install the locked version again: scripts/run --install"
        )
        return
    yield Finding("PJSIP", "ok", report)


def _tcp_room(settings: Settings, live: dict[str, Any] | None) -> Iterator[Finding]:
    sip = settings.sip
    if not sip.tcp:
        yield Finding("SIP over TCP", "ok", "is switched off (sip.tcp)")
        return
    if live is None:
        text = f"room for {sip.max_tcp} connections, {sip.max_tcp_per_source} from one stranger"
        yield Finding("SIP over TCP", "ok", text)
        return
    room = live["sip"]["tcp"]
    used, limit, refused = room["connections"], room["limit"], room["refused"]
    text = f"{used} of {limit} connections; refused for want of room: {room['refused_full']}"
    text += f", because their address held too many: {room['refused_source']}"
    advice = []
    if room["refused_full"] or used >= TCP_NEARLY_FULL * limit:
        advice.append(
            "Raise sip.max_tcp, and with it the limit of open files, let phones use UDP, or put"
            " Kamailio in front, which carries thousands of phones over one connection."
        )
    if room["refused_source"]:
        advice.append(
            "Raise sip.max_tcp_per_source where many phones share one address, or make that"
            " address a trunk (dialin trunk add), which has no such limit."
        )
    verdict: Verdict = "fault" if refused else "warning" if advice else "ok"
    yield Finding("SIP over TCP", verdict, text, " ".join(advice))


def _clock() -> Iterator[Finding]:
    if time.time() < CLOCK_SANE_FROM:
        yield Finding(
            "clock",
            "fault",
            "the clock is in the past; records and time windows would be wrong",
            "Set it, and run a time service (systemd-timesyncd, chrony).",
        )
        return
    synchronised = _clock_synchronised()
    if synchronised is False:
        yield Finding(
            "clock",
            "warning",
            "runs free: no time service disciplines it",
            "Run a time service (systemd-timesyncd, chrony), unless the host does it.",
        )
    else:
        yield Finding("clock", "ok", "is set" + (" and synchronised" if synchronised else ""))


def _clock_synchronised() -> bool | None:
    """Ask the kernel (adjtimex(2), mode 0); None where it does not say."""
    import ctypes  # noqa: PLC0415 - for this one call

    size, state_error = 208, 5
    buffer = ctypes.create_string_buffer(size)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    (status,) = struct.unpack_from("i", buffer, 40)
    unsynchronised = 0x40
    return state != state_error and not status & unsynchronised


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        there = folder.is_dir()
    except OSError as error:
        yield Finding(
            "data folder", "warning", f"{folder}: {error.strerror}", "Run doctor as its owner."
        )
        return
    if not there:
        yield Finding(
            "data folder",
            "warning",
            f"{folder}: is not there yet",
            "`dialin setup` or scripts/run creates it.",
        )
        return
    free = shutil.disk_usage(folder).free
    text = f"{folder}: {free / (1 << 30):.1f} GiB free"
    if free < LEAST_DISK:
        yield Finding("disk", "fault", text, "Calls go on, records wait in memory: make room.")
    elif free < LITTLE_DISK:
        yield Finding("disk", "warning", text, "Make room before it runs out.")
    else:
        yield Finding("disk", "ok", text)
    yield from _modes(settings)


def _modes(settings: Settings) -> Iterator[Finding]:
    for name, path, allowed in (
        ("data folder", settings.data_dir, 0o750),
        ("master key", settings.master_key_path, 0o600),
        ("key store", settings.key_store_path, 0o600),
        ("database", settings.database_path, 0o600),
    ):
        finding = _mode(name, path, allowed)
        if finding is not None:
            yield finding


def _mode(name: str, path: Path, allowed: int) -> Finding | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Finding(
            name, "fault", f"{path}: {error.strerror}", "Run doctor as the bridge's user."
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~allowed:
        return Finding(
            name,
            "fault",
            f"{path}: mode {mode:04o}, others can read or change it",
            f"chmod {allowed:04o} {path}",
        )
    return Finding(name, "ok", f"{path}: mode {mode:04o}")


def _realtime() -> Iterator[Finding]:
    soft, _hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if soft or _has_capability(CAP_SYS_NICE):
        yield Finding("scheduling", "ok", "real-time scheduling may be asked for")
    else:
        yield Finding(
            "scheduling",
            "warning",
            "no right to real-time scheduling; the bridge runs without it",
            "On a busy machine set LimitRTPRIO=20 in the unit file, or AmbientCapabilities="
            "CAP_SYS_NICE.",
        )


def _has_capability(number: int) -> bool:
    """Say whether this process has a capability, as root or by the unit file."""
    lines = _read("/proc/self/status").splitlines()
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> number & 1)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


_BROKER_ADVICE: Final = {
    "unreachable": "Is it running, and mqtt.host and mqtt.port right? See firewalls in between.",
    "tls": "mqtt.ca_file names who signed its certificate, which has to be good for mqtt.host;"
    " mqtt.certificate_file is ours where it asks for one. Without TLS only by mqtt.tls = false.",
    "login": "See mqtt.user and mqtt.password_file, and what the broker knows of them.",
    "files": "",
    "no_answer": "Something listens there and does not answer: is it the broker's port, with TLS"
    " where mqtt.tls says so?",
    "refused": "It takes MQTT 5, under the name dialin-NODE. Its own log says why it refused.",
    "lost": "Its own log says why. Another bridge of the same mqtt.node would throw this one out.",
}


def _broker(settings: Settings, live: dict[str, Any] | None) -> Iterator[Finding]:
    """Look for the broker that events go to."""
    mqtt = settings.mqtt
    if not mqtt.host:
        return
    where = f"{mqtt.host}:{credentials.port(mqtt)}"
    now = live["mqtt"] if live is not None else None
    if now is not None and now["dropped"]:
        yield Finding(
            "broker",
            "warning",
            f"{now['dropped']} events were dropped since the bridge started: it was away for long",
            "Widen mqtt.buffer for long interruptions.",
        )
    if now is not None and now["state"] == "connected":
        yield Finding("broker", "ok", f"connected to {where}, {now['published']} published")
    else:
        found = probe(mqtt)
        said = f" ({found.detail})" if found.detail else ""
        if found.problem is not None:
            words = found.problem.replace("_", " ")
            advice = _BROKER_ADVICE[found.problem]
            yield Finding("broker", "fault", f"{where}: {words}{said}", advice)
        else:
            yield Finding("broker", "ok", f"{where} lets us in")
    if not mqtt.tls and not _is_loopback(mqtt.host):
        yield Finding(
            "broker",
            "warning",
            f"{where} is spoken to without TLS: password and events can be read on the way",
            "Set mqtt.tls = true.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
