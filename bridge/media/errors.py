"""What can go wrong at the media process's door, as seen from the control process.

::

    MediaError
    ├── PortsExhausted        no even/odd pair of UDP ports is free in the range
    ├── DescriptorsExhausted  the limit on open files leaves no room above 1024
    ├── MediaProcessEnded     the media process closed its end or died
    ├── ChannelFull           more commands wait than the channel's queue holds
    └── BankRejected          the prompt bank is not int16 samples at 8 kHz

Nothing in here is raised inside the tick: what is odd there has a counter
(`bridge.media.counters`).
"""

__all__ = [
    "BankRejected",
    "ChannelFull",
    "DescriptorsExhausted",
    "MediaError",
    "MediaProcessEnded",
    "PortsExhausted",
]


class MediaError(Exception):
    """The base of all errors of this package.

    Attributes:
        hint: what an administrator can do about it; empty where the message says it.
        exit_code: what the ``dialin`` command ends with.
    """

    hint = ""
    exit_code = 1


class PortsExhausted(MediaError):  # noqa: N818 - named for the condition, as socket errors are
    """No even/odd pair of UDP ports is free in the configured range."""


class DescriptorsExhausted(MediaError):  # noqa: N818 - named for the condition
    """The process may not open more files, or none numbered above 1024."""


class MediaProcessEnded(MediaError):  # noqa: N818 - an ending, which may have been asked for
    """The media process is gone; its legs need another one.

    Args:
        message: what was seen.
        exit_status: the process's exit status, negative for a signal, `None` when not yet reaped.
    """

    def __init__(self, message: str, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class ChannelFull(MediaError):  # noqa: N818 - named for the condition
    """The media process does not read its control socket and the bounded queue is full."""


class BankRejected(MediaError):  # noqa: N818 - named for what happened
    """The prompt bank handed over is not what the media process plays."""
