"""What can be wrong with a prompt.

DialplanError
└── PromptError          anything below
    ├── UnknownPhraseError   no such phrase or language: the caller's mistake
    ├── PhraseArgumentError  an argument is missing, superfluous or cannot be spoken
    ├── CatalogueError       a catalogue file is wrong
    └── AudioError           a recording is missing or unreadable
"""

from dialplan.errors import DialplanError

__all__ = [
    "AudioError",
    "CatalogueError",
    "PhraseArgumentError",
    "PromptError",
    "UnknownPhraseError",
]


class PromptError(DialplanError):
    """Something is wrong with a prompt, its text or its sound."""


class UnknownPhraseError(PromptError):
    """A phrase or a language was asked for that the catalogue does not have."""


class PhraseArgumentError(PromptError):
    """A phrase was given an argument that is missing, too many, or cannot be spoken."""


class CatalogueError(PromptError):
    """A catalogue file does not say what it has to."""


class AudioError(PromptError):
    """A recording is missing, unreadable, or not of the format that the bank needs."""
