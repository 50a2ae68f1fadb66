"""What an administrator changes takes effect on the running bridge, at once and for calls."""

import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.rtp import Digits

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=40)


def test_number_conference_and_pin_made_by_the_command_serve_the_next_call(
    bridge: BridgeUnderTest,
) -> None:
    """404 before `number add`, answered after it; the new conference's PIN lets in."""
    number = "+12025550150"
    person = bridge.caller("before")
    assert person.try_to_dial(number).status == 404
    bridge.dialin("number", "add", number, "--language", "en")
    made = bridge.ask("conference", "add", "Board of the story", "--no-chimes")
    bridge.private |= set(made["pins"].values())
    bridge.caller("after").slip_in(number, made["pins"]["guest"])
    running = bridge.ask("status")["running_conferences"]
    assert [each["name"] for each in running] == ["Board of the story"]
    bridge.dialin("number", "disable", number)
    assert bridge.caller("disabled").try_to_dial(number).status == 480
    bridge.dialin("number", "remove", number)
    assert bridge.caller("removed").try_to_dial(number).status == 404
    # Whoever is in stays in.
    assert bridge.calls() == 1


def test_reset_pin_replaces_the_old_one(bridge: BridgeUnderTest) -> None:
    """After `pin reset` the old PIN is refused in the words for any stranger, the new one opens."""
    room = bridge.room("Reset")
    fresh = bridge.ask("pin", "reset", "Reset")
    pins = fresh["pins"]
    bridge.private |= set(pins.values())
    person = bridge.caller("old pin").dial(bridge.number)
    since = person.press(room.guest_pin, QUICK)
    person.hears("pin_not_recognised", since=since)
    since = person.press(pins["guest"], QUICK)
    person.hears("joining", since=since)


def test_capacity_changed_while_people_are_in_counts_for_the_next(bridge: BridgeUnderTest) -> None:
    """Nobody is thrown out, and nobody more comes in."""
    room = bridge.room("Shrinks")
    people = [bridge.caller(name) for name in ("one", "two", "three")]
    bridge.bring_in(room, *people)
    bridge.dialin("conference", "change", "Shrinks", "--capacity", "2")
    late = bridge.caller("late").dial(bridge.number)
    since = late.press(room.guest_pin, QUICK)
    late.hears("conference_full", since=since)
    assert bridge.people(room) == 3


def test_lists_are_masked_unless_revealed(bridge: BridgeUnderTest) -> None:
    """`cdr legs` shows two last digits, `--reveal` all of it, which the log notes."""
    person = bridge.caller("masked").dial(bridge.number)
    person.greeted()
    person.hang_up()
    bridge.leg_of(person)
    masked = bridge.ask("cdr", "legs", "--caller", person.caller)
    shown = bridge.ask("cdr", "legs", "--caller", person.caller, "--reveal")
    assert masked[0]["caller"] != person.caller
    assert masked[0]["caller"].endswith(person.caller[-2:])
    assert "*" in masked[0]["caller"]
    assert shown[0]["caller"] == person.caller
    assert any("revealed" in line["event"] for line in bridge.log())


def test_trace_holds_headers_and_neither_sound_nor_digits(bridge: BridgeUnderTest) -> None:
    """`trace --call` writes SIP and RTP headers into a file of mode 0600."""
    room = bridge.room("Traced")
    person = bridge.caller("traced").dial(bridge.number)
    person.greeted()
    call = bridge.operate("status")["running_calls"][0]["call"]
    traced = bridge.ask("trace", "--call", call)
    since = person.press(room.guest_pin, QUICK)
    person.hears("joining", since=since)
    assert set(person.press_by_info("12", duration_ms=80)) == {200}
    person.hang_up()
    file = bridge.folder / "traces" / os.path.basename(traced["file"])  # noqa: PTH119 - a name
    bridge.wait_until(lambda: "BYE" in file.read_text(), 10, "the BYE in the trace")
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "RTP" in text.upper()
    assert "Signal=1" not in text
    assert room.guest_pin not in text


def test_socket_is_for_administrators_only(bridge: BridgeUnderTest) -> None:
    """Mode and peer credentials: another user of the machine gets no answer to a question."""
    path = bridge.folder / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    if os.geteuid() != 0:
        pytest.skip("only root can try it as somebody else")
    # The folder is closed to others as well; the socket itself must refuse, so it is handed over.
    program = (
        "import os, socket, sys\n"
        "s = socket.socket(fileno=int(sys.argv[1]))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s.settimeout(5)\n"
        "try:\n"
        "    s.connect(sys.argv[2])\n"
        'except PermissionError:\n    print("refused by mode"); sys.exit()\n'
        's.sendall(b\'{"id": 1, "operation": "status", "arguments": {}}\\n\')\n'
        "print(s.recv(65536).decode())\n"
    )
    with socket.socket(socket.AF_UNIX) as sock:
        os.set_inheritable(sock.fileno(), True)  # noqa: FBT003 - its own signature
        finished = subprocess.run(
            [sys.executable, "-c", program, str(sock.fileno()), str(path)],
            pass_fds=(sock.fileno(),),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert "uptime_s" not in finished.stdout
    assert "refused" in finished.stdout or finished.stdout.strip() == "", finished.stderr


def test_doctor_and_lists_work_on_the_running_bridge(bridge: BridgeUnderTest) -> None:
    """Every list has `--json`; the doctor finds no fault but what the machine itself lacks."""
    for words in (
        ("number", "list"),
        ("conference", "list"),
        ("trunk", "list"),
        ("trunk", "rejected"),
        ("cdr", "sessions"),
        ("cdr", "legs"),
        ("cdr", "refused"),
        ("config", "show"),
        ("status",),
    ):
        assert bridge.ask(*words) is not None
    assert bridge.number in bridge.dialin("number", "list").stdout
    assert "calls" in bridge.dialin("status").stdout
    finished = bridge.dialin("doctor", "--json", code=None)
    assert '"fault"' not in finished.stdout, finished.stdout


def test_trunks_take_effect_at_once(bridge: BridgeUnderTest) -> None:
    """The first trunk ends the open door; by address, by digest; `rejected` tells whom.

    Last in this module: after it nobody may call from loopback as such.
    """
    room = bridge.room()
    carrier = bridge.caller("carrier", host="127.0.0.2", asserted="+12025550177")
    bridge.private.add("+12025550177")
    bridge.dialin("trunk", "add", "acme", "--address", "127.0.0.2/32")
    try:
        stranger = bridge.caller("stranger")
        request = stranger.invite(bridge.number)
        time.sleep(1.5)
        assert request.final() is None
        rejected = bridge.ask("trunk", "rejected")
        assert [row["source"] for row in rejected] == ["127.0.0.1"]
        assert "trunk add" in rejected[0]["admit_with"]
        carrier.slip_in(bridge.number, room.guest_pin)
        carrier.hang_up()
        bridge.wait_until(
            lambda: any(
                leg["trunk"] == "acme" and leg["caller_asserted"] and leg["ended_at"]
                for leg in bridge.ask("cdr", "legs")
            ),
            10,
            "the carrier's call in the records",
        )
        bridge.operate(
            "trunk.add",
            name="by-digest",
            digest_user="bridge",
            digest_realm="bridge.test",
            digest_password="long secret 27",
        )
        bridge.private.add("long secret 27")
        wrong = bridge.caller("wrong", credentials=("bridge", "not it"))
        assert wrong.try_to_dial(bridge.number).status in {401, 403}
        right = bridge.caller("right", credentials=("bridge", "long secret 27"))
        right.dial(bridge.number)
        right.greeted()
        right.hang_up()
    finally:
        for row in bridge.ask("trunk", "list"):
            bridge.dialin("trunk", "remove", row["name"])
    bridge.caller("open again").slip_in(bridge.number, room.guest_pin)
