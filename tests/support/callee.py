"""A phone that the bridge calls: it waits at a port, and learns the dialog from the INVITE."""

import socket
from typing import Any

from tests.support.caller import Caller
from tests.support.reactor import reactor
from tests.support.rtp import Address
from tests.support.sip_text import parameter, uri_in

__all__ = ["Callee"]


class Callee(Caller):
    """A phone with a person at it who is called.

    Args:
        bridge: Who calls.
        number: Theirs.
        port: Where the calls of the bridge go.
        answer: Status of the answer; None for none.
        options: As of `Caller`.
    """

    def __init__(
        self,
        bridge: Address,
        number: str,
        port: int,
        *,
        answer: int | None = 200,
        **options: Any,  # noqa: ANN401 - as of `Caller`
    ) -> None:
        self._port = port
        super().__init__(bridge, number, **options)
        self.answers["INVITE"] = answer

    def _open(self, host: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, self._port))
        sock.settimeout(0)
        reactor().add(sock, self._read)
        return sock

    def is_called(self, shown: str) -> None:
        """Wait for the INVITE, and learn the dialog from it.

        Args:
            shown: The number that the call must show.
        """
        self.wait_for(lambda: bool(self.requests_seen("INVITE")), 5.0, "an INVITE")
        self.answered_at, invite = self.requests_seen("INVITE")[0]
        assert f"sip:{self.caller}@" in invite.start
        assert f"sip:{shown}@" in invite.get("From")
        self.call_id = invite.get("Call-ID")
        self._remote_tag = parameter(invite.get("From"), "tag")
        self._target = uri_in(invite.get("Contact"))
