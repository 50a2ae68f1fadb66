"""A SIP phone made by hand: one call, every message visible, every mistake possible.

The softphones of pjsua2, baresip and sipp behave well. This one does what a test tells it: it
offers late, forgets its BYE, repeats itself, holds in the old way, answers nothing. It serves one
call.
"""

import time
from typing import Self

from tests.support.line import PATIENCE, Line, Request
from tests.support.reactor import reactor
from tests.support.rtp import Digits, Recording
from tests.support.signals import Samples
from tests.support.sip_text import (
    Message,
    Sdp,
    authorise,
    describe,
    parameter,
    uri_in,
)

__all__ = ["CallRefusedError", "Phone", "Request"]


class CallRefusedError(AssertionError):
    """The call was answered with something other than 200."""


class Phone(Line):
    """One phone, one call; arguments as of `Line`."""

    # -- the call -----------------------------------------------------------------------------

    def invite(
        self,
        number: str,
        *,
        offer: Sdp | None = None,
        late: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        copies: int = 1,
    ) -> Request:
        """Send the first INVITE and do not wait.

        Args:
            number: The user part of the Request-URI.
            offer: Another session description than the plain one.
            late: Send none: the bridge is to offer.
            headers: Further headers.
            copies: How many times at once.

        Returns:
            The request.
        """
        transport = ";transport=tcp" if self.transport == "tcp" else ""
        self._to_uri = f"sip:{number}@{self.bridge[0]}:{self.bridge[1]}{transport}"
        body = "" if late else (offer or self.offer()).pack()
        message = self.build("INVITE", body=body, headers=headers)
        return self.send(message, copies=copies)

    def acknowledge_final(self, request: Request, response: Message, *, body: str = "") -> None:
        """Send the ACK for a final response.

        Args:
            request: The INVITE.
            response: What it got.
            body: The answer, after a late offer.
        """
        if response.status < 300:
            message = self.build("ACK", cseq=request.message.cseq, body=body)
        else:
            # The ACK of a failure belongs to the INVITE's transaction (RFC 3261, 17.1.1.3).
            message = self.build(
                "ACK",
                uri=request.message.start.split()[1],
                cseq=request.message.cseq,
                branch=request.message.branch,
            )
            to = next(i for i, (key, _) in enumerate(message.headers) if key == "To")
            message.headers[to] = ("To", response.get("To"))
        self.send_bytes(message.pack())
        self.acknowledged_at = time.monotonic()

    def dial(
        self,
        number: str,
        *,
        timeout: float = PATIENCE,
        late: bool = False,
        offer: Sdp | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Self:
        """Call, wait for 200, acknowledge, and start the sound.

        Args:
            number: The number to dial.
            timeout: For the final response [s].
            late: Let the bridge offer.
            offer: Another session description than the plain one.
            headers: Further headers.

        Returns:
            The phone itself.

        Raises:
            CallRefusedError: The bridge answered something else.
        """
        answer = self.try_to_dial(number, timeout=timeout, late=late, offer=offer, headers=headers)
        if answer.status != 200:
            raise CallRefusedError(answer.start)
        return self

    def try_to_dial(
        self,
        number: str,
        *,
        timeout: float = PATIENCE,
        late: bool = False,
        offer: Sdp | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Message:
        """Call and return the final response, whatever it is, acknowledged.

        Args:
            number: The number to dial.
            timeout: For the final response [s].
            late: Let the bridge offer.
            offer: Another session description than the plain one.
            headers: Further headers.

        Returns:
            The final response.
        """
        request = self.invite(number, late=late, offer=offer, headers=headers)
        answer = self.final(request, timeout)
        if answer.status in {401, 407} and self.credentials:
            self.acknowledge_final(request, answer)
            kind = "WWW-Authenticate" if answer.status == 401 else "Proxy-Authenticate"
            back = "Authorization" if answer.status == 401 else "Proxy-Authorization"
            uri = request.message.start.split()[1]
            value = authorise(answer.get(kind), "INVITE", uri, *self.credentials)
            request = self.invite(number, late=late, offer=offer, headers=((back, value), *headers))
            answer = self.final(request, timeout)
        if answer.status == 200:
            self.answered_at = next(at for at, item in request.responses if item is answer)
            self.take_answer(request, answer, late=late)
        elif answer.status >= 300:
            self.acknowledge_final(request, answer)
        return answer

    def take_answer(self, request: Request, answer: Message, *, late: bool = False) -> None:
        """Learn the dialog from a 200, acknowledge it, and send sound where it says.

        Args:
            request: The INVITE.
            answer: The 200.
            late: Whether the 200 holds the offer, so that the ACK answers.
        """
        self._learn(answer)
        self._follow(answer)
        if self.acknowledge:
            body = self.offer().pack() if late else ""
            self.acknowledge_final(request, answer, body=body)

    def _learn(self, answer: Message) -> None:
        self._remote_tag = parameter(answer.get("To"), "tag")
        contact = answer.get("Contact")
        if contact:
            self._target = uri_in(contact)
        routes = [part.strip() for value in answer.all("Record-Route") for part in value.split(",")]
        self._routes = list(reversed(routes))

    def _follow(self, answer: Message) -> None:
        if not answer.body:
            return
        self.peer = describe(answer.body)
        if self.peer.port:
            self.stream.start((self.peer.host, self.peer.port))

    def reinvite(self, *, late: bool = False, **changes: object) -> Message:
        """Send a re-INVITE, acknowledge what comes, follow its session description.

        Args:
            late: Without an offer.
            changes: Fields of `Sdp` that differ.

        Returns:
            The final response.
        """
        body = "" if late else self.offer(**changes).pack()
        request = self.send(self.build("INVITE", body=body))
        answer = self.final(request)
        reply = self.offer(**changes).pack() if late and answer.status == 200 else ""
        # Followed first: with the ACK the bridge may ask at once that media move on, and whoever
        # reads its request follows that while we would still go back to this.
        if answer.status == 200:
            self._follow(answer)
        self.acknowledge_final(request, answer, body=reply)
        return answer

    def hold(self, direction: str = "sendonly", *, old_way: bool = False) -> Message:
        """Put the bridge on hold.

        Args:
            direction: "sendonly" or "inactive".
            old_way: With `c=0.0.0.0` as before RFC 3264.

        Returns:
            The final response.
        """
        if old_way:  # noqa: SIM108 - a ternary would not fit
            answer = self.reinvite(host="0.0.0.0")  # noqa: S104 - the null address of RFC 2543
        else:
            answer = self.reinvite(direction=direction)
        self.stream.sending = False
        return answer

    def resume(self) -> Message:
        """Take the bridge back from hold.

        Returns:
            The final response.
        """
        answer = self.reinvite()
        self.stream.sending = True
        return answer

    def cancel(self, invite: Request, *, timeout: float = PATIENCE) -> Message:
        """Cancel an INVITE and acknowledge what comes of it.

        Args:
            invite: The INVITE, still without a final response.
            timeout: For both final responses [s].

        Returns:
            The INVITE's final response.
        """
        message = self.build(
            "CANCEL",
            uri=invite.message.start.split()[1],
            cseq=invite.message.cseq,
            branch=invite.message.branch,
        )
        self.final(self.send(message), timeout)
        answer = self.final(invite, timeout)
        if answer.status == 200:
            self._learn(answer)
        self.acknowledge_final(invite, answer)
        return answer

    def hang_up(self, *, timeout: float = PATIENCE) -> Message | None:
        """Say BYE.

        Args:
            timeout: For its response [s].

        Returns:
            The response; None where the call is over already.
        """
        if self.ended_by is not None or self._remote_tag is None:
            return None
        answer = self.ask("BYE", timeout=timeout)
        self._end("caller")
        return answer

    def vanish(self) -> None:
        """Be gone without a word: the BYE is lost, and nothing is answered any more."""
        self.stream.sending = False
        self._closed = True
        reactor().remove(self._sock)
        self._sock.close()

    def wait_end(self, timeout: float = PATIENCE) -> str:
        """Wait until the bridge hangs up.

        Args:
            timeout: After which it is a failure [s].

        Returns:
            Who ended it.
        """
        self.wait_for(lambda: self.ended_by is not None, timeout, "a BYE from the bridge")
        return str(self.ended_by)

    def _end(self, by: str) -> None:
        with self._changed:
            if self.ended_by is None:
                self.ended_by, self.ended_at = by, time.monotonic()
            self._changed.notify_all()
        self.stream.sending = False

    # -- what comes from the bridge -----------------------------------------------------------

    def _react(self, request: Request, message: Message) -> None:
        if message.method != "INVITE":
            return
        if 100 < message.status < 200 and "100rel" in message.get("Require"):
            self._learn(message)
            rack = f"{message.get('RSeq')} {message.get('CSeq')}"
            self.send(self.build("PRACK", headers=(("RAck", rack),)))
        # Every repeat of a final response is acknowledged again (RFC 3261, 13.2.2.4).
        if message.status >= 200 and request.finals() > 1 and self.acknowledge:
            self.acknowledge_final(request, message)

    def _answer(self, message: Message) -> None:
        method = message.method
        if method == "ACK":
            return
        status = self.answers.get(method, 200)
        if status is None:
            return
        headers = [("Via", via) for via in message.all("Via")]
        headers += [(name, message.get(name)) for name in ("From", "To", "Call-ID", "CSeq")]
        if self._local_tag not in message.get("To") and not parameter(message.get("To"), "tag"):
            headers[-3] = ("To", f"{message.get('To')};tag={self._local_tag}")
        headers.append(("Contact", self._contact()))
        body = ""
        if status == 200 and method in {"INVITE", "UPDATE"}:
            expires = message.get("Session-Expires")
            if expires:
                headers += [("Require", "timer"), ("Session-Expires", expires)]
            if message.body or method == "INVITE":
                body = self.offer().pack()
                headers.append(("Content-Type", "application/sdp"))
            if message.body:
                self._follow(message)
        phrase = {200: "OK", 481: "Call/Transaction Does Not Exist", 491: "Request Pending"}
        start = f"SIP/2.0 {status} {phrase.get(status, 'As told')}"
        self.send_bytes(Message(start, headers, body).pack(), self._source)
        if method == "BYE" and status == 200:
            self._end("bridge")

    # -- shortcuts to the sound ---------------------------------------------------------------

    def say(self, samples: Samples) -> float:
        """Queue sound; see `RtpStream.say`.

        Args:
            samples: int16, 8 kHz.

        Returns:
            When its first sample goes out at the earliest [s].
        """
        return self.stream.say(samples)

    def press(self, keys: str, how: Digits | None = None) -> float:
        """Queue keys as telephone-events and wait until they are sent.

        Args:
            keys: The keys.
            how: Lengths and faults.

        Returns:
            When the last key began at the earliest [s].
        """
        began = self.stream.press(keys, how)
        self.stream.drain()
        return began

    def press_by_info(self, keys: str, *, duration_ms: int = 120) -> list[int]:
        """Send keys by SIP INFO (`application/dtmf-relay`).

        Args:
            keys: The keys.
            duration_ms: As written in the body.

        Returns:
            The status of each.
        """
        return [
            self.ask(
                "INFO",
                body=f"Signal={key}\r\nDuration={duration_ms}\r\n",
                content_type="application/dtmf-relay",
            ).status
            for key in keys
        ]

    def recording(self, since: float = 0.0, until: float = float("inf")) -> Recording:
        """Return what was heard; see `RtpStream.recording`.

        Args:
            since: In seconds of the monotonic clock.
            until: The same.

        Returns:
            The recording.
        """
        return self.stream.recording(since, until)

    def close(self) -> None:
        """Hang up when still in a call, and close the sockets."""
        if not self._closed and self.ended_by is None:
            try:
                self.hang_up(timeout=2)
            except (TimeoutError, OSError):
                self._end("nobody")
        self.stream.close()
        if not self._closed:
            self._closed = True
            reactor().remove(self._sock)
            self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
