"""What every test stands on: only loopback answers, and no test is failed for being slow."""

import ipaddress
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The events of PEP 578 that carry an address or a host name to be reached.
_TO_ADDRESS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_TO_NAME = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex"})


class BeyondLoopbackError(RuntimeError):
    """A test tried to reach something that is not on this machine's loopback."""


def pytest_configure() -> None:
    """Refuse every address and host name that is not loopback, for the whole run."""
    sys.addaudithook(_refuse_beyond_loopback)
    # The machines are shared: an example that takes long says nothing about the code.
    settings.register_profile(
        "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: short ones fill what is left of the time."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


def _refuse_beyond_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    # A hook cannot be taken out again and sees every event of the interpreter: leave early.
    if event in _TO_ADDRESS:
        address = arguments[1]
        # Unix sockets have str or bytes addresses, a connected socket's sendmsg has None.
        if isinstance(address, tuple) and not _is_loopback(address[0]):
            raise BeyondLoopbackError(
                f"{event} to {address[0]}: tests talk to 127.0.0.0/8 and ::1 only"
            )
    elif event in _TO_NAME and not _is_local_name(arguments[0]):
        raise BeyondLoopbackError(f"{event} of {arguments[0]!r}: tests ask no name server")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local_name(host: str | bytes | None) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not host or host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    # A numeric address needs no name server; reaching it is judged by the events above.
    return True
