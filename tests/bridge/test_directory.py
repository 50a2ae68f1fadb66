"""The directory: a database that holds what nothing can be built of stops no call."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bridge.directory import Directory
from tests.support.office import Office, new_folder


def test_trunks_that_clash_cost_the_later_one_alone(tmp_path: Path) -> None:
    """Two trunks of one network, as an edited database may hold: the rest is admitted."""
    office = Office(new_folder(tmp_path / "data"))
    for name, address in (("acme", "192.0.2.7"), ("beta", "192.0.2.8"), ("gamma", "192.0.2.9")):
        assert office.dialin("trunk", "add", name, "--address", address).code == 0
    database = sqlite3.connect(office.folder / "bridge.sqlite")
    with database:
        database.execute("""UPDATE trunk SET addresses = '["192.0.2.7/32"]' WHERE name = 'beta'""")
    database.close()
    with office.opened() as context:
        directory = Directory(context.database, context.vault, context.settings)
        directory.replace(directory.read())
        table = directory.trunk_table()
    admitted = {source: table.by_address(source) for source in ("192.0.2.7", "192.0.2.9")}
    assert {source: trunk and trunk.name for source, trunk in admitted.items()} == {
        "192.0.2.7": "acme",
        "192.0.2.9": "gamma",
    }
    beta = table.named("beta")
    assert beta is not None
    assert beta.addresses == ()


def test_only_trunk_that_cannot_be_used_keeps_the_door_shut(tmp_path: Path) -> None:
    """An empty table would let private networks call."""
    office = Office(new_folder(tmp_path / "data"))
    assert office.dialin("trunk", "add", "acme", "--address", "192.0.2.7").code == 0
    database = sqlite3.connect(office.folder / "bridge.sqlite")
    with database:
        database.execute("""UPDATE trunk SET addresses = '["nonsense"]'""")
    database.close()
    with office.opened() as context:
        directory = Directory(context.database, context.vault, context.settings)
        directory.replace(directory.read())
        assert len(directory.trunk_table()) == 1
