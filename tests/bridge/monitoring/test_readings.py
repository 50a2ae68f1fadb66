"""What is read when Prometheus asks."""

from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from bridge.media.messages import Heartbeat
from bridge.monitoring.readings import readings
from bridge.server import Bridge
from bridge.sip.messages import RegistrationChanged
from dialplan.rules import ConferenceRules
from tests.support.stage import Stage, perform


def read(bridge: Bridge) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample by name and label values."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in readings(bridge)
        for sample in family.samples
    }


def families(bridge: Bridge) -> list[Metric]:
    """Return the families."""
    return list(readings(bridge))


def test_calls_and_conferences_are_counted_from_the_door_to_the_end(tmp_path: Path) -> None:
    """Offered, answered, refused by reason, in rooms, waiting."""

    async def scene(stage: Stage) -> None:
        host, guest = stage.answer(stage.invite()), stage.answer(stage.invite())
        stage.invite(dialled=("2000",))
        stage.press(guest, stage.guest_pin)
        now = read(stage.bridge)
        assert now["dialin_calls_offered_total", ()] == 3
        assert now["dialin_calls_answered_total", ()] == 2
        assert now["dialin_calls_refused_total", ("unknown_number",)] == 1
        assert now["dialin_calls_refused_total", ("overload",)] == 0
        assert now["dialin_calls", ()] == 2
        assert now["dialin_conferences", ("gathering",)] == 1
        assert now["dialin_people", ("waiting",)] == 1
        assert now["dialin_pin_lookups_total", ("succeeded",)] == 1
        stage.press(host, stage.host_pin)
        now = read(stage.bridge)
        assert now["dialin_conferences", ("running",)] == 1
        assert now["dialin_conferences", ("gathering",)] == 0
        assert now["dialin_people", ("room",)] == 2
        assert now["dialin_ready", ()] == 1

    perform(tmp_path, scene, ConferenceRules(start="on_host"))


def test_each_media_process_tells_of_its_ticks(tmp_path: Path) -> None:
    """Share, times and jumps by process; one without a heartbeat has none, and is not up."""

    async def scene(stage: Stage) -> None:
        stage.media.posts[0].beat = Heartbeat(50, 3.0, 10.0, 21.0, 4, 2, 0, 7, 1)
        stage.media.posts[0].legs.update({1, 2, 3})
        now = read(stage.bridge)
        assert now["dialin_media_process_up", ("0",)] == 1
        assert now["dialin_media_process_up", ("1",)] == 0
        assert now["dialin_media_legs", ("0",)] == 3
        assert now["dialin_media_tick_share", ("0",)] == 0.5
        assert now["dialin_media_tick_seconds", ("0", "0.95")] == 0.01
        assert now["dialin_media_tick_seconds", ("0", "1")] == 0.021
        assert now["dialin_media_ticks_late_total", ("0",)] == 4
        assert now["dialin_media_ticks_jumped_total", ("0",)] == 2
        assert now["dialin_media_receive_overflow_total", ("0",)] == 7
        assert now["dialin_media_send_errors_total", ("0",)] == 1
        assert ("dialin_media_tick_share", ("1",)) not in now

    perform(tmp_path, scene)


def test_room_for_tcp_registrations_and_records_are_told(tmp_path: Path) -> None:
    """What an operator is alerted for, without the name of a trunk."""

    async def scene(stage: Stage) -> None:
        stage.bridge.registrations["acme"] = RegistrationChanged("acme", "refused", 403, None)
        now = read(stage.bridge)
        assert now["dialin_sip_tcp_connections", ()] == 3
        assert now["dialin_sip_tcp_limit", ()] == 1000
        assert now["dialin_sip_tcp_refused_total", ("source",)] == 2
        assert now["dialin_registrations", ("refused",)] == 1
        assert now["dialin_registrations", ("registered",)] == 0
        assert now["dialin_records_to", ("database",)] == 1
        assert now["dialin_records_to", ("memory",)] == 0
        assert now["dialin_records_waiting", ()] == 0

    perform(tmp_path, scene)


def test_no_label_is_about_anybody(tmp_path: Path) -> None:
    """Numbers, conferences, trunks, calls and PINs are in no name, label or text of a metric."""

    async def scene(stage: Stage) -> None:
        stage.bridge.registrations["acme"] = RegistrationChanged("acme", "registered", 200, 60)
        leg = stage.answer(stage.invite(trunk="acme", asserted="+46701740605"))
        stage.press(leg, stage.guest_pin)
        for family in families(stage.bridge):
            for sample in family.samples:
                assert set(sample.labels) <= {
                    *("event", "outcome", "place", "process", "quantile", "reason", "state"),
                    *("version", "what"),
                }
                for label in sample.labels.values():
                    assert label not in {"demo", "1000", "acme", stage.guest_pin}
                    assert "46701740605" not in label

    perform(tmp_path, scene)


def test_every_family_explains_itself_and_comes_once(tmp_path: Path) -> None:
    """A help text each; the two halves of the page share no name."""

    async def scene(stage: Stage) -> None:
        found: list[Any] = [
            *stage.bridge.meters.registry.collect(),
            *families(stage.bridge),
        ]
        names = [family.name for family in found]
        assert len(names) == len(set(names))
        assert all(family.documentation.endswith(".") for family in found)

    perform(tmp_path, scene)
