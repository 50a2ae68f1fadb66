"""Legs come in and go out: new ones, those of a process that died, those that move to another room.

A leg that another process had goes on from its record: the same SSRC, the next sequence number, the
time stamp of this moment with the marker bit (RFC 3551 section 4.1), its counters, its source
without another proof. What waited in its sockets meanwhile is read here. Where hundreds come at
once, after a death, no other leg has to wait for the tick that opens them.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from bridge.media.codecs import FRAME, SAMPLE_RATE
from bridge.media.latching import source_of
from bridge.media.messages import HandedLeg, LegGiven
from bridge.media.reporting import say_farewell
from bridge.media.state import State

__all__ = ["Refused", "give_legs", "open_legs"]

TICK: Final = FRAME / SAMPLE_RATE

Refused = tuple[HandedLeg, str]


def open_legs(
    state: State, legs: Sequence[HandedLeg], fds: Sequence[int]
) -> tuple[list[HandedLeg], list[Refused]]:
    """Open legs, each where its record says that it stood.

    Args:
        state: of this process.
        legs: the legs.
        fds: descriptors of each, one leg after the other; owned or closed afterwards.

    Returns:
        The legs that are open now, and those that are not, with what was wrong.
    """
    wanted = sum(leg.descriptors for leg in legs)
    if len(fds) != wanted:
        _close_unwanted(state, fds)
        return [], [(leg, f"{len(fds)} sockets came, {wanted} are needed") for leg in legs]
    state.make_room(len(legs))
    kind = state.record_type
    queue = iter(fds)
    opened: list[HandedLeg] = []
    refused: list[Refused] = []
    for leg in legs:
        wrong = _take(state, leg, [next(queue) for _ in range(leg.descriptors)], kind)
        if wrong is None:
            opened.append(leg)
        else:
            refused.append((leg, wrong))
    _begin(state, opened, kind)
    return opened, refused


def _take(state: State, leg: HandedLeg, fds: list[int], kind: np.dtype[np.void]) -> str | None:
    """Give a leg a row and its sockets; return what was wrong, if anything was."""
    opened = leg.opened
    if opened.leg in state.legs.row_of:
        _close_unwanted(state, fds)
        return "it is open already"
    known = None
    if len(leg.record) == kind.itemsize:
        known = source_of(int(np.frombuffer(leg.record, kind)["presence.source"][0]))
    row = state.legs.take(opened.leg, opened.media)
    try:
        if opened.shared_port is None:
            state.transport.open(row, opened.media, fds, known)
        else:
            _close_unwanted(state, fds)
            state.transport.open_shared(row, opened.media, opened.shared_port)
    except OSError as error:
        state.legs.release(row)
        return f"its sockets cannot be used: {error.strerror or error}"
    return None


def _begin(state: State, legs: Sequence[HandedLeg], kind: np.dtype[np.void]) -> None:
    """Let legs begin, or go on from their records; all at once, for there may be hundreds."""
    if not legs:
        return
    now = time.monotonic()
    rows = [state.legs.row_of[leg.opened.leg] for leg in legs]
    state.clear_rows(np.array(rows, np.intp))
    for row, leg in zip(rows, legs, strict=True):
        opened = leg.opened
        sequence, timestamp = opened.sequence, opened.timestamp
        state.outgoing.open(
            row,
            opened.ssrc,
            secrets.randbelow(1 << 16) if sequence is None else sequence,
            secrets.randbelow(1 << 32) if timestamp is None else timestamp,
        )
        state.reports.open(row, opened.cname, now)
        state.presence.last[row] = now
        state.presence.trace(row, traced=leg.traced)
        if opened.former_ssrc is not None and len(leg.record) != kind.itemsize:
            say_farewell(state, row, opened.former_ssrc)
    goes_on = [at for at, leg in enumerate(legs) if len(leg.record) == kind.itemsize]
    if goes_on:
        chosen = np.array([rows[at] for at in goes_on], np.intp)
        records = np.frombuffer(b"".join(legs[at].record for at in goes_on), kind)
        state.restore(chosen, records)
        passed = np.rint((now - np.array([legs[at].at for at in goes_on])) / TICK)
        state.outgoing.run_on(chosen, np.maximum(passed.astype(np.int64) - 1, 0))
        for row in chosen.tolist():
            state.note_source(row)
    state.moved = True


def give_legs(state: State, legs: Iterable[int]) -> None:
    """Let go of legs without a word to their far ends, and tell control where each stood.

    Args:
        state: of this process.
        legs: the legs; one that is not there is told without a record.
    """
    known = [leg for leg in legs if leg in state.legs.row_of]
    rows = np.array([state.legs.row_of[leg] for leg in known], np.intp)
    records = state.records(rows)
    # What the tables say is what the last tick left.
    at = time.monotonic() - TICK
    for leg in legs:
        if leg not in state.legs.row_of:
            state.put(LegGiven(leg=leg, record=b"", at=at))
    for leg, row, record in zip(known, rows.tolist(), records, strict=True):
        for players in (state.foreground, state.background):
            players.drop(row)
        state.transport.close(row)
        state.leave(row)
        state.clear_row(row)
        state.leg_counters.reset(row)
        state.legs.release(row)
        state.put(LegGiven(leg=leg, record=record.tobytes(), at=at))
    state.moved = True


def _close_unwanted(state: State, fds: Iterable[int]) -> None:
    for fd in fds:
        state.counters.descriptors_lost += 1
        with contextlib.suppress(OSError):
            os.close(fd)
