"""One tick of 20 ms, from packet to packet: the mixer's table of contents.

::

    commands   what control asks for                     commands, control
    receive    sockets -> rows of octets                 transports, own_sockets, latching,
                                                         shared_ports
               plain packets -> streams -> playout       plain
    packets    all others: headers -> streams -> keys    rtp, sequence, dtmf, playout, depth
               -> playout
    decode     playout rows -> samples, gaps filled      playout, companding, streams, concealment,
                                                         pitch, wideband, g722, resample
               keys that come as tones taken out         inband, tones
    levels     how loud, who speaks; gain of each leg    levels, gate, agc, gains
               who disturbs is turned down or muted      guards, history, loudness_guard, leak,
                                                         tonality, echo, echo_screen, echo_trial
               what is recorded goes to its ring         taps, tap_ring
               and spoken names to their slots           naming, names_area
    mix        rooms' sums, prompts                      seating, mix, speech, hearing, wideband
               turned down where they are too loud       limiter
               as loud as each leg wants to hear them    volume
    encode     minus self, samples -> packets            hearing, companding, wideband, g722,
                                                         outgoing
    save       where each leg stands -> state page       page
    send       rows of octets -> sockets                 transports, own_sockets, shared_ports
    rest       RTCP, how good each line is               reporting, rtcp, judging, quality, emodel
               quiet sources, what is told               telling, leg_figures

Everything is arrays over all legs, or a loop over them that is compiled (`_compiled`); Python loops
over legs for socket calls and G.722 alone. A stage that fails is counted and told once, and the
next one runs: a fault in one leg's packet must not silence the others.
"""

import math
import time
import traceback
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.commands import Commands
from bridge.media.control import COMMANDS_PER_TICK, ControlChannel
from bridge.media.dtmf import DIGITS, END_MARGIN, RUNNING_MARGIN, EventPackets
from bridge.media.judging import judge
from bridge.media.levels import look
from bridge.media.messages import (
    EngineError,
    FirstMedia,
    MediaResumed,
    SourceLatched,
    TalkSpurt,
)
from bridge.media.playout import Reading
from bridge.media.reporting import report
from bridge.media.rtp import HEADER, Arrivals, Headers, Kind, parse
from bridge.media.state import State
from bridge.media.telling import Teller
from bridge.media.tones import KEYS

__all__ = ["Tick"]

_Rows = npt.NDArray[np.intp]

COMMANDS_AT_A_TIME: Final = 4
"""Read before the time is looked at: a leg to open is half a millisecond."""

HANDED_S: Final = 0.2
"""How long a process without legs waits for the rest of those that come to it together."""

FAULTS_TOLD: Final = 20
"""Different places of faults that control is told of; each is told once."""


class Tick:
    """Makes ticks.

    Args:
        state: what they work on.
        channel: to control.
        commands_s: when commands took so long in a tick, the others wait for the next one [s].
    """

    def __init__(self, state: State, channel: ControlChannel, commands_s: float = math.inf) -> None:
        self._commands_s = commands_s
        self._state = state
        self._channel = channel
        self._teller = Teller(state)
        self._commands = Commands(state, self._teller)
        self._number = 0
        self._now = 0.0
        self._faults: set[str] = set()
        self._heard = np.empty((0, 160), np.float32)
        self._came: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._reading: Reading | None = None
        self._positions: _Rows = np.empty(0, np.intp)
        self._frames = self._heard
        self._arrivals: Arrivals | None = None

    def run(self) -> None:
        """Make one tick."""
        self._now = time.monotonic()
        self._state.beat(self._now)
        started = time.perf_counter()
        stages: tuple[Callable[[], None], ...] = (
            self._take_commands,
            self._receive,
            self._take_packets,
            self._decode,
            self._level,
            self._mix,
            self._encode,
            self._save,
            self._send,
            self._rest,
        )
        took: list[float] = []
        for stage in stages:
            try:
                stage()
            except Exception as error:  # noqa: BLE001 - one stage's fault must not end every call
                self._fault(error)
            ended = time.perf_counter()
            took.append(1000 * (ended - started))
            started = ended
        self._teller.measured(took)
        self._number += 1
        self._channel.flush()

    @property
    def idle(self) -> bool:
        """There is no leg, so nobody waits for a tick."""
        return not self._state.legs.row_of

    @property
    def began(self) -> float:
        """When the last tick began, or first had a leg to work for (monotonic time [s])."""
        return self._now

    def rest(self, until: float) -> None:
        """Wait for the next thing to do, or where there is no leg for a command: it may bring some.

        Args:
            until: when that is due (monotonic time [s]).
        """
        left = until - time.monotonic()
        if left <= 0:
            return
        if self.idle:
            self._channel.wait(left)
        else:
            time.sleep(left)

    @property
    def has_second_halves(self) -> bool:
        """Some legs get the second half of their frame 10 ms later."""
        return bool(len(self._state.outgoing.halved))

    def send_second_halves(self) -> None:
        """Send them."""
        self._state.transport.send_second_halves()

    def close(self) -> None:
        """Close every leg and say the last words."""
        self._commands.close_all()
        self._channel.close()

    def _fault(self, error: Exception) -> None:
        """Count a fault and tell where it is, without a value that might be somebody's."""
        self._state.counters.stage_faults += 1
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}"
        if where not in self._faults and len(self._faults) < FAULTS_TOLD:
            self._faults.add(where)
            self._state.put(EngineError(what=f"a stage of the tick failed: {where}"))

    # --- commands ---------------------------------------------------------------------------------

    def _take_commands(self) -> None:
        """Carry commands out, as many as fit: legs may come by hundreds, and calls are up.

        A process that had no leg takes all that come to it together: nobody waits for its tick yet,
        and ticks for the first of them would keep the last ones waiting.
        """
        channel, idle = self._channel, self.idle
        self._commands.awaited = 0  # what a process with legs did not wait for
        began = time.perf_counter()
        left = COMMANDS_PER_TICK
        while left:
            commands = channel.read(min(left, COMMANDS_AT_A_TIME))
            for command, fds in commands:
                self._commands.carry_out(command, fds)
            left -= len(commands)
            took = time.perf_counter() - began
            if channel.ended:
                break
            if idle and self._commands.awaited:
                if not channel.wait(HANDED_S - took):
                    break
            elif not commands or took > self._commands_s:
                break
        if idle:
            self._now = time.monotonic()
        if channel.ended:
            self._state.ended = True

    # --- packets ----------------------------------------------------------------------------------

    def _receive(self) -> None:
        state = self._state
        self._arrivals = None
        state.plain.begin(self._now)
        self._arrivals = state.transport.receive(self._number, state.plain)
        for latched in state.transport.take_latched():
            leg = int(state.legs.leg[latched.row])
            state.note_source(latched.row)
            state.put(SourceLatched(leg=leg, own_sdp=latched.own_sdp))
        state.settle()

    def _take_packets(self) -> None:
        """Hand each packet that was not plain to its leg's stream, keys and playout."""
        state, arrivals = self._state, self._arrivals
        if arrivals is None:
            return
        headers = parse(arrivals, state.legs, state.leg_counters)
        self._note_presence(arrivals.rows)
        if state.presence.tracing:
            self._teller.trace_arrivals(arrivals, headers)
        good = (headers.kind != Kind.DROPPED).nonzero()[0]
        for chosen in _one_of_each(arrivals.rows, good):
            self._take_one_of_each(arrivals, headers, chosen)

    def _note_presence(self, rows: _Rows) -> None:
        """Note who sent something; told at once where a leg had been told quiet."""
        presence, legs = self._state.presence, self._state.legs
        presence.last[rows] = self._now
        back = rows[presence.quiet_told[rows] > 0]
        if len(back):
            for row in np.unique(back).tolist():
                presence.quiet_told[row] = 0
                self._state.put(MediaResumed(leg=int(legs.leg[row])))

    def _take_one_of_each(
        self,
        arrivals: Arrivals,
        headers: Headers,
        chosen: _Rows,
    ) -> None:
        """Take at most one packet of each leg in, oldest first.

        Args:
            arrivals: all packets.
            headers: of all of them.
            chosen: intp, `(k,)`: which to take.
        """
        state = self._state
        rows, part = arrivals.rows[chosen], headers.part(chosen)
        admission = state.sequences.admit(rows, part.sequence, part.ssrc, state.leg_counters)
        begins, newer = admission.begins, admission.newer
        if not admission.used.all():
            used = admission.used.nonzero()[0]
            chosen, rows, part = chosen[used], rows[used], part.part(used)
            begins, newer = begins[used], newer[used]
        if not len(chosen):
            return
        state.sequences.octets[rows] += part.length
        if begins.any():
            self._begin_streams(rows[begins])
        if not (part.kind == Kind.AUDIO).all():
            self._take_events(arrivals, headers, chosen[part.kind == Kind.EVENT])
            self._take_noise(arrivals, headers, chosen[part.kind == Kind.COMFORT_NOISE])
            audio = (part.kind == Kind.AUDIO).nonzero()[0]
            chosen, rows, part = chosen[audio], rows[audio], part.part(audio)
            begins, newer = begins[audio], newer[audio]
        if len(chosen):
            state.sequences.time(rows, arrivals.arrived[chosen], part.timestamp)
            state.noise.resume(rows)
            state.store.write(
                rows,
                part.timestamp,
                arrivals.octets,
                chosen,
                part.offset,
                part.length,
                begins=begins,
                announced=newer & part.marker,
                codec=state.legs.codec,
                counters=state.leg_counters,
            )

    def _begin_streams(self, rows: _Rows) -> None:
        """Forget what belonged to the stream before; tell of a leg's very first."""
        state = self._state
        state.keys.forget(rows)
        state.store.anchored[rows] = False
        state.wideband.begin_streams(rows)
        state.reports.begin(rows, state.sequences.ssrc, state.outgoing.ssrc)
        for row in rows[~state.presence.heard[rows]].tolist():
            state.presence.heard[row] = True
            state.put(FirstMedia(leg=int(state.legs.leg[row]), at=self._now))

    def _take_events(self, arrivals: Arrivals, headers: Headers, chosen: _Rows) -> None:
        """Tell key presses, and let nobody hear them."""
        if not len(chosen):
            return
        state = self._state
        events, odd = EventPackets.parse(arrivals, headers, chosen)
        state.leg_counters.add("odd_events", odd)
        if not len(events.rows):
            return
        begins = state.keys.press(events).nonzero()[0]
        for index in begins.tolist():
            row = int(events.rows[index])
            leg, digit = int(state.legs.leg[row]), DIGITS[int(events.code[index])]
            pressed = state.keys.tell(row, leg, digit, "rfc4733", self._now)
            if pressed is not None:
                state.put(pressed)
        if len(begins):
            rows, codes = events.rows[begins], events.code[begins]
            state.inband.note_events(rows, codes, state.store, state.legs.codec)
            self._channel.flush()  # control works on its answer while this tick is made
        state.store.blank(
            events.rows,
            (events.timestamp + events.duration) & 0xFFFF_FFFF,
            margin=np.where(events.ended, END_MARGIN, RUNNING_MARGIN),
        )

    def _take_noise(self, arrivals: Arrivals, headers: Headers, chosen: _Rows) -> None:
        """Take comfort noise: silence by agreement, at a level."""
        if len(chosen):
            level = arrivals.octets[chosen, headers.offset[chosen]]
            self._state.noise.pause(arrivals.rows[chosen], level)

    # --- sound ------------------------------------------------------------------------------------

    def _decode(self) -> None:
        """Turn this tick's frames of those who may speak into samples, and see who does."""
        state = self._state
        self._reading = None
        seating, store = state.seating, state.store
        n = seating.talkers
        rows = seating.order[:n]
        reading = store.read(seating.order, n, state.legs.rx)
        pcm = state.hearing.decode(seating, reading, store)
        rest = state.wideband.decode(seating, reading, store, state.noise, pcm)
        behind, extra = state.hearing.decode_more(seating, state.legs, rest, store)
        state.streams.follow(rows, rest, behind, extra, pcm, noise=state.noise, depth=store.depth)
        state.streams.forget(seating.silent_rows)
        if store.some_excess:
            store.depth.hear(rows, pcm)
        self._take_tones(reading, pcm)
        self._reading = reading

    def _take_tones(self, reading: Reading, pcm: npt.NDArray[np.float32]) -> None:
        """Tell the keys that come as tones, and let nobody hear them."""
        state = self._state
        rows = state.inband.listen(
            state.legs, state.seating, reading, state.store, state.wideband, pcm
        )
        for row in rows.tolist():
            leg, digit = int(state.legs.leg[row]), KEYS[int(state.inband.pair[row])]
            pressed = state.keys.tell(row, leg, digit, "inband", self._now)
            if pressed is not None:
                state.put(pressed)
        if len(rows):
            self._channel.flush()

    def _level(self) -> None:
        """Measure what is said, see who speaks, and give each leg its gain."""
        state, options, reading = self._state, self._state.options, self._reading
        if reading is None:
            return  # nothing was decoded
        seating, levels = state.seating, state.levels
        rows = seating.order[: seating.talkers]
        pcm = state.hearing.pcm[: seating.talkers]
        rms, self._came = look(pcm, reading.missing, reading.blanked)
        state.noise.follow(rows, rms, self._came)
        self._tell_talkers(levels.follow(rows, rms, self._came, state.legs.speaks))
        self._tell_talkers(levels.fall_silent(seating.silent_rows))
        if options.gate:
            state.gate.close(seating.silent_rows)
            state.gate.look_ahead(rows, state.store, state.legs.codec)
            state.gate.follow(levels)
        if options.agc:
            state.agc.follow(levels, options.target_dbov)
        self._guard(pcm[: seating.speakers])
        state.gains.follow(levels, state.gate, state.agc, options)
        state.gains.apply(rows, pcm)
        state.wideband.weigh(state.gains, pcm)
        if state.naming.active:
            state.naming.write(seating, pcm)
        if state.taps.active:
            self._tap(pcm)

    def _tap(self, pcm: npt.NDArray[np.float32]) -> None:
        """Give recorders what the room hears of each leg."""
        state = self._state
        state.taps.write(
            pcm,
            state.wideband.said,
            came=self._came,
            talking=state.levels.talking,
            number=state.store.depth.tick,
            now=self._now,
        )

    def _guard(self, pcm: npt.NDArray[np.float32]) -> None:
        """Hold down who disturbs, and say so."""
        state = self._state
        for event in state.guards.follow(
            state.legs,
            state.seating,
            pcm,
            levels=state.levels,
            gate=state.gate,
            agc=state.agc,
            gains=state.gains,
            options=state.options,
        ):
            state.put(event)

    def _tell_talkers(self, rows: _Rows) -> None:
        if len(rows):
            state = self._state
            for row in rows.tolist():
                talking = bool(state.levels.talking[row])
                state.put(TalkSpurt(leg=int(state.legs.leg[row]), talking=talking))

    def _mix(self) -> None:
        """Give everybody the room without themselves, and what is played to them."""
        state = self._state
        state.hearing.mix(state.seating, state.chimes)
        state.wideband.mix(state.hearing.rooms)
        if state.options.limiter:
            self._limit()
        if state.guards.marks:
            self._mark()
        self._positions, self._frames = state.hearing.play(
            state.seating, state.legs, state.foreground, state.background, state.volume
        )

    def _limit(self) -> None:
        """Turn down the rooms that are too loud for what comes behind."""
        state, limiter = self._state, self._state.limiter
        limiter.begin()
        state.hearing.measure(state.seating, limiter)
        state.wideband.measure(limiter)
        if limiter.follow():
            state.hearing.limit(state.seating, limiter)
            state.wideband.limit(limiter)

    def _mark(self) -> None:
        """Mark what is sent to those who may be returning it."""
        state, seating = self._state, self._state.seating
        rows, positions = state.guards.suspects(seating)
        if len(rows):
            heard = state.hearing.others(seating, positions)
            marks = state.guards.mark(rows, heard)
            state.hearing.mark(positions, heard)
            state.wideband.mark(seating, positions, marks)

    def _encode(self) -> None:
        state = self._state
        seating, hearing = state.seating, state.hearing
        positions, frames = self._positions, self._frames
        packets = state.outgoing.packets
        hearing.encode(seating, state.legs, positions, frames, packets)
        codes = packets[: len(seating), HEADER:]
        state.wideband.encode(seating, positions, frames, hearing.playing, state.volume, codes)
        if state.volume.active:
            state.volume.settle()
        state.outgoing.fill(seating)

    def _save(self) -> None:
        # Before what is sent: whoever goes on from it repeats no sequence number.
        self._state.save(self._now)

    def _send(self) -> None:
        self._state.transport.send()

    # --- the rest ---------------------------------------------------------------------------------

    def _rest(self) -> None:
        state, now = self._state, self._now
        report(state, self._number, now)
        judge(state, self._number)
        state.transport.watch(self._number)
        if state.presence.tracing:
            self._teller.trace_sent()
        self._teller.tell(self._number, now)


def _one_of_each(rows: _Rows, chosen: _Rows) -> list[_Rows]:
    """Part packets so that no part has two of one leg, each leg's in order of arrival.

    Args:
        rows: intp, `(n,)`: the leg of each packet.
        chosen: intp, `(k,)`: the packets to part, ascending.

    Returns:
        Indices of packets; one part nearly every time.
    """
    legs = rows[chosen]
    if (legs[1:] > legs[:-1]).all():  # nearly every time: they were read in this order
        return [chosen] if len(chosen) else []
    order = np.argsort(legs, kind="stable")
    ordered = legs[order]
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    if first.all():
        return [chosen] if len(chosen) else []
    index = np.arange(len(ordered))
    turn = index - np.maximum.accumulate(np.where(first, index, 0))
    by_arrival = np.empty(len(ordered), np.intp)
    by_arrival[order] = turn
    return [chosen[by_arrival == k] for k in range(int(turn.max()) + 1)]
