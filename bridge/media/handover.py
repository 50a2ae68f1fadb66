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
import numpy.typing as npt

from bridge.media.codecs import FRAME, SAMPLE_RATE
from bridge.media.latching import source_of
from bridge.media.messages import HandedLeg, LegGiven
from bridge.media.page import record_type
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
    blank = np.zeros(1, record_type(state.kept_tables()))
    now = time.monotonic()
    opened: list[HandedLeg] = []
    refused: list[Refused] = []
    goes_on: list[tuple[int, npt.NDArray[np.void], float]] = []
    queue = iter(fds)
    for leg in legs:
        own = [next(queue) for _ in range(leg.descriptors)]
        has_record = len(leg.record) == blank.itemsize
        record = np.frombuffer(leg.record, blank.dtype) if has_record else blank
        wrong = _open(state, leg, own, record, now)
        if wrong is not None:
            refused.append((leg, wrong))
            continue
        opened.append(leg)
        if has_record:
            goes_on.append((state.legs.row_of[leg.opened.leg], record, leg.at))
    if goes_on:
        _go_on(state, goes_on, now)
    return opened, refused


def _open(
    state: State, leg: HandedLeg, fds: list[int], record: npt.NDArray[np.void], now: float
) -> str | None:
    """Give a leg a row and its sockets; return what was wrong, if anything was."""
    opened = leg.opened
    if opened.leg in state.legs.row_of:
        _close_unwanted(state, fds)
        return "it is open already"
    row = state.legs.take(opened.leg, opened.media)
    known = source_of(int(record["presence.source"][0]))
    try:
        if opened.shared_port is None:
            state.transport.open(row, opened.media, fds, known)
        else:
            _close_unwanted(state, fds)
            state.transport.open_shared(row, opened.media, opened.shared_port)
    except OSError as error:
        state.legs.release(row)
        return f"its sockets cannot be used: {error.strerror or error}"
    state.clear_row(row)
    sequence, timestamp = opened.sequence, opened.timestamp
    state.outgoing.open(
        row,
        opened.ssrc,
        secrets.randbelow(1 << 16) if sequence is None else sequence,
        secrets.randbelow(1 << 32) if timestamp is None else timestamp,
    )
    state.reports.open(row, opened.cname, now)
    state.presence.last[row] = now
    state.presence.traced[row] = leg.traced
    state.moved = True
    return None


def _go_on(
    state: State, legs: Iterable[tuple[int, npt.NDArray[np.void], float]], now: float
) -> None:
    """Put records into their rows, and let time run on since they were true."""
    rows = np.array([row for row, _, _ in legs], np.intp)
    state.restore(rows, np.concatenate([record for _, record, _ in legs]))
    passed = np.rint((now - np.array([at for _, _, at in legs])) / TICK)
    state.outgoing.run_on(rows, np.maximum(passed.astype(np.int64) - 1, 0))
    for row in rows.tolist():
        state.note_source(row)


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
