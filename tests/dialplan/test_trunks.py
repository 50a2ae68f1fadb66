"""Trunks as administrators add them: what could never work is refused, and nothing is changed."""

from __future__ import annotations

import pytest

from bridge.sip.messages import Rejection
from bridge.sip.trunks import admitting_line
from tests.support.office import Office


def add(office: Office, name: str, *options: str, password: str = "") -> str:
    """Add a trunk that must be taken, and return what was said."""
    said = office.dialin("trunk", "add", name, *options, stdin=f"{password}\n" if password else "")
    assert said.code == 0, said
    return said.out


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("--address", "192.0.2.300"), 2, "is wrong; allowed: an IPv4 address or network"),
    (("--address", "192.0.2.1/28"), 2, "Did you mean 192.0.2.0/28?"),
    (("--address", "2001:db8::1"), 2, "IPv4"),
    ((), 2, "admits nobody"),
    (("--address", "192.0.2.7", "--call-limit", "-1"), 2, "call limit -1 is wrong"),
    (("--address", "192.0.2.7", "--refuse-status", "200"), 2, "from 480 to 606"),
    (("--address", "192.0.2.7", "--register-user", "me"), 2, "something is missing"),
    (
        ("--address", "192.0.2.7", "--register", "sip.example.net:99999", "--register-user", "me"),
        2,
        "port from 1 to 65535",
    ),
    (
        ("--address", "192.0.2.7", "--register", "sip.example.net:0", "--register-user", "me"),
        2,
        "port from 1 to 65535",
    ),
    (
        ("--address", "192.0.2.7", "--register", "sip.example.net", "--register-user", 'a@b>c "x'),
        2,
        "register user",
    ),
    (("--address", "198.51.100.0/24"), 1, "belongs to trunk 'acme' already"),
    (("--digest-user", "pbx"), 1, "trunk 'acme' proves to be 'pbx' in the realm 'dialin' already"),
]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    REFUSED,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_trunk_that_could_not_work_is_refused(
    office: Office, options: tuple[str, ...], code: int, words: str
) -> None:
    """With what is allowed, and the database stays as it was."""
    add(office, "acme", "--address", "198.51.100.0/24", "--digest-user", "pbx", password="secret")
    before = office.contents()
    said = office.dialin("trunk", "add", "other", *options, stdin="secret\n")
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert office.contents() == before


@pytest.mark.parametrize("name", ["Acme", "1acme", "a" * 33, "acme-12345", "acme corp", ""])
def test_name_that_could_be_somebody_is_refused(office: Office, name: str) -> None:
    """Trunks are named in logs, where no number may stand."""
    said = office.dialin("trunk", "add", name, "--address", "192.0.2.7")
    assert said.code == 2
    assert "trunk name" in said.err


def test_second_trunk_of_a_name_is_refused(office: Office) -> None:
    """And the first one stays."""
    add(office, "acme", "--address", "192.0.2.7")
    said = office.dialin("trunk", "add", "acme", "--address", "192.0.2.8")
    assert said.code == 1
    assert "dialin trunk show acme" in said.err
    assert [row["addresses"] for row in office.ask("trunk", "list")] == [["192.0.2.7/32"]]


def test_address_given_twice_is_one_address(office: Office) -> None:
    """However it is written; the SIP room takes no network twice."""
    addresses = ("192.0.2.1", "192.0.2.1/32", "192.0.2.0/24", "192.0.2.1")
    add(office, "acme", *(word for each in addresses for word in ("--address", each)))
    shown = office.ask("trunk", "show", "acme")
    assert shown["addresses"] == ["192.0.2.1/32", "192.0.2.0/24"]


def test_same_user_in_another_realm_is_another_trunk(office: Office) -> None:
    """The realm is part of who it is (RFC 2617 section 3.2.1)."""
    add(office, "one", "--digest-user", "pbx", password="secret")
    add(office, "two", "--digest-user", "pbx", "--digest-realm", "elsewhere", password="secret")
    assert {row["digest_realm"] for row in office.ask("trunk", "list")} == {"dialin", "elsewhere"}


def test_secrets_are_shown_by_no_command(office: Office) -> None:
    """Neither the password nor what it is proved by."""
    add(office, "acme", "--digest-user", "pbx", password="open sesame 27")
    shown = office.dialin("trunk", "show", "acme", "--json").out
    shown += office.dialin("trunk", "list", "--json").out + office.dialin("trunk", "list").out
    assert "sesame" not in shown
    assert "ha1" not in shown


def test_line_that_would_admit_a_source_can_be_pasted(office: Office) -> None:
    """As `trunk rejected` shows it, with the name that the longest address makes."""
    rejection = Rejection("198.151.100.177", "unknown_source", "INVITE", "udp", 1, 0.0, 0.0)
    words = (admitting_line(rejection) or "").split()
    assert office.dialin(*words[1:]).code == 0
    assert office.ask("trunk", "list")[0]["addresses"] == ["198.151.100.177/32"]


def test_removed_trunk_is_gone(office: Office) -> None:
    """Its name and its address are free again."""
    add(office, "acme", "--address", "192.0.2.7")
    assert office.dialin("trunk", "remove", "acme").code == 0
    assert office.ask("trunk", "list") == []
    missing = office.dialin("trunk", "remove", "acme")
    assert missing.code == 1
    assert "there is no trunk 'acme'" in missing.err
    add(office, "acme", "--address", "192.0.2.7")
