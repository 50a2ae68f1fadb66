"""The fork server: a media process that has imported everything, and is forked instead of run.

Started by `forks.Forks`. It has no thread but its main one and has made nothing but modules, so
that a fork of it is a media process that has just been started: state, sockets and random
generators are made in the child (`__main__.live`). It reads one thing, descriptors of the channels
of the processes that are wanted, and ends with the channel it reads them from.
"""

import contextlib
import gc
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from bridge.media import _libc

__all__ = ["NAME", "serve"]

NAME: Final = "dialin-forks"
"""What `ps` and `top` call it."""

ADOPTION_S: Final = 0.0005
"""Between two looks whether control has become the parent: it takes less than one."""


def serve(channel: socket.socket, live: Callable[[socket.socket], None]) -> None:
    """Fork media processes until control ends.

    Args:
        channel: our end of the socket pair: an octet and a descriptor for each process.
        live: runs a media process, given its control channel, to its end.
    """
    _libc.name_process(NAME)
    gc.collect()
    gc.freeze()  # a collection in a child would write to, so copy, every page it shares with us
    while True:
        try:
            word, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        except OSError:  # control was killed with an answer unread
            return
        if not word:
            return
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as control:
                _fork(channel, control, live)


def _fork(
    channel: socket.socket, control: socket.socket, live: Callable[[socket.socket], None]
) -> None:
    """Fork who forks the media process; return in the server alone."""
    if _hung_up(control):
        return  # nobody waits for it any more, or would reap it
    try:
        middle = os.fork()
    except OSError as error:
        # Control sees the end of the channel, and asks again in a moment.
        sys.stderr.write(f"media process not forked: {type(error).__name__}\n")
        sys.stderr.flush()
        return
    if not middle:
        _become(channel, control, live)
    os.waitpid(middle, 0)


def _become(
    channel: socket.socket, control: socket.socket, live: Callable[[socket.socket], None]
) -> NoReturn:
    """Fork the media process and go, so that it is an orphan, which control takes in; live as it.

    Neither of the two returns: the loop, and what is to be done at its end, are the server's.
    """
    status = 1
    try:
        middle = os.getpid()
        if not os.fork():
            channel.close()
            os.setpgid(0, 0)
            while os.getppid() == middle:
                time.sleep(ADOPTION_S)
            with contextlib.suppress(OSError):  # control has gone: `live` finds that out as well
                control.send(b"%d" % os.getpid())
            live(control)
        status = 0
    except BaseException as error:  # noqa: BLE001 - a fork may end by nothing but `_exit`
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _hung_up(control: socket.socket) -> bool:
    poll = select.poll()
    poll.register(control, 0)
    return bool(poll.poll(0))
