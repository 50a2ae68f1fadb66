"""Exceptions of the dial plan.

::

    DialplanError
    ├── UnexpectedEventError     an event that the state's table lacks; nothing was changed
    │   └── UnknownLegError      an event about a leg that the conference does not hold
    ├── PhraseError              a phrase with wrong arguments: our own misuse
    ├── NumberError              a telephone number that cannot be understood
    ├── PinError                 a PIN of a length that cannot be issued
    │   └── NoPinLeftError       every PIN of that length is taken
    ├── RulesError               conference rules that contradict themselves
    └── RefusedError             what an administrator asked for cannot be done

None of their messages holds a digit that a caller pressed, a number or a name.
"""

__all__ = [
    "DialplanError",
    "NoPinLeftError",
    "NumberError",
    "PhraseError",
    "PinError",
    "RefusedError",
    "RulesError",
    "UnexpectedEventError",
    "UnknownLegError",
]


class DialplanError(Exception):
    """Base of all errors of the dial plan.

    Attributes:
        hint: What an administrator can do about it; empty where the message says it.
        exit_code: What the `dialin` command ends with (`config.errors.ExitCode`): 2, a wrong value,
            where nothing else is said.
    """

    hint = ""
    exit_code = 2


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


class RefusedError(DialplanError):
    """What an administrator asked for cannot be done; nothing was changed.

    Args:
        message: What was wrong, expected and got.
        hint: What to do about it.
        exit_code: What the `dialin` command ends with.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
