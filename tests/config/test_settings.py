"""Settings: what is read, what overrides what, and what is refused, with file, line and key."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ExitCode, SettingsError
from config.settings import PortRange, Settings, keys, load, value
from dialplan.keypad import KEY_MAP, key_map


def read(
    folder: Path,
    text: str,
    environ: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Settings:
    """Load the settings from a file that holds `text`."""
    file = folder / "dialin.toml"
    file.write_bytes(text.encode())
    return load(file, environ or {}, options, folder=folder)


def faults(
    folder: Path, text: str, environ: dict[str, str] | None = None
) -> list[tuple[str, str, str]]:
    """Return place (without the folder), key and text of every fault that a file is refused for."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text, environ)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "Nothing was started or changed" in caught.value.hint
    found = caught.value.faults
    assert all(str(fault) in str(caught.value) for fault in found)
    return [(each.where.removeprefix(f"{folder}/"), each.key, each.what) for each in found]


def test_defaults_stand_where_nothing_is_said(tmp_path: Path) -> None:
    """Without file and variables every key has its default, and paths are absolute."""
    settings = load(None, {}, folder=tmp_path)
    for key in keys():
        if key.name != "data_dir":
            assert value(settings, key.name) == key.default
    assert settings.data_dir == tmp_path / "data"
    assert settings.database_path == tmp_path / "data" / "bridge.sqlite"
    assert settings.origins == {}


def test_file_variable_and_option_override_in_this_order(tmp_path: Path) -> None:
    """What the command line says stands above the environment, and that above the file."""
    text = "[sip]\nport = 5070\nmax_tcp = 7\nuser_agent = 'file'\n"
    environ = {"DIALIN_SIP__MAX_TCP": "8", "DIALIN_SIP__USER_AGENT": "variable"}
    settings = read(tmp_path, text, environ, {"sip.user_agent": "option"})
    assert (settings.sip.port, settings.sip.max_tcp) == (5070, 8)
    assert settings.sip.user_agent == "option"
    assert settings.origins["sip.port"] == f"{tmp_path}/dialin.toml:2"
    assert settings.origins["sip.max_tcp"] == "environment DIALIN_SIP__MAX_TCP"
    assert settings.origins["sip.user_agent"] == "option for sip.user_agent"


def test_file_is_found_by_its_variable(tmp_path: Path) -> None:
    """DIALIN_CONFIG names the file where the command line does not."""
    (tmp_path / "other.toml").write_text("[limits]\ncalls = 12\n")
    settings = load(None, {"DIALIN_CONFIG": "other.toml"}, folder=tmp_path)
    assert settings.limits.calls == 12
    assert settings.file == tmp_path / "other.toml"


def test_paths_are_relative_to_what_names_them(tmp_path: Path) -> None:
    """A path in the file is relative to the file's folder, one in a variable to the current one."""
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "dialin.toml"
    file.write_text('data_dir = "store"\n')
    environ = {"DIALIN_PRIVACY__KEY_STORE": "keys/k.sqlite"}
    settings = load(file, environ, folder=tmp_path)
    assert settings.data_dir == tmp_path / "etc" / "store"
    assert settings.key_store_path == tmp_path / "keys" / "k.sqlite"


def test_every_kind_of_value_is_taken_from_the_environment(tmp_path: Path) -> None:
    """Text of a variable becomes the type of its key."""
    environ = {
        "DIALIN_SIP__TCP": "no",
        "DIALIN_SIP__TCP_IDLE_S": "12.5",
        "DIALIN_SIP__PUBLIC_ADDRESS": "192.0.2.10",
        "DIALIN_MEDIA__RTP_PORTS": "20000-20099",
        "DIALIN_ENTRY__LANGUAGES": "sv, en",
        "DIALIN_ENTRY__PIN_LENGTH": "12",
        "DIALIN_ENTRY__DEFAULT_REGION": "SE",
    }
    settings = load(None, environ, folder=tmp_path)
    assert settings.sip.tcp is False
    assert settings.sip.tcp_idle_s == 12.5
    assert settings.sip.public_address == "192.0.2.10"
    assert settings.media.rtp_ports == PortRange(20000, 20099)
    assert settings.entry.languages == ("sv", "en")
    assert settings.entry.pin_length == 12
    assert settings.entry.default_region == "SE"


def test_unknown_key_names_file_line_and_the_likely_one(tmp_path: Path) -> None:
    """A key that is not there is refused, never ignored."""
    found = faults(tmp_path, "[sip]\nport = 5060\npublic_adress = '192.0.2.1'\n")
    assert found == [
        (
            "dialin.toml:3",
            "sip.public_adress",
            "there is no such key; did you mean sip.public_address?",
        )
    ]


@pytest.mark.parametrize(
    ("text", "where", "key", "what"),
    [
        ("[spi]\nport = 1\n", "dialin.toml:1", "spi", "no such section; did you mean sip?"),
        ("sip = 5\n", "dialin.toml:1", "sip", "is a section: write [sip]"),
        ("port = 5060\n", "dialin.toml:1", "port", "there is no such key"),
        ("[sip]\nport = '5060'\n", "dialin.toml:2", "sip.port", "a whole number from 0 to 65535"),
        ("[sip]\nport = true\n", "dialin.toml:2", "sip.port", "a whole number"),
        ("[sip]\nport = 65536\n", "dialin.toml:2", "sip.port", "65536 is wrong"),
        ("[sip]\ntcp = 1\n", "dialin.toml:2", "sip.tcp", "allowed: true or false"),
        ("[sip]\nbind_ip = '::1'\n", "dialin.toml:2", "sip.bind_ip", "an IPv4 address"),
        ('[sip]\nuser_agent = "a\\tb"\n', "dialin.toml:2", "sip.user_agent", "one line of text"),
        ("[media]\nrtp_ports = '20000-20003'\n", "dialin.toml:2", "media.rtp_ports", "at least 16"),
        ("[media]\nrtp_ports = '80-900'\n", "dialin.toml:2", "media.rtp_ports", "1024 to 65535"),
        ("[entry]\npin_length = 7\n", "dialin.toml:2", "entry.pin_length", "one of 0, 6, 8, 9"),
        ("[entry]\nlanguages = []\n", "dialin.toml:2", "entry.languages", 'a list of "en", "sv"'),
        ("[entry]\nlanguages = ['en', 'en']\n", "dialin.toml:2", "entry.languages", "a list"),
        ("[log]\nlevel = 'loud'\n", "dialin.toml:2", "log.level", '"warning"'),
        ("data_dir = ''\n", "dialin.toml:1", "data_dir", "a path"),
        (
            "[entry]\nlanguages = ['sv']\n",
            "defaults",
            "entry.default_language",
            "is not among entry.languages",
        ),
        (
            "[privacy]\nmaster_key = 'command'\n",
            "dialin.toml:2",
            "privacy.master_key",
            "needs privacy.master_key_command",
        ),
        (
            "[privacy]\nmaster_key = 'env'\n",
            "dialin.toml:2",
            "privacy.master_key",
            "DIALIN_MASTER_KEY, not set",
        ),
    ],
)
def test_wrong_value_names_file_line_key_and_what_is_allowed(
    text: str, where: str, key: str, what: str, tmp_path: Path
) -> None:
    """The refusal can be acted upon without looking anything up."""
    ((found_where, found_key, found_what),) = faults(tmp_path, text)
    assert (found_where, found_key) == (where, key)
    assert what in found_what


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Who mends one fault does not find the next one only then."""
    environ = {"DIALIN_SIP__PROT": "1", "DIALIN_LIMITS__CALLS": "many"}
    found = faults(tmp_path, "[sip]\nport = -1\ntpc = true\n[limit]\ncalls = 1\n", environ)
    assert [(where, key) for where, key, _ in found] == [
        ("dialin.toml:2", "sip.port"),
        ("dialin.toml:3", "sip.tpc"),
        ("dialin.toml:4", "limit"),
        ("environment DIALIN_LIMITS__CALLS", "limits.calls"),
        ("environment", "DIALIN_SIP__PROT"),
    ]
    assert "did you mean DIALIN_SIP__PORT?" in found[-1][2]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[sip]\nport = 50", "dialin.toml:2", "cut short while it was written"),
        ("[sip]\nport =\n", "dialin.toml:2", "is not TOML"),
        ('[sip]\nuser_agent = """never\nended\n', "dialin.toml:4", "ends in the middle"),
        ("[sip\n", "dialin.toml:1", "is not TOML"),
        ("[sip]\nport = 1\nport = 2\n", "dialin.toml:3", "is not TOML"),
    ],
)
def test_half_written_file_is_refused_at_its_line(
    text: str, where: str, what: str, tmp_path: Path
) -> None:
    """A file that was cut short must not be taken for a shorter one."""
    found = faults(tmp_path, text)
    assert found[0][:2] == (where, "")
    assert what in found[0][2]


def test_cut_short_inside_a_number_is_not_taken_for_a_smaller_number(tmp_path: Path) -> None:
    """`port = 50` is a valid beginning of `port = 5060`: every cut is refused or whole."""
    whole = "[sip]\nport = 5060\n[log]\nlevel = 'debug'\n"
    for end in range(1, len(whole)):
        try:
            settings = read(tmp_path, whole[:end])
        except SettingsError:
            continue
        assert whole[:end].endswith("\n")
        assert settings.sip.port in {5060, Settings().sip.port}


def test_unreadable_and_undecodable_files_are_refused(tmp_path: Path) -> None:
    """A file that is named must be there, and be UTF-8."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "absent.toml", {})
    (tmp_path / "dialin.toml").write_bytes(b"[sip]\nuser_agent = '\xff'\n")
    with pytest.raises(SettingsError, match=r"dialin\.toml:2: is not UTF-8"):
        load(tmp_path / "dialin.toml", {})


def test_variable_of_the_master_key_is_no_setting(tmp_path: Path) -> None:
    """The variable that holds the master key is let be, also under a name of one's own."""
    load(None, {"DIALIN_MASTER_KEY": "x"}, folder=tmp_path)
    text = '[privacy]\nmaster_key_env = "DIALIN_KEY"\n'
    read(tmp_path, text, {"DIALIN_KEY": "x"})
    with pytest.raises(SettingsError, match="DIALIN_KEY"):
        load(None, {"DIALIN_KEY": "x"}, folder=tmp_path)


def test_settings_are_frozen() -> None:
    """Nobody changes a setting while the bridge runs."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().sip.port = 1  # type: ignore[misc]  # that it cannot be is the point


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a file holds: settings or a SettingsError, nothing else."""
    folder = tmp_path_factory.mktemp("any")
    with contextlib.suppress(SettingsError):
        read(folder, text.encode(errors="replace").decode())


@given(
    name=st.sampled_from([key.name for key in keys()]),
    text=st.text(max_size=30).filter(lambda text: "\0" not in text),
)
def test_any_variable_is_read_or_refused_in_words(name: str, text: str) -> None:
    """Whatever a variable holds: an allowed value or a SettingsError that names the variable."""
    (key,) = (each for each in keys() if each.name == name)
    refusal = ""
    try:
        load(None, {key.variable: text}, folder=Path("/"))
    except SettingsError as error:
        refusal = str(error)
    assert not refusal or key.variable in refusal or name in refusal


# -- keys ------------------------------------------------------------------------------------------


def test_keys_as_they_ship_are_those_of_the_dial_plan() -> None:
    """The settings know no dial plan to ask; the two must say the same."""
    assert key_map(Settings().keys.sequences()) == KEY_MAP
    assert key_map({}) == KEY_MAP


def test_a_key_may_be_moved_or_taken_away(tmp_path: Path) -> None:
    """Several are written with blanks."""
    settings = read(tmp_path, '[keys]\nmute = "*0  #6"\nmute_all = ""\n')
    assert (settings.keys.mute, settings.keys.mute_all) == ("*0 #6", "")


@pytest.mark.parametrize(
    ("text", "place", "key", "what"),
    [
        ('mtue = "*6"', "dialin.toml:2", "keys.mtue", "did you mean keys.mute?"),
        ('mute = "6"', "dialin.toml:2", "keys.mute", "star or hash"),
        ('mute = "*2"', "dialin.toml:2", "keys.mute", "*2"),
    ],
)
def test_an_unknown_action_or_a_key_given_twice_names_the_line(
    tmp_path: Path, text: str, place: str, key: str, what: str
) -> None:
    """A mistyped action silently ignored is the fault that users report."""
    (found,) = faults(tmp_path, f"[keys]\n{text}\n")
    assert found[:2] == (place, key)
    assert what in found[2]


def test_the_broker_s_password_has_a_variable_that_is_no_setting(tmp_path: Path) -> None:
    """Whichever `mqtt.password_env` names, in the file or a variable; it is in no setting."""
    settings = load(None, {"DIALIN_MQTT_PASSWORD": "correct-horse"}, folder=tmp_path)
    assert "correct-horse" not in repr(settings)
    text = '[mqtt]\npassword_env = "DIALIN_SECRET"\n'
    read(tmp_path, text, {"DIALIN_SECRET": "x"})
    read(tmp_path, "", {"DIALIN_SECRET": "x", "DIALIN_MQTT__PASSWORD_ENV": "DIALIN_SECRET"})
    ((_, key, what),) = faults(tmp_path, text, {"DIALIN_MQTT_PASSWORD": "x"})
    assert (key, "no such setting" in what) == ("DIALIN_MQTT_PASSWORD", True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('commands = ["mute", "explode"]', "allowed: a list of"),
        ('commands = ["mute", "mute"]', "allowed: a list of"),
        ('commands = ["dial"]', "needs mqtt.dial_key_file"),
        ('certificate_file = "c.pem"', "needs mqtt.key_file"),
        ('key_file = "k.pem"', "needs mqtt.certificate_file"),
        ('node = "north/south"', "small letters"),
        ('node = "+"', "small letters"),
        ('host = "a b"', "host name"),
        ("buffer = 0", "from 10"),
        ('tls = "maybe"', "true or false"),
    ],
)
def test_a_wrong_setting_of_the_broker_is_named(tmp_path: Path, line: str, words: str) -> None:
    """With what is allowed."""
    ((where, _, what),) = faults(tmp_path, f"[mqtt]\n{line}\n")
    assert (where, words in what) == ("dialin.toml:2", True), what
