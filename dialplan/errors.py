"""Exceptions of the dial plan.

::

    DialplanError
    ├── UnexpectedEventError     an event that the state's table lacks; nothing was changed
    │   └── UnknownLegError      an event about a leg that the conference does not hold
    ├── PhraseError              a phrase with wrong arguments: our own misuse
    ├── NumberError              a telephone number that cannot be understood
    ├── PinError                 a PIN of a length that cannot be issued
    │   └── NoPinLeftError       every PIN of that length is taken
    └── RulesError               conference rules that contradict themselves

None of their messages holds a digit that a caller pressed, a number or a name.
"""

__all__ = [
    "DialplanError",
    "NoPinLeftError",
    "NumberError",
    "PhraseError",
    "PinError",
    "RulesError",
    "UnexpectedEventError",
    "UnknownLegError",
]


class DialplanError(Exception):
    """Base of all errors of the dial plan."""


class UnexpectedEventError(DialplanError):
    """An event that the current state's table lacks; the object is as it was before.

    Args:
        machine: What got the event, `"call flow"` or `"conference"`.
        state: Name of the state that it was in.
        event: Name of the event's class; never its content.
    """

    def __init__(self, machine: str, state: str, event: str) -> None:
        self.machine = machine
        self.state = state
        self.event = event
        super().__init__(
            f"the {machine} has no transition for {event} in state {state}; nothing was changed"
        )


class UnknownLegError(UnexpectedEventError):
    """An event about a leg that the conference does not hold."""


class PhraseError(DialplanError):
    """A phrase was asked for with arguments that its catalogue entry does not take."""


class NumberError(DialplanError):
    """A telephone number that cannot be understood; the message masks it."""


class PinError(DialplanError):
    """A PIN of a length that cannot be issued."""


class NoPinLeftError(PinError):
    """Every PIN of the length asked for is taken."""


class RulesError(DialplanError):
    """Conference rules that contradict themselves."""
