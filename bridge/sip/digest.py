"""Digest authentication as a server (RFC 2617, RFC 7616 with MD5). Pure; time comes in.

PJSIP's own server side accepts any nonce. Here a nonce is ours (a time and an HMAC over it and the
source), lives for a minute, and each ``nc`` is taken once, unless it is the same request again
(same Via branch), which UDP repeats.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bridge.sip.messages import Digest
from bridge.sip.wire import Message

__all__ = ["Challenger", "Outcome", "credentials"]

_NONCE_LIFE_S = 60.0
_NONCES = 4096
_REALMS = 5
_FIELD = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')

Verdict = Literal["good", "wrong", "stale", "absent"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of checking a request.

    Attributes:
        verdict: ``good``; ``wrong`` (unknown user or wrong response); ``stale`` (right user, old
            or used nonce: challenge again); ``absent`` (no credentials for a realm of ours).
        digest: the credentials that were proved, for ``good``.
    """

    verdict: Verdict
    digest: Digest | None = None


def credentials(message: Message) -> list[dict[str, str]]:
    """Return the fields of each Digest credential in ``Authorization``."""
    found = []
    for value in message.all("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "digest":
            fields: dict[str, str] = {}
            for name, quoted, plain in _FIELD.findall(rest):
                fields.setdefault(name.lower(), plain or re.sub(r"\\(.)", r"\1", quoted))
            found.append(fields)
    return found


def _md5(text: str) -> str:
    # RFC 3261 phones speak MD5; the nonce's HMAC does not depend on it.
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


class Challenger:
    """Make challenges and check what comes back."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._used: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def challenges(
        self, digests: Iterable[Digest], source: str, now: float, *, stale: bool = False
    ) -> list[tuple[str, str]]:
        """Return the ``WWW-Authenticate`` headers of a 401, one for each realm."""
        realms = list(dict.fromkeys(item.realm for item in digests))[:_REALMS]
        nonce = self._nonce(source, now)
        tail = ", stale=true" if stale else ""
        return [
            (
                "WWW-Authenticate",
                f'Digest realm="{_quote(realm)}", nonce="{nonce}", algorithm=MD5, qop="auth"{tail}',
            )
            for realm in realms
        ]

    def check(
        self, message: Message, digests: Iterable[Digest], source: str, now: float
    ) -> Outcome:
        """Check a request's credentials against those that would admit it."""
        known = {(item.realm, item.user): item for item in digests}
        realms = {realm for realm, _ in known}
        offered = [item for item in credentials(message) if item.get("realm") in realms]
        if not offered:
            return Outcome("absent")
        outcome = Outcome("wrong")
        for fields in offered[:_REALMS]:
            digest = known.get((fields.get("realm", ""), fields.get("username", "")))
            # Without a user of that name the same work is done, against a key that fits nothing.
            right = self._proves(message, fields, digest.ha1 if digest else "0" * 32)
            if digest is None or not right:
                continue
            if self._fresh(message, fields, source, now):
                return Outcome("good", digest)
            outcome = Outcome("stale")
        return outcome

    def _proves(self, message: Message, fields: dict[str, str], ha1: str) -> bool:
        if fields.get("algorithm", "MD5").upper() != "MD5":
            return False
        uri, nonce = fields.get("uri", ""), fields.get("nonce", "")
        ha2 = _md5(f"{message.method}:{uri}")
        if fields.get("qop", "").lower() == "auth":
            middle = f"{nonce}:{fields.get('nc', '')}:{fields.get('cnonce', '')}:auth"
        else:
            middle = nonce
        expected = _md5(f"{ha1.lower()}:{middle}:{ha2}")
        return hmac.compare_digest(expected, _ascii(fields.get("response", "")))

    def _nonce(self, source: str, now: float) -> str:
        stamp = f"{int(now):x}"
        mark = hmac.new(self._secret, f"{stamp}:{source}".encode(), hashlib.sha256).hexdigest()[:32]
        return f"{stamp}.{mark}"

    def _fresh(self, message: Message, fields: dict[str, str], source: str, now: float) -> bool:
        nonce = fields.get("nonce", "")
        stamp = nonce.partition(".")[0]
        if not re.fullmatch(r"[0-9a-f]{1,12}", stamp):
            return False
        made = int(stamp, 16)
        if not hmac.compare_digest(self._nonce(source, made), _ascii(nonce)):
            return False
        if not made - 1 <= now <= made + _NONCE_LIFE_S:
            return False
        count = (
            int(fields.get("nc", "0"), 16)
            if re.fullmatch(r"[0-9a-fA-F]{1,8}", fields.get("nc", ""))
            else 0
        )
        key = f"{nonce}:{fields.get('cnonce', '')}"
        last, branch = self._used.get(key, (-1, ""))
        if count <= last and branch != message.branch:
            return False
        self._used[key] = (max(count, last), message.branch)
        self._used.move_to_end(key)
        while len(self._used) > _NONCES:
            self._used.popitem(last=False)
        return True


def _ascii(text: str) -> str:
    """Return text that hmac.compare_digest takes; what is not ASCII cannot be right anyway."""
    return text.lower().encode("ascii", "replace").decode("ascii")


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
