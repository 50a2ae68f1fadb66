"""SIP messages as plain text, built and read by hand (RFC 3261, 7).

The test phone must be able to say what no library would let it say, so nothing here checks
anything: `Message.pack` writes the headers it was given in the order it was given them.
"""

import hashlib
import random
import string
from dataclasses import dataclass, field

__all__ = ["Message", "Sdp", "authorise", "parameter", "take_messages", "token", "uri_in"]

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
}


def token(length: int = 10) -> str:
    """Return a random token for tags, branches and Call-IDs.

    Args:
        length: Characters.

    Returns:
        Lower-case letters and digits.
    """
    letters = string.ascii_lowercase + string.digits
    return "".join(random.choices(letters, k=length))


def parameter(value: str, name: str) -> str | None:
    """Return a header parameter such as `tag`.

    Args:
        value: The header's value.
        name: The parameter.

    Returns:
        Its value, None where it is missing.
    """
    for part in value.rpartition(">")[2].split(";")[1:] if ">" in value else value.split(";")[1:]:
        key, _, found = part.strip().partition("=")
        if key.lower() == name:
            return found.strip('"')
    return None


def uri_in(value: str) -> str:
    """Return the URI of a From, To or Contact header.

    Args:
        value: The header's value.

    Returns:
        The URI without angle brackets.
    """
    if "<" in value:
        return value.partition("<")[2].partition(">")[0]
    return value.split(";", maxsplit=1)[0].strip()


@dataclass
class Message:
    """A request or a response.

    Attributes:
        start: The first line.
        headers: Names and values in order.
        body: What follows.
    """

    start: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    @property
    def is_response(self) -> bool:
        """Whether it starts with a status line."""
        return self.start.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """The status code; 0 for a request."""
        return int(self.start.split()[1]) if self.is_response else 0

    @property
    def method(self) -> str:
        """The method: of a response, the one it answers."""
        if self.is_response:
            return self.get("CSeq").rpartition(" ")[2]
        return self.start.split()[0]

    def get(self, name: str, default: str = "") -> str:
        """Return the first header of a name.

        Args:
            name: In any case.
            default: Where there is none.

        Returns:
            Its value.
        """
        return next(iter(self.all(name)), default)

    def all(self, name: str) -> list[str]:
        """Return every header of a name.

        Args:
            name: In any case.

        Returns:
            Their values in order.
        """
        wanted = name.lower()
        return [
            value for key, value in self.headers if _COMPACT.get(key.lower(), key.lower()) == wanted
        ]

    @property
    def cseq(self) -> int:
        """The sequence number."""
        return int(self.get("CSeq", "0").split()[0])

    @property
    def branch(self) -> str:
        """The branch of the topmost Via."""
        return parameter(self.get("Via"), "branch") or ""

    def pack(self) -> bytes:
        """Return the bytes, with a right Content-Length unless one was given."""
        headers = list(self.headers)
        body = self.body.encode()
        if not any(key.lower() in {"content-length", "l"} for key, _ in headers):
            headers.append(("Content-Length", str(len(body))))
        lines = [self.start, *(f"{key}: {value}" for key, value in headers), "", ""]
        return "\r\n".join(lines).encode() + body

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        """Read a whole message.

        Args:
            data: From the start line to the end of the body.

        Returns:
            The message; folded headers are not understood.
        """
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode(errors="replace").split("\r\n")
        headers: list[tuple[str, str]] = []
        for line in lines[1:]:
            key, _, value = line.partition(":")
            headers.append((key.strip(), value.strip()))
        return cls(lines[0], headers, body.decode(errors="replace"))


def take_messages(buffer: bytearray) -> list[Message]:
    """Take the whole messages off the front of a TCP stream (RFC 3261, 18.3).

    Args:
        buffer: What came in; what was taken is removed.

    Returns:
        The messages.
    """
    found: list[Message] = []
    while True:
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return found
        head = Message.parse(bytes(buffer[: end + 4]))
        length = int(head.get("Content-Length", "0"))
        if len(buffer) < end + 4 + length:
            return found
        found.append(Message.parse(bytes(buffer[: end + 4 + length])))
        del buffer[: end + 4 + length]


@dataclass(frozen=True)
class Sdp:
    """What a phone offers or answers (RFC 8866, RFC 3264).

    Attributes:
        host: The address in `c=`.
        port: The port in `m=`.
        payload_types: In order of preference.
        event_type: Payload type of telephone-event; None leaves it out.
        ptime_ms: `a=ptime`; None leaves it out.
        max_ptime_ms: `a=maxptime`; None leaves it out.
        direction: `a=sendrecv` and its like.
        version: Of the origin line; grows with each offer.
        extra: Lines at the end, for what a test makes up.
    """

    host: str
    port: int
    payload_types: tuple[int, ...] = (0, 8)
    event_type: int | None = 101
    ptime_ms: int | None = 20
    max_ptime_ms: int | None = None
    direction: str = "sendrecv"
    version: int = 1
    extra: tuple[str, ...] = ()

    def pack(self) -> str:
        """Return the session description."""
        names = {0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 13: "CN"}
        types = [*self.payload_types]
        if self.event_type is not None:
            types.append(self.event_type)
        lines = [
            "v=0",
            f"o=phone 4711 {self.version} IN IP4 {self.host}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {' '.join(map(str, types))}",
        ]
        lines += [f"a=rtpmap:{kind} {names[kind]}/8000" for kind in self.payload_types]
        if self.event_type is not None:
            lines.append(f"a=rtpmap:{self.event_type} telephone-event/8000")
            lines.append(f"a=fmtp:{self.event_type} 0-15")
        if self.ptime_ms is not None:
            lines.append(f"a=ptime:{self.ptime_ms}")
        if self.max_ptime_ms is not None:
            lines.append(f"a=maxptime:{self.max_ptime_ms}")
        lines += [f"a={self.direction}", *self.extra]
        return "\r\n".join(lines) + "\r\n"


@dataclass(frozen=True)
class Described:
    """What matters of the peer's session description.

    Attributes:
        host: Of `c=` (the media line's before the session's).
        port: Of the first audio line; 0 where it was declined.
        payload_types: Of that line.
        direction: `sendrecv` where nothing was said.
        event_type: Payload type of telephone-event.
        ports: The ports of all media lines in order.
    """

    host: str
    port: int
    payload_types: tuple[int, ...]
    direction: str
    event_type: int | None
    ports: tuple[int, ...]


def describe(body: str) -> Described:
    """Read a session description.

    Args:
        body: Of an answer or an offer.

    Returns:
        Its first audio line, and all ports.
    """
    host, port, direction = "", 0, "sendrecv"
    types: tuple[int, ...] = ()
    event: int | None = None
    ports: list[int] = []
    audio = False
    for line in body.splitlines():
        kind, _, value = line.partition("=")
        if kind == "m":
            words = value.split()
            audio = words[0] == "audio" and not any(ports)
            ports.append(int(words[1]))
            if audio:
                port = int(words[1])
                types = tuple(int(word) for word in words[3:])
        elif kind == "c" and (audio or not ports):
            host = value.split()[-1]
        elif kind == "a" and (audio or not ports):
            if value in {"sendrecv", "sendonly", "recvonly", "inactive"}:
                direction = value
            elif value.startswith("rtpmap:") and "telephone-event" in value:
                event = int(value.removeprefix("rtpmap:").split()[0])
    return Described(host, port, types, direction, event, tuple(ports))


def authorise(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """Answer a digest challenge (RFC 2617, with or without qop=auth).

    Args:
        challenge: The `WWW-Authenticate` or `Proxy-Authenticate` value.
        method: Of the request.
        uri: Of the request.
        user: The user name.
        password: The password.

    Returns:
        The value of the `Authorization` header.
    """

    def digest(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - what the RFC says

    fields: dict[str, str] = {}
    for part in challenge.partition(" ")[2].split(","):
        key, _, value = part.strip().partition("=")
        fields[key.lower()] = value.strip('"')
    realm, nonce = fields["realm"], fields["nonce"]
    first = digest(f"{user}:{realm}:{password}")
    second = digest(f"{method}:{uri}")
    line = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if "auth" in fields.get("qop", ""):
        cnonce = token()
        response = digest(f"{first}:{nonce}:00000001:{cnonce}:auth:{second}")
        line += f', qop=auth, nc=00000001, cnonce="{cnonce}"'
    else:
        response = digest(f"{first}:{nonce}:{second}")
    line += f', response="{response}", algorithm=MD5'
    if "opaque" in fields:
        line += f', opaque="{fields["opaque"]}"'
    return line
