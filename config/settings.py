"""The settings: one frozen tree, read from TOML and overridden by the environment.

A file looks like this (every key is optional; ``dialin config keys`` lists them all)::

    data_dir = "/var/lib/dialin"

    [sip]
    port = 5060
    public_address = "192.0.2.10"

Each key may be overridden by an environment variable: ``DIALIN_`` and the key in capitals, with two
underscores between section and key (``DIALIN_SIP__PORT=5070``, ``DIALIN_DATA_DIR=/srv/dialin``).
What the command line says stands above both. An unknown key, an unknown ``DIALIN_`` variable or a
wrong value refuses to start, and the refusal names every fault at once, with file and line.

A file that does not end in a line break is refused too: it may have been cut short while it was
being written, and ``port = 50`` is a valid beginning of ``port = 5060``.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import tomllib
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from config import _kinds as kinds
from config._dial_out import DialOutSettings
from config._kinds import Kind, PortRange
from config._mqtt import MQTT_COMMANDS, MqttSettings
from config._sections import (
    LANGUAGES,
    AdminSettings,
    EntrySettings,
    KeySettings,
    LimitSettings,
    LogSettings,
    MediaSettings,
    MetricsSettings,
    PrivacySettings,
    RecordSettings,
    SipSettings,
)
from config._toml_lines import line_numbers
from config.errors import Fault, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "LANGUAGES",
    "MQTT_COMMANDS",
    "AdminSettings",
    "DialOutSettings",
    "EntrySettings",
    "Key",
    "KeySettings",
    "LimitSettings",
    "LogSettings",
    "MediaSettings",
    "MetricsSettings",
    "MqttSettings",
    "PortRange",
    "PrivacySettings",
    "RecordSettings",
    "Settings",
    "SipSettings",
    "keys",
    "load",
    "value",
]

ENVIRONMENT_PREFIX = "DIALIN_"
SYSTEM_FILE = Path("/etc/dialin/dialin.toml")
FILE_VARIABLE = "DIALIN_CONFIG"
"""Names the settings file where the command line does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; frozen, checked, paths absolute.

    ``origins`` says where each value that is not a default came from, by dotted key.
    """

    data_dir: Path = field(
        default=Path("data"),
        metadata={"kind": kinds.path(), "about": "folder of everything the bridge keeps"},
    )
    sip: SipSettings = field(default_factory=SipSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    entry: EntrySettings = field(default_factory=EntrySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    log: LogSettings = field(default_factory=LogSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    dial_out: DialOutSettings = field(default_factory=DialOutSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    @property
    def database_path(self) -> Path:
        """The main database."""
        return self.data_dir / "bridge.sqlite"

    @property
    def key_store_path(self) -> Path:
        """The key store, which ordinary backups leave out."""
        return self.privacy.key_store or self.data_dir / "keys.sqlite"

    @property
    def master_key_path(self) -> Path:
        """The master key's file, where it comes from one."""
        return self.privacy.master_key_file or self.data_dir / "master.key"

    @property
    def journal_path(self) -> Path:
        """The journal of records that wait for the database."""
        return (self.records.journal_dir or self.data_dir) / "records.journal"

    @property
    def admin_socket(self) -> Path:
        """The administration socket."""
        return self.admin.socket or self.data_dir / "admin.sock"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the settings, for whoever lists or documents them.

    Attributes:
        name: Dotted key.
        variable: The environment variable that overrides it.
        allowed: What is allowed.
        about: What it is for.
        default: Its default.
    """

    name: str
    variable: str
    allowed: str
    about: str
    default: object


def keys() -> Iterator[Key]:
    """List every key there is, in the order of the settings tree."""
    for name, (declared, kind) in _declared().items():
        yield Key(name, _variable(name), kind.allowed, declared.metadata["about"], declared.default)


def value(settings: Settings, name: str) -> object:
    """Return the effective value of the key ``name`` (dotted)."""
    found: object = settings
    for part in name.split("."):
        found = getattr(found, part)
    return found


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
) -> Settings:
    """Read, override and check the settings.

    Args:
        path: The settings file. Where it is not given: the one that ``DIALIN_CONFIG`` names, else
            ``/etc/dialin/dialin.toml`` if there is one, else none.
        environ: Environment variables; those of the process where not given.
        options: What the command line says, as text by dotted key.
        folder: What relative paths outside a file are relative to; the current folder where not
            given.

    Returns:
        The settings, with absolute paths.

    Raises:
        SettingsError: Something is wrong; it names every fault.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    reader = _Reader()
    file = path
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    if file is None and SYSTEM_FILE.exists():
        file = SYSTEM_FILE
    if file is not None:
        file = folder / file.expanduser()
        reader.read_file(file)
    reader.read_environment(environ, folder)
    for name, text in (options or {}).items():
        reader.read_text(name, text, f"option for {name}", folder)
    reader.check_together(environ)
    if reader.faults:
        raise SettingsError(reader.faults)
    return _tree(reader, file, folder)


def _sections() -> dict[str, type]:
    return {
        declared.name: cast("type", declared.default_factory)
        for declared in fields(Settings)
        if declared.default_factory is not MISSING and declared.name != "origins"
    }


@functools.cache
def _declared() -> dict[str, tuple[Field[Any], Kind[Any]]]:
    """Return the field and kind of every key, by dotted name."""
    found = {
        declared.name: (declared, declared.metadata["kind"])
        for declared in fields(Settings)
        if "kind" in declared.metadata
    }
    for section, cls in _sections().items():
        for declared in fields(cls):
            found[f"{section}.{declared.name}"] = (declared, declared.metadata["kind"])
    return found


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.replace(".", "__").upper()


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


class _Reader:
    """Gathers values, where they came from, and every fault on the way."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.faults: list[Fault] = []

    def read_file(self, file: Path) -> None:
        where = str(file)
        try:
            raw = file.read_bytes()
        except OSError as error:
            self.faults.append(Fault(where, "", f"cannot be read: {error.strerror}"))
            return
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self.faults.append(Fault(f"{where}:{line}", "", "is not UTF-8 text"))
            return
        if text and not text.endswith("\n"):
            self.faults.append(
                Fault(
                    f"{where}:{text.count(chr(10)) + 1}",
                    "",
                    "the last line has no line break: the file may have been cut short while it "
                    "was written; if it is complete, add one",
                )
            )
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._syntax_fault(where, text, str(error))
            return
        lines = line_numbers(text)
        for name, item in document.items():
            if name in _sections() and isinstance(item, dict):
                for key, inner in item.items():
                    self._accept_from_file(f"{name}.{key}", inner, where, lines, file.parent)
            else:
                self._accept_from_file(name, item, where, lines, file.parent)

    def _syntax_fault(self, where: str, text: str, message: str) -> None:
        match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
        what = message[: match.start()] if match else message
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        ending = "" if match and match[1] else ": the file ends in the middle of something"
        self.faults.append(Fault(f"{where}:{line}", "", f"is not TOML: {what}{ending}"))

    def _accept_from_file(
        self, name: str, item: object, file: str, lines: Mapping[str, int], folder: Path
    ) -> None:
        line = lines.get(name) or lines.get(name.partition(".")[0])
        where = f"{file}:{line}" if line else file
        if name in _sections():
            self.faults.append(Fault(where, name, f"is a section: write [{name}]"))
        elif name not in _declared():
            section, dot, _ = name.partition(".")
            if dot or not isinstance(item, dict):
                known = [key for key in _declared() if not dot or key.startswith(section + ".")]
                what = "there is no such key" + _suggestion(name, known)
            else:
                what = "there is no such section" + _suggestion(section, _sections())
            self.faults.append(Fault(where, name, what))
        else:
            self._accept(name, item, where, folder)

    def read_environment(self, environ: Mapping[str, str], folder: Path) -> None:
        known = {_variable(name): name for name in _declared()}
        # What is said elsewhere about secrets decides which variables hold them.
        secrets = {
            environ.get(_variable(name)) or self._get(name)
            for name in ("privacy.master_key_env", "mqtt.password_env")
        }
        for variable in sorted(environ):
            if not variable.startswith(ENVIRONMENT_PREFIX) or variable in {FILE_VARIABLE, *secrets}:
                continue
            name = known.get(variable)
            if name is None:
                self.faults.append(
                    Fault(
                        "environment",
                        variable,
                        "there is no such setting" + _suggestion(variable, known),
                    )
                )
            else:
                self.read_text(name, environ[variable], f"environment {variable}", folder)

    def read_text(self, name: str, text: str, where: str, folder: Path) -> None:
        if name not in _declared():
            self.faults.append(Fault(where, name, "there is no such key"))
            return
        self._accept(name, _declared()[name][1].read(text), where, folder)

    def _accept(self, name: str, item: object, where: str, folder: Path) -> None:
        _, kind = _declared()[name]
        try:
            accepted = kind.accept(item)
        except (ValueError, RuntimeError):  # RuntimeError: "~nobody" has no home folder
            self.faults.append(Fault(where, name, f"{item!r} is wrong; allowed: {kind.allowed}"))
            return
        self.values[name] = folder / accepted if isinstance(accepted, Path) else accepted
        self.origins[name] = where

    def _get(self, name: str) -> Any:  # noqa: ANN401 - as typed as the tree it fills
        return self.values.get(name, _declared()[name][0].default)

    def check_together(self, environ: Mapping[str, str]) -> None:
        """Check what two keys say together."""
        source = self._get("privacy.master_key")
        where = self.origins.get("privacy.master_key", "defaults")
        if source == "command" and self._get("privacy.master_key_command") is None:
            self.faults.append(
                Fault(where, "privacy.master_key", '"command" needs privacy.master_key_command')
            )
        variable = self._get("privacy.master_key_env")
        if source == "env" and not environ.get(variable):
            self.faults.append(
                Fault(where, "privacy.master_key", f'"env" needs the variable {variable}, not set')
            )
        for name, other in (
            ("mqtt.certificate_file", "mqtt.key_file"),
            ("mqtt.key_file", "mqtt.certificate_file"),
        ):
            if self._get(name) is not None and self._get(other) is None:
                self.faults.append(Fault(self.origins.get(name, ""), name, f"needs {other} too"))
        if "dial" in self._get("mqtt.commands") and self._get("mqtt.dial_key_file") is None:
            name = "mqtt.commands"
            what = '"dial" needs mqtt.dial_key_file: numbers are not sent as they are'
            self.faults.append(Fault(self.origins.get(name, "defaults"), name, what))
        given: dict[str, str] = {}
        mine = [name for name in _declared() if name.startswith("keys.")]
        # Those that the file moves last: it is their line that has to change.
        for name in sorted(mine, key=lambda name: name in self.origins):
            for pair in self._get(name).split():
                if pair in given:
                    what = f"has {pair}, which is {given[pair]} too; give one of them other keys"
                    self.faults.append(Fault(self.origins.get(name, "defaults"), name, what))
                given[pair] = name
        if self._get("entry.default_language") not in self._get("entry.languages"):
            name = "entry.default_language"
            self.faults.append(
                Fault(self.origins.get(name, "defaults"), name, "is not among entry.languages")
            )


def _tree(reader: _Reader, file: Path | None, folder: Path) -> Settings:
    arguments: dict[str, Any] = {}
    for section, cls in _sections().items():
        arguments[section] = cls(
            **{
                name.partition(".")[2]: item
                for name, item in reader.values.items()
                if name.startswith(section + ".")
            }
        )
    data_dir = reader.values.get("data_dir", Settings().data_dir)
    return Settings(
        data_dir=folder / data_dir,
        file=file,
        origins=MappingProxyType(dict(reader.origins)),
        **arguments,
    )
