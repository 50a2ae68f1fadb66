"""OPTIONS outside a dialog: asking another user agent whether it is there (RFC 3261 section 11).

PJSIP's ``pjsip_endpt_send_request`` takes a timeout and ignores it, and gives up only after 64 T1
(32 s), so the time that an administrator wants to wait is kept here. A late answer to a question
that was given up is nobody's any more.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.sip._agent import Agent, Headers
from bridge.sip.messages import Answer, Transport

__all__ = ["Questions"]

_RECEIVED = 3  # PJSIP_EVENT_RX_MSG


@dataclass(frozen=True, slots=True)
class _Question:
    on_answer: Callable[[Answer], None]
    asked: float
    until: float


class Questions:
    """Questions of one agent that wait for their answer."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._numbers = itertools.count(1)
        self._open: dict[int, _Question] = {}
        self._callback: Any = None

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        """Make the callback."""
        self._callback = self._agent.callback("void(void *, pjsip_event *)", self._finished, None)

    def ask(
        self,
        target: str,
        transport: Transport,
        contact: str,
        timeout_s: float,
        on_answer: Callable[[Answer], None],
        headers: Headers = (),
    ) -> None:
        """Send OPTIONS and have its answer told, once.

        Args:
            target: host, or host and port with a colon between them.
            transport: transport to ask by.
            contact: our Contact, with brackets; ``From`` is the same.
            timeout_s: seconds to wait.
            on_answer: takes the answer, in the SIP thread.
            headers: further headers.
        """
        library = self._agent.library
        ffi, lib = library.ffi, library.lib
        kept: list[Any] = []

        def string(text: str) -> Any:
            pointer, buffer = library.string(text)
            kept.extend((pointer, buffer))
            return pointer

        uri = f"sip:{target}" + (";transport=tcp" if transport == "tcp" else "")
        now = time.monotonic()
        number = next(self._numbers)
        self._open[number] = _Question(on_answer, now, now + timeout_s)
        tdata = ffi.new("pjsip_tx_data **")
        malformed = lib.pjsip_endpt_create_request(
            self._agent.endpoint,
            lib.pjsip_get_options_method(),
            string(uri),
            string(contact),
            string(f"<sip:{target}>"),
            string(contact),
            ffi.NULL,
            -1,
            ffi.NULL,
            tdata,
        )
        kept.clear()
        if malformed:
            self._close(number, None, "malformed_target")
            return
        self._agent.add_headers(tdata[0], headers)
        token = ffi.cast("void *", number)
        # A failure calls back from inside, or not at all where there is no transport.
        if lib.pjsip_endpt_send_request(self._agent.endpoint, tdata[0], -1, token, self._callback):
            self._close(number, None, "not_sent")

    def keep_house(self, now: float) -> None:
        """Give up what has waited long enough."""
        for number, question in list(self._open.items()):
            if now >= question.until:
                self._close(number, None, "timeout")

    def end_all(self) -> None:
        """Give everything up."""
        for number in list(self._open):
            self._close(number, None, "stopped")

    def _finished(self, token: Any, event: Any) -> None:
        number = self._agent.library.address(token)
        state = event.body.tsx_state
        if state.type == _RECEIVED:
            self._close(number, int(state.tsx.status_code), "answered")
        else:
            timed_out = state.tsx.status_code == 408  # noqa: PLR2004 - PJSIP's word for no answer
            self._close(number, None, "timeout" if timed_out else "not_sent")

    def _close(self, number: int, status: int | None, outcome: str) -> None:
        question = self._open.pop(number, None)
        if question is not None:
            elapsed_ms = (time.monotonic() - question.asked) * 1000.0
            question.on_answer(Answer(status, outcome, round(elapsed_ms, 1)))
