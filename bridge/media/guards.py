"""Guards against lines that disturb a conference, and the one factor in which they agree.

::

    loudness   far too loud: ducked, then muted              loudness_guard
    leak       music or noise without speech: muted          leak, tonality
    echo       what a leg is sent comes back: turned down    echo, echo_screen, echo_trial

Every tick the levels are noted (`history`), and a few legs under suspicion are listened to. What
costs more has turns, five ticks long: legs are judged for leaks, a tenth of them a turn; for
loudness, all of them; a few legs are compared with what they were sent; those that are muted are
heard again.

Only legs that speak in a room are looked at; who is not heard
disturbs nobody, and begins anew.
"""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.agc import Agc
from bridge.media.echo import EchoGuard
from bridge.media.gains import Gains
from bridge.media.gate import Gate
from bridge.media.history import History
from bridge.media.leak import AUDIBLE, EVERY, MUSIC, LeakGuard
from bridge.media.legs import Legs
from bridge.media.levels import Levels
from bridge.media.loudness_guard import DUCKED, MUTED, LoudnessGuard
from bridge.media.messages import Configure, GuardAction, GuardName, LegGuarded
from bridge.media.seating import Seating

__all__ = ["Guards"]

TURNS: Final = 5
"""Ticks until each kind of turn has come."""

LEAKS: Final = 0
LOUDNESS: Final = 1
ECHOES: Final = 2
RELEASES: Final = 3
NOTES: Final = 4
JUDGE_TICKS: Final = 10

_ACTIONS: Final[dict[int, GuardAction]] = {DUCKED: "ducked", MUTED: "muted"}
_Index = npt.NDArray[np.intp]


class Guards:
    """The guards of all legs.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        self.history = History(capacity)
        self.loudness = LoudnessGuard(capacity)
        self.leak = LeakGuard(capacity)
        self.echo = EchoGuard(capacity)
        self._options = Configure()
        self._told: list[LegGuarded] = []
        # Somebody is held, or may be: a successor begins with what its predecessor held.
        self._holding = True

    def tables(self) -> dict[str, Rows]:
        """Return the tables with a row per leg, by name."""
        return {
            "history": self.history,
            "loudness": self.loudness,
            "leak": self.leak,
            "echo": self.echo,
        }

    def follow(
        self,
        legs: Legs,
        seating: Seating,
        pcm: npt.NDArray[np.float32],
        *,
        levels: Levels,
        gate: Gate,
        agc: Agc,
        gains: Gains,
        options: Configure,
    ) -> list[LegGuarded]:
        """Look at a tick, and set `levels.duck`.

        Args:
            legs: the legs.
            seating: who sits where.
            pcm: float32, `(speakers, 160)`: what came, before any gain.
            levels: of this tick.
            gate: of this tick.
            agc: of this tick.
            gains: of the tick before.
            options: which guards there are.

        Returns:
            What is to be told.
        """
        self._told = []
        if options is not self._options:
            self._take(options, legs)
        moved = self.history.seat(seating)
        if len(moved):
            self._let_go(moved, legs)
        self.history.note(levels, gains)
        if options.over_loud and self.history.tick % TURNS == LOUDNESS:
            self._guard_loudness(legs, agc)
        if options.leak:
            self._guard_leaks(legs, seating, pcm, levels, gate)
        if options.echo:
            self.echo.take(seating, pcm)
            self._guard_echoes(legs, seating, levels)
        if self._told or self._holding:
            self._weigh(levels)
        return self._told

    @property
    def marks(self) -> bool:
        """Somebody is sent something marked."""
        return self.echo.trials.active

    def suspects(self, seating: Seating) -> tuple[_Index, _Index]:
        """Return whom to mark something for; see `EchoGuard.suspects`."""
        return self.echo.suspects(seating)

    def mark(self, rows: _Index, heard: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Mark what is sent to those who may be returning it; see `EchoGuard.mark`."""
        return self.echo.mark(self.history.tick, rows, heard)

    # --- each of them ---------------------------------------------------------------------------

    def _guard_loudness(self, legs: Legs, agc: Agc) -> None:
        rows = self.loudness.judge(self.history, agc, self._options)
        for row in rows.tolist():
            action = _ACTIONS.get(int(self.loudness.state[row]), "released")
            self._tell(legs, row, "over_loud", action)

    def _guard_leaks(
        self,
        legs: Legs,
        seating: Seating,
        pcm: npt.NDArray[np.float32],
        levels: Levels,
        gate: Gate,
    ) -> None:
        leak, tick = self.leak, self.history.tick
        if leak.watch.active:
            leak.watch.take(tick, seating.position, pcm, leak.least)
        if tick % TURNS == LEAKS:
            leak.note(gate.gain > 0 if self._options.gate else levels.rms > AUDIBLE)
            self._judge_leaks(legs, seating)
        elif tick % TURNS == RELEASES:
            for row in leak.release(self.history).tolist():
                self._tell(legs, row, "leak", "released")

    def _judge_leaks(self, legs: Legs, seating: Seating) -> None:
        leak, turns = self.leak, EVERY // TURNS
        rows = seating.order[: seating.speakers]
        rows = rows[rows % turns == self.history.tick // TURNS % turns]
        for row in leak.judge(rows, self.history, self._options.leak_s).tolist():
            sound: Literal["music", "noise"] = "music" if leak.kind[row] == MUSIC else "noise"
            self._told.append(
                LegGuarded(leg=int(legs.leg[row]), guard="leak", action="muted", sound=sound)
            )

    def _guard_echoes(self, legs: Legs, seating: Seating, levels: Levels) -> None:
        tick, echo = self.history.tick, self.echo
        turn = tick % TURNS
        if turn == NOTES:
            echo.note(seating, levels, self.history)
        elif turn == ECHOES and tick // TURNS % 2:
            echo.search(self.history)
        if tick % JUDGE_TICKS == 0 and echo.trials.active:
            verdict = echo.judge(tick)
            for row, delay, loss in zip(
                verdict.guilty, verdict.delay, verdict.loss_db, strict=True
            ):
                self._told.append(
                    LegGuarded(
                        leg=int(legs.leg[row]),
                        guard="echo",
                        action="ducked",
                        delay_ms=round(1000 * delay),
                        return_loss_db=round(loss, 1),
                    )
                )
        echo.follow(levels, self.history)
        if tick % EVERY == 0:
            for row in echo.release(self.history).tolist():
                self._tell(legs, row, "echo", "released")

    # --- together -------------------------------------------------------------------------------

    def _tell(self, legs: Legs, row: int, guard: GuardName, action: GuardAction) -> None:
        self._told.append(LegGuarded(leg=int(legs.leg[row]), guard=guard, action=action))

    def _let_go(self, rows: _Index, legs: Legs) -> None:
        """Begin anew with legs that are elsewhere now; say who was held."""
        rows = rows[legs.open[rows]]
        for row in self.loudness.let_go(rows).tolist():
            self._tell(legs, row, "over_loud", "released")
        for row in self.leak.let_go(rows).tolist():
            self._tell(legs, row, "leak", "released")
        for row in self.echo.let_go(rows).tolist():
            self._tell(legs, row, "echo", "released")

    def _take(self, options: Configure, legs: Legs) -> None:
        """Take other options; who is held by a guard that is off now is let go."""
        self._options = options
        everybody = legs.open.nonzero()[0]
        if not options.over_loud:
            for row in self.loudness.let_go(everybody).tolist():
                self._tell(legs, row, "over_loud", "released")
        if not options.leak:
            for row in self.leak.let_go(everybody).tolist():
                self._tell(legs, row, "leak", "released")
        if not options.echo:
            for row in self.echo.let_go(everybody).tolist():
                self._tell(legs, row, "echo", "released")

    def _weigh(self, levels: Levels) -> None:
        factor = levels.duck
        factor[:] = 1
        self.loudness.weigh(factor)
        factor[self.leak.kind > 0] = 0
        self.echo.weigh(factor)
        self._holding = bool(
            self.loudness.state.any() or self.leak.kind.any() or self.echo.named.any()
        )
