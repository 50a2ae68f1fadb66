"""Who may call: trunks by address and by digest, silence for strangers, and a memory of refusals.

Pure: a request and a time come in, a decision goes out. Only requests outside a dialog are judged;
those inside one match their dialog (see :mod:`bridge.sip.gate`).

::

    source in a trunk's network ........ admit, as the longest prefix's trunk
    open admission, private source ..... admit, without a trunk
    no digest trunk .................... silence
    credentials right .................. admit, as their trunk
    too many from this source .......... silence
    otherwise .......................... challenge
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Literal

from bridge.sip.digest import Challenger
from bridge.sip.errors import SettingsError
from bridge.sip.messages import Digest, Rejection, Transport, Trunk
from bridge.sip.wire import Message

__all__ = ["Admission", "Decision", "RateLimit", "Rejections", "TrunkTable", "admitting_line"]

_PRIVATE = tuple(
    IPv4Network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)


class TrunkTable:
    """Trunks, looked up by source address and by credentials.

    Raises:
        SettingsError: two trunks share a name, a network or a user of one realm.
    """

    def __init__(self, trunks: Iterable[Trunk] = ()) -> None:
        self.trunks = tuple(trunks)
        self._by_name = {trunk.name: trunk for trunk in self.trunks}
        if len(self._by_name) != len(self.trunks):
            raise SettingsError("two trunks have the same name; names must be unique")
        networks: dict[IPv4Network, Trunk] = {}
        credentials: dict[tuple[str, str], Trunk] = {}
        for trunk in self.trunks:
            for network in trunk.addresses:
                if network in networks:
                    raise SettingsError(
                        f"the network {network} belongs to two trunks, {networks[network].name}"
                        f" and {trunk.name}; a source must say which trunk it is"
                    )
                networks[network] = trunk
            if trunk.digest is not None:
                key = (trunk.digest.realm, trunk.digest.user)
                if key in credentials:
                    raise SettingsError(
                        f"the trunks {credentials[key].name} and {trunk.name} have the same digest"
                        f" user in the realm {trunk.digest.realm}"
                    )
                credentials[key] = trunk
        self._networks = sorted(networks.items(), key=lambda item: -item[0].prefixlen)
        self._credentials = credentials
        self.digests: tuple[Digest, ...] = tuple(
            trunk.digest for trunk in self.trunks if trunk.digest is not None
        )

    def __len__(self) -> int:
        return len(self.trunks)

    def named(self, name: str | None) -> Trunk | None:
        """Return the trunk of a name, None without one."""
        return self._by_name.get(name) if name is not None else None

    def by_address(self, source: str) -> Trunk | None:
        """Return the trunk whose network holds ``source``, the longest prefix first."""
        try:
            address = IPv4Address(source)
        except AddressValueError:
            return None
        return next((trunk for network, trunk in self._networks if address in network), None)

    def by_digest(self, digest: Digest) -> Trunk | None:
        """Return the trunk of proved credentials."""
        return self._credentials.get((digest.realm, digest.user))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request outside a dialog.

    Attributes:
        action: ``admit``, ``silence`` (no answer at all) or ``challenge`` (401).
        trunk: the trunk that admits it, None for open admission.
        reason: why it was not admitted, a word of ``Rejection.reason``.
        headers: headers of the 401.
    """

    action: Literal["admit", "silence", "challenge"]
    trunk: Trunk | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class RateLimit:
    """A bucket of tokens per source, in bounded memory.

    Attributes:
        capacity: tokens of a full bucket.
        per_second: tokens that come back each second.
        sources: sources remembered; the one longest unused is forgotten first.
    """

    capacity: float = 60.0
    per_second: float = 2.0
    sources: int = 10_000
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, source: str, now: float, cost: float = 1.0) -> bool:
        """Take ``cost`` tokens of a source; False, and nothing taken, where it has not enough."""
        left, since = self._buckets.get(source, (self.capacity, now))
        left = min(self.capacity, left + max(now - since, 0.0) * self.per_second)
        enough = left >= cost
        self._buckets[source] = (left - cost if enough else left, now)
        self._buckets.move_to_end(source)
        while len(self._buckets) > self.sources:
            self._buckets.popitem(last=False)
        return enough

    def forgive(self, source: str) -> None:
        """Fill a source's bucket again."""
        self._buckets.pop(source, None)


class Rejections:
    """Refused sources with reason and count, kept for a day, in bounded memory.

    Sources seen once and sources seen again have room of their own: who sprays invented addresses
    fills the first, and a carrier whose address has changed, which tries again, is not among them.
    """

    KEPT_S = 24 * 3600.0
    ENTRIES = 1000
    """Of each kind; the one longest unseen is forgotten first."""

    def __init__(self) -> None:
        self._once: OrderedDict[tuple[str, str], Rejection] = OrderedDict()
        self._again: OrderedDict[tuple[str, str], Rejection] = OrderedDict()

    def add(
        self, source: str, reason: str, method: str, transport: Transport, wall_time: float
    ) -> None:
        """Count one refused request; ``wall_time`` is seconds since the epoch."""
        key = (source, reason)
        before = self._again.get(key) or self._once.get(key)
        if before is None:
            entry = Rejection(source, reason, method, transport, 1, wall_time, wall_time)
            entries = self._once
        else:
            entry = replace(
                before, method=method, transport=transport, count=before.count + 1, last=wall_time
            )
            entries = self._again
        entries[key] = entry
        entries.move_to_end(key)
        if entries is self._again:
            self._once.pop(key, None)
        while len(entries) > self.ENTRIES:
            entries.popitem(last=False)

    def restore(self, entries: list[Rejection], wall_time: float) -> None:
        """Remember what an earlier run refused in the last day; into an empty memory only."""
        for entry in sorted(entries, key=lambda item: item.last):
            if wall_time - entry.last <= self.KEPT_S:
                kept = self._again if entry.count > 1 else self._once
                kept[entry.source, entry.reason] = entry

    def forget(self, source: str, reason: str) -> None:
        """Take a refusal back: what it was for has been made good."""
        self._once.pop((source, reason), None)
        self._again.pop((source, reason), None)

    def list(self, wall_time: float) -> list[Rejection]:
        """Return what was refused in the last day, the latest first.

        Safe to call from another thread: one read of each kind, no writing. One that is seen again
        meanwhile may stand in both, and counts as what it is then.
        """
        once = list(self._once.items())
        entries = dict(once) | dict(list(self._again.items()))
        fresh = [item for item in entries.values() if wall_time - item.last <= self.KEPT_S]
        return sorted(fresh, key=lambda item: -item.last)

    def expire(self, wall_time: float) -> None:
        """Forget what is older than a day."""
        for entries in (self._once, self._again):
            for key, entry in list(entries.items()):
                if wall_time - entry.last <= self.KEPT_S:
                    break  # the order of the entries is that of their last time
                del entries[key]


def admitting_line(rejection: Rejection) -> str | None:
    """Return the command that would admit the source of a rejection, ready to be pasted.

    None where it had credentials that were wrong: those must be mended, and admitting its address
    would let it in without any.
    """
    if rejection.reason == "wrong_credentials":
        return None
    name = f"from-{rejection.source.replace('.', '-')}"
    return f"dialin trunk add {name} --address {rejection.source}"


class Admission:
    """Decide about requests outside dialogs."""

    WRONG_COST = 10.0

    def __init__(self, secret: bytes, *, open_to_private: bool) -> None:
        self.table = TrunkTable()
        self.open_to_private = open_to_private
        self.rejections = Rejections()
        self._challenger = Challenger(secret)
        self._limit = RateLimit()

    def trusts(self, source: str) -> bool:
        """Tell whether a source is admitted by its address alone."""
        return self.table.by_address(source) is not None or self._open_to(source)

    def challenges_strangers(self) -> bool:
        """Tell whether a stranger may prove itself; without that it gets silence."""
        return bool(self.table.digests)

    def _open_to(self, source: str) -> bool:
        if len(self.table) or not self.open_to_private:
            return False
        try:
            address = IPv4Address(source)
        except AddressValueError:
            return False
        return any(address in network for network in _PRIVATE)

    def decide(
        self, message: Message, source: str, transport: Transport, now: float, wall_time: float
    ) -> Decision:
        """Judge a request outside a dialog.

        Args:
            message: the request.
            source: IPv4 address it came from.
            transport: transport it came by.
            now: monotonic seconds.
            wall_time: seconds since the epoch, for the memory of refusals.
        """
        trunk = self.table.by_address(source)
        if trunk is not None or self._open_to(source):
            return Decision("admit", trunk)
        decision = self._decide_by_digest(message, source, now)
        if decision.action == "admit":
            # Phones are challenged before each request that they then prove: no refusal at all.
            self.rejections.forget(source, "challenged")
        elif decision.reason:
            self.rejections.add(source, decision.reason, message.method, transport, wall_time)
        return decision

    def _decide_by_digest(self, message: Message, source: str, now: float) -> Decision:
        digests = self.table.digests
        if not digests:
            return Decision("silence", reason="unknown_source")
        outcome = self._challenger.check(message, digests, source, now)
        if outcome.verdict == "good" and outcome.digest is not None:
            self._limit.forgive(source)
            return Decision("admit", self.table.by_digest(outcome.digest))
        cost = self.WRONG_COST if outcome.verdict == "wrong" else 1.0
        reason = {"wrong": "wrong_credentials", "absent": "challenged"}.get(outcome.verdict, "")
        # ACK has no answer and CANCEL cannot be challenged (RFC 3261 section 22.1).
        if message.method in ("ACK", "CANCEL") or not self._limit.take(source, now, cost):
            return Decision("silence", reason="rate_limited")
        stale = outcome.verdict == "stale"
        headers = self._challenger.challenges(digests, source, now, stale=stale)
        return Decision("challenge", reason=reason, headers=tuple(headers))
