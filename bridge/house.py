"""From nothing to a running bridge, and back: the order in which everything starts and ends.

Start: descriptors' limit, the fork server of the media processes, data folder's lock, database,
vault, the listener for metrics and probes, records of the last run closed, directory, prompts,
media processes, SIP, administration socket. The fork server imports while control does the rest.
SIP comes late, so that no call is answered by half a bridge. The end runs the other way round: new
calls are refused, callers are told goodbye and hung up, records are closed, and no process is left
behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge.admin.live import LIVE_OPERATIONS
from bridge.admin.server import AdminServer
from bridge.admin.watching import Watching
from bridge.directory import Directory
from bridge.errors import StartError
from bridge.media.messages import Configure
from bridge.monitoring.listener import Monitor
from bridge.mqtt.service import Mqtt
from bridge.operations import CHANGING, OPERATIONS
from bridge.port_sharing import PortSharing
from bridge.records import Records
from bridge.server import Bridge
from bridge.sip.endpoint import SipEndpoint, look_for_port
from bridge.sip.messages import SipSettings
from bridge.spending import Spending
from bridge.supervisor import MediaSupervisor, default_processes
from bridge.traces import Traces
from bridge.turned_away import TurnedAway
from bridge.used_codes import UsedCodes
from cdr.journal import Recorder
from config.administration import AdminContext, perform
from dialplan.prompts.bank import Bank, load_bank

if TYPE_CHECKING:
    from bridge.media.forks import Forks
    from config.settings import MediaSettings, Settings
    from privacy.vault import Vault

__all__ = ["engine_options", "leave_out_of_collections", "raise_descriptor_limit", "serve"]

SWEEP_S: Final = 5.0


async def serve(
    context: AdminContext[Vault],
    settings: Settings,
    forks: Forks,
    on_ready: Callable[[Bridge], None],
) -> None:
    """Run the bridge until it is told to end; told a second time, it says no goodbye.

    Args:
        context: database and vault, open, the data folder locked.
        settings: the settings in force.
        forks: where media processes come from, begun already: it takes longest.
        on_ready: called once when the bridge answers calls.

    Raises:
        StartError: it cannot start; nothing is left running.
        BridgeError: something it cannot live without was lost while it ran.
    """
    log = structlog.get_logger("bridge.house")
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    impatient = asyncio.Event()

    def end() -> None:
        (impatient if ended.is_set() else ended).set()

    # SIGHUP: a terminal that went away, with an ssh connection, is no reason to cut callers off.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, end)
    async with _running(context, settings, forks) as bridge:
        log.info("bridge ready", port=bridge.sip.port, **bridge.directory.sizes())
        on_ready(bridge)
        leave_out_of_collections()
        bridge.failed.add_done_callback(lambda _why: ended.set())
        bridge.drain.on_end = ended.set
        await ended.wait()
        log.info("bridge stops", calls=len(bridge.calls))
        await bridge.close_calls(impatient)
    log.info("bridge stopped")
    if bridge.failed.done():
        raise StartError(bridge.failed.result(), "The log above says more; start it again.")


def leave_out_of_collections() -> None:
    """Take all that was made so far out of the garbage collector's sight.

    What a start makes (modules, tables of telephone numbers, mappings, prompts) lives to the end. A
    full collection walks it all, which under load stopped every call's signalling for a tenth of a
    second; with only calls to look at it takes a few milliseconds.
    """
    gc.collect()
    gc.freeze()


def engine_options(settings: MediaSettings) -> Configure:
    """Return what the settings say about the media engine."""
    return Configure(
        gate=settings.gate,
        agc=settings.agc,
        target_dbov=settings.target_dbov,
        limiter=settings.limiter,
        over_loud=settings.over_loud,
        over_loud_duck_s=settings.over_loud_duck_s,
        over_loud_mute_s=settings.over_loud_mute_s,
        leak=settings.leak,
        leak_s=settings.leak_s,
        echo=settings.echo,
    )


@contextlib.asynccontextmanager
async def _running(
    context: AdminContext[Vault], settings: Settings, forks: Forks
) -> AsyncIterator[Bridge]:
    """Start every part in order, and stop what was started in the opposite one."""
    loop = asyncio.get_running_loop()
    # Most starts that fail fail here: let them leave the data folder as it was.
    await asyncio.to_thread(look_for_port, _sip_settings(settings))
    async with contextlib.AsyncExitStack() as stack:
        monitor = Monitor(settings.metrics.bind_ip, settings.metrics.port)
        if settings.metrics.enabled:
            await monitor.start()
            stack.push_async_callback(monitor.stop)

        recorder = Recorder.from_settings(settings, context.vault)
        await asyncio.to_thread(recorder.start)
        stack.push_async_callback(asyncio.to_thread, recorder.stop)

        directory = Directory(context.database, context.vault, settings)
        directory.replace(await asyncio.to_thread(directory.read))
        bank = await asyncio.to_thread(_load_bank, settings)
        records = Records(recorder, directory.normalise)
        bridge = Bridge(settings, directory, context.vault, records, bank, loop)
        used_codes = UsedCodes(context.database, loop)
        stack.push_async_callback(asyncio.to_thread, used_codes.close)
        bridge.on_code_used = used_codes.add
        spending = Spending(context.database, loop)
        stack.push_async_callback(asyncio.to_thread, spending.close)
        bridge.dialling.ledger.restore(await asyncio.to_thread(spending.read))
        bridge.dialling.ledger.told = spending.note

        bridge.media = MediaSupervisor(
            bank.samples,
            bridge.on_media,
            bridge.fail,
            engine_options(settings.media),
            processes=settings.media.processes or default_processes(),
            tick_share=settings.limits.tick_share,
            memory_mb=settings.media.memory_limit_mb,
            sharing=_port_sharing(settings),
        )
        bridge.media.forks = forks
        bridge.media.use_names(bridge.names.descriptor)
        stack.callback(bridge.names.close)
        stack.push_async_callback(bridge.media.stop)
        await bridge.media.start()

        bridge.traces = Traces(bridge, settings.data_dir / "traces")
        # With its trunks from the first datagram on: without any, every private source may call.
        bridge.sip = SipEndpoint(_sip_settings(settings), bridge.on_sip, directory.trunk_table())
        turned_away = TurnedAway(bridge.sip, settings.data_dir / "cache" / "trunk-rejected.json")
        await asyncio.to_thread(turned_away.restore)
        stack.push_async_callback(asyncio.to_thread, turned_away.write)
        await asyncio.to_thread(bridge.sip.start)
        stack.push_async_callback(asyncio.to_thread, bridge.sip.stop)
        stack.callback(bridge.traces.close)

        admin = AdminServer(
            settings.admin_socket,
            settings.admin.group,
            _performer(bridge, context),
            {"watch": Watching(bridge).watch},
        )
        await admin.start()
        stack.push_async_callback(admin.stop)

        if settings.mqtt.host:
            bridge.mqtt = Mqtt(bridge, LIVE_OPERATIONS)
            bridge.mqtt.start()
            stack.push_async_callback(bridge.mqtt.stop)

        bridge.metrics_port = monitor.port
        monitor.bridge = bridge
        sweeper = asyncio.create_task(
            _sweep(bridge, used_codes, spending, turned_away), name="sweeper"
        )
        stack.callback(sweeper.cancel)
        yield bridge


def raise_descriptor_limit() -> None:
    """Allow this process, and those it starts, all descriptors they may have; a leg takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _load_bank(settings: Settings) -> Bank:
    return load_bank(settings.entry.languages, settings.data_dir / "cache")


def _sip_settings(settings: Settings) -> SipSettings:
    sip = settings.sip
    return SipSettings(
        bind_ip=sip.bind_ip,
        port=sip.port,
        public_address=sip.public_address,
        user_agent=sip.user_agent,
        tcp=sip.tcp,
        max_tcp=sip.max_tcp,
        max_tcp_per_source=sip.max_tcp_per_source,
        tcp_idle_s=sip.tcp_idle_s,
        session_timer_s=sip.session_timer_s,
        min_session_s=sip.min_session_s,
        open_admission=sip.open_admission,
    )


def _port_sharing(settings: Settings) -> PortSharing:
    media = settings.media
    return PortSharing(
        media.bind_ip or settings.sip.bind_ip,
        media.rtp_ports.low,
        media.rtp_ports.high,
        media.shared_ports,
    )


def _performer(
    bridge: Bridge, context: AdminContext[Vault]
) -> Callable[[str, Mapping[str, Any]], Any]:
    """Return what carries out an administrator's operation on the running bridge."""
    one_at_a_time = asyncio.Lock()

    async def carry_out(operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what JSON can hold
        live = LIVE_OPERATIONS.get(operation)
        if live is not None:
            return await perform(LIVE_OPERATIONS, bridge, operation, arguments)
        async with one_at_a_time:
            result = await asyncio.to_thread(perform, OPERATIONS, context, operation, arguments)
            if operation in CHANGING:
                bridge.directory.replace(await asyncio.to_thread(bridge.directory.read))
                bridge.directory_changed()
        return result

    return carry_out


async def _sweep(
    bridge: Bridge, used_codes: UsedCodes, spending: Spending, turned_away: TurnedAway
) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        bridge.traces.sweep()
        if used_codes.waiting:
            await asyncio.to_thread(used_codes.write)
        if spending.waiting:
            await asyncio.to_thread(spending.write)
        if turned_away.due:
            await asyncio.to_thread(turned_away.write)
