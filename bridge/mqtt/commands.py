"""Commands from the broker: which are carried out, and what is said of the others.

The broker says who may publish them; the configuration says which of them are done at all. Each is
judged in this order, and done by the operation that the administration socket performs:

============== ============================================ =========
what it is     is                                           reply
============== ============================================ =========
`retained`     kept by the broker: of yesterday, maybe      none
`flooded`      one of too many in a second                  none
`oversized`    longer than any command                      none
`malformed`    not of the schema                            none
`expired`      past its time, or good for too long          yes
`repeated`     of an id that came before                    yes
`forbidden`    not allowed by the configuration             yes
`busy`         one of too many that wait for their outcome  yes
`refused`      understood, and left undone for a reason     yes
`failed`       a fault of ours                              yes
`done`         done                                         yes
============== ============================================ =========

Ids are remembered until their command has expired. No command is good for more than five minutes
and no more than `PER_S` are taken in a second, so that they are never too many to be remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import structlog

from bridge.errors import AdminError
from bridge.mqtt import schema
from bridge.mqtt.errors import SealError
from bridge.mqtt.schema import AnyCommand, Reply, Result
from bridge.mqtt.sealing import unseal
from config.errors import ConfigError

if TYPE_CHECKING:
    from bridge.events.messages import State
    from bridge.mqtt.topics import Topics

__all__ = ["BURST", "LARGEST", "LONGEST_S", "PER_S", "RESULTS", "Commands"]

LARGEST: Final = 64 * 1024
"""Octets of one command; the longest is a sound of three seconds."""

LONGEST_S: Final = 300.0
PER_S: Final = 10.0
BURST: Final = 20.0

MOST_IDS: Final = int(2 * PER_S * LONGEST_S)
MOST_RUNNING: Final = 32

RESULTS: Final = ("retained", "flooded", "oversized", "malformed", *get_args(Result))

Perform = Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, Any]]


class Commands:
    """Judges commands, and has them carried out.

    Args:
        topics: those of this bridge.
        allowed: the words of commands that may be done.
        perform: carries out an operation of the administration socket, by its name.
        state: returns the state of a conference, none where it does not run.
        reply: publishes a reply.
        dial_key: the key of sealed numbers.
        clock: monotonic time [s].
        wall: seconds since 1970, for expiry.
    """

    def __init__(
        self,
        topics: Topics,
        allowed: frozenset[str],
        perform: Perform,
        state: Callable[[int], State | None],
        reply: Callable[[str, Reply], None],
        dial_key: bytes | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._topics = topics
        self._allowed = allowed
        self._perform = perform
        self._state = state
        self._reply = reply
        self._dial_key = dial_key
        self._clock = clock
        self._wall = wall
        self._decoder = msgspec.json.Decoder(AnyCommand)
        self._ids: dict[str, float] = {}
        self._tokens = BURST
        self._filled_at = clock()
        self._running: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bridge.mqtt")

    @property
    def remembered(self) -> int:
        """How many ids are remembered."""
        return len(self._ids)

    def take(self, conference: int, payload: bytes, *, retained: bool) -> None:
        """Judge a command, and have it carried out.

        Args:
            conference: which its topic names.
            payload: what was published.
            retained: whether it was to be kept, or was kept, by the broker.
        """
        thrown_away = self._throw_away(payload, retained=retained)
        if thrown_away is not None:
            self._count(thrown_away)
            return
        try:
            command = self._decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            self._count("malformed")
            return
        refused = self._judge(command)
        if refused is not None:
            self._answer(command, *refused)
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(conference, command))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Wait no longer for what comes of commands."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # -- judging --------------------------------------------------------------------------------

    def _throw_away(self, payload: bytes, *, retained: bool) -> str | None:
        """Say why a command is not even read."""
        if retained:
            return "retained"
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_S)
        self._filled_at = now
        if self._tokens < 1.0:
            return "flooded"
        self._tokens -= 1.0
        return "oversized" if len(payload) > LARGEST else None

    def _judge(self, command: AnyCommand) -> tuple[Result, str] | None:  # noqa: PLR0911 - a line of the table each
        """Say why a command is not done, and remember its id."""
        now, expires = self._wall(), command.expires.timestamp()
        if expires <= now:
            return "expired", "it came after its time"
        if expires > now + LONGEST_S:
            return "expired", f"no command may be good for more than {LONGEST_S:.0f} s"
        self._forget(now)
        if command.id in self._ids:
            return "repeated", "a command with this id came before"
        if len(self._ids) >= MOST_IDS:
            return "busy", "too many commands have not expired yet"
        self._ids[command.id] = expires
        if _word(command) not in self._allowed:
            return "forbidden", "mqtt.commands does not allow it"
        if len(self._running) >= MOST_RUNNING:
            return "busy", "too many commands wait for what comes of them"
        return None

    def _forget(self, now: float) -> None:
        if len(self._ids) >= MOST_IDS // 2:
            self._ids = {each: expires for each, expires in self._ids.items() if expires > now}

    # -- doing ----------------------------------------------------------------------------------

    async def _carry_out(self, conference: int, command: AnyCommand) -> None:
        """Do what a command says, by the operation of the administration socket."""
        try:
            self._check_session(conference, command)
            operation, arguments = self._operation(command)
            result = await self._perform(operation, {"conference": conference, **arguments})
        except (AdminError, SealError, ConfigError) as error:
            self._answer(command, "refused", str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the sender is told and the bridge goes on
            self._log.exception("operation failed", operation=_word(command))
            self._answer(command, "failed", "the bridge's log says why")
        else:
            outcome = result.get("outcome") if isinstance(command, schema.Dial) else None
            self._answer(command, "done", outcome=outcome)

    def _check_session(self, conference: int, command: AnyCommand) -> None:
        state = self._state(conference)
        if command.session is not None and (state is None or state.session != command.session):
            raise AdminError("that session of the conference does not run")

    def _operation(self, command: AnyCommand) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - one a command
        """Return the operation that does what a command says, and its arguments."""
        match command:
            case schema.Mute(person=None) | schema.Unmute(person=None):
                return "conference.steer", {"order": f"{_word(command)}_all"}
            case schema.Mute() | schema.Unmute() | schema.Remove():
                order = {"order": _word(command), "person": command.person}
                return "conference.steer", order
            case schema.Lock() | schema.Unlock():
                return "conference.steer", {"order": _word(command)}
            case schema.Mode(mode=mode):
                return "conference.steer", {"order": "mode", "mode": mode.value}
            case schema.End():
                return "conference.end", {}
            case schema.Dial(id=identifier, number=sealed):
                if self._dial_key is None:
                    raise SealError("mqtt.dial_key_file is not set")
                number = unseal(self._dial_key, identifier, sealed)
                return "conference.dial", {"number": number, "by": "program"}
            case schema.Say():
                said = msgspec.structs.asdict(command)
                names = ("phrase", "arguments", "sound", "person")
                return "conference.say", {name: said[name] for name in names}

    def _answer(
        self, command: AnyCommand, result: Result, reason: str = "", outcome: str | None = None
    ) -> None:
        self._count(result)
        self._log.info("command over MQTT", operation=_word(command), verdict=result)
        topic = self._topics.reply(command.reply)
        if topic is not None:
            reply = Reply(id=command.id, result=result, reason=reason, outcome=outcome)
            self._reply(topic, reply)

    def _count(self, result: str) -> None:
        self.counts[result] += 1
        if result in ("retained", "flooded", "oversized", "malformed"):
            number = self.counts[result]
            if number & (number - 1) == 0:  # the first, and each time it is twice as many
                self._log.warning("command over MQTT thrown away", reason=result, count=number)


def _word(command: AnyCommand) -> str:
    return str(command.__struct_config__.tag)
