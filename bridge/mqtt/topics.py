"""Topics: where each message is published, and what a topic that comes in is about.

=========================================== ======================================================
``dialin/NODE/status``                      whether the bridge is there; retained, the last will
``dialin/NODE/conference/ID/state``         a conference as it is; retained, cleared at its end
``dialin/NODE/conference/ID/EVENT``         an event, by its own word (`bridge.events.messages`)
``dialin/NODE/conference/ID/command``       what others want done
``dialin/NODE/reply/...``                   what came of it, where the command asked for a word
=========================================== ======================================================

ID is the conference's number. A reply goes below ``reply`` and nowhere else: whoever may publish
commands must not make the bridge publish where only the bridge may.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Topics"]

_CONFERENCE: Final = re.compile(r"[1-9][0-9]{0,17}")
_REPLY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}")


class Topics:
    """The topics of one bridge.

    Args:
        node: what it is called at the broker.
    """

    def __init__(self, node: str) -> None:
        self.root = f"dialin/{node}"
        self.status = f"{self.root}/status"
        self.commands = f"{self.root}/conference/+/command"
        self.states = f"{self.root}/conference/+/state"

    def of(self, conference: int, word: str) -> str:
        """Return the topic of a conference's events of one kind, its state or its commands."""
        return f"{self.root}/conference/{conference}/{word}"

    def reply(self, topic: str | None) -> str | None:
        """Return a topic that a reply may go to, none where it may not."""
        prefix = f"{self.root}/reply/"
        if topic is None or not topic.startswith(prefix):
            return None
        return topic if _REPLY.fullmatch(topic.removeprefix(prefix)) else None

    def parse(self, topic: str) -> tuple[int, str] | None:
        """Return the conference and the last word of a topic of ours, none for any other."""
        prefix = f"{self.root}/conference/"
        conference, slash, word = topic.removeprefix(prefix).partition("/")
        if not topic.startswith(prefix) or not slash or not _CONFERENCE.fullmatch(conference):
            return None
        return int(conference), word
