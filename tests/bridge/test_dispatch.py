"""The dispatcher between calls and conferences."""

from __future__ import annotations

from bridge.dispatch import Dispatcher


def test_event_posted_while_another_is_handled_waits_for_its_end() -> None:
    """A delivery that posts another one is finished before the other begins."""
    order: list[str] = []
    dispatcher = Dispatcher(lambda _error: None)

    def first() -> None:
        order.append("first begins")
        dispatcher.post(lambda: order.append("second"))
        dispatcher.post(lambda: order.append("third"))
        order.append("first ends")

    dispatcher.post(first)
    assert order == ["first begins", "first ends", "second", "third"]


def test_fault_in_one_delivery_is_told_and_stops_no_other() -> None:
    """An exception goes to the observer; what waits behind it is delivered all the same."""
    faults: list[Exception] = []
    done: list[int] = []
    dispatcher = Dispatcher(faults.append)

    def broken() -> None:
        dispatcher.post(lambda: done.append(1))
        raise ValueError("broken on purpose")

    dispatcher.post(broken)
    dispatcher.post(lambda: done.append(2))
    assert [str(fault) for fault in faults] == ["broken on purpose"]
    assert done == [1, 2]
