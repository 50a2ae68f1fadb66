"""What is packaged beside the program: alert rules, the systemd unit, the kernel's buffers.

The rules may speak of metrics that exist; the unit must give what the bridge needs and take the
rest away; the README's lines install just that.
"""

import asyncio
import configparser
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import yaml
from click.testing import CliRunner

from bridge import cli
from bridge.doctor import DESCRIPTORS_BESIDE, DESCRIPTORS_PER_LEG
from bridge.drain import LONGEST_S
from bridge.media.__main__ import PRIORITY
from bridge.media.messages import Heartbeat
from bridge.media.ports import SHARED_BUFFER
from bridge.monitoring.readings import readings
from bridge.server import FAREWELL_S, GOODBYE_S
from config.settings import SYSTEM_FILE, LimitSettings, SipSettings
from tests.support.stage import Stage

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
RULES = PACKAGING / "dialin-bridge.rules.yml"
UNIT = PACKAGING / "dialin-bridge.service"
SYSCTL = PACKAGING / "60-dialin-bridge.conf"
PREFIX = "/opt/dialin"
README = (ROOT / "README.md").read_text(encoding="utf-8")
README_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

# What Prometheus itself adds to each series.
OF_THE_SCRAPE = frozenset({"job", "instance"})
PLACEHOLDER = re.compile(r"\{\{ \$(?:labels\.(?P<label>\w+)|value(?: \| \w+)?) \}\}")


class Selector(NamedTuple):
    """One series that an expression asks for.

    Attributes:
        name: The metric.
        matchers: Label, operator and value of each condition.
    """

    name: str
    matchers: list[tuple[str, str, str]]


def rules() -> list[dict[str, Any]]:
    """Return the rules of the file."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module", name="series")
def every_series_there_is() -> dict[str, list[dict[str, str]]]:
    """What a bridge that has just begun shows, by name of the sample, with its labels."""
    found: dict[str, list[dict[str, str]]] = {"up": [{}]}

    async def look(folder: Path) -> None:
        stage = Stage.build(folder, asyncio.get_running_loop())
        for post in stage.media.posts:
            post.beat = Heartbeat(1, 1.0, 2.0, 3.0, 0, 0, 0, 0, 0)
        for families in (stage.bridge.meters.registry.collect(), readings(stage.bridge)):
            for family in families:
                for sample in family.samples:
                    found.setdefault(sample.name, []).append(dict(sample.labels))
        stage.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(look(Path(name)))
    return found


def selectors(expression: str) -> Iterator[Selector]:
    """Yield every series that a PromQL expression asks for; one that is none raises."""
    tree = promql_parser.parse(expression)
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, promql_parser.VectorSelector):
            matchers = [(each.name, str(each.op), each.value) for each in node.matchers.matchers]
            yield Selector(str(node.name), matchers)
        for part in ("expr", "lhs", "rhs", "vector_selector", "args"):
            below = getattr(node, part, None)
            if isinstance(below, list):
                waiting += below
            elif below is not None:
                waiting.append(below)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_rule_asks_for_series_that_exist(
    rule: dict[str, Any], series: dict[str, list[dict[str, str]]]
) -> None:
    """PromQL, metrics of the bridge, labels that they have, values that these can take."""
    asked = list(selectors(rule["expr"]))
    assert asked
    for name, matchers in asked:
        assert name in series, f"{rule['alert']}: there is no metric {name}"
        for label, operator, value in matchers:
            if label in OF_THE_SCRAPE:
                continue
            assert operator in {"MatchOp.Equal", "MatchOp.Re"}, "say what is meant"
            known = {labels.get(label) for labels in series[name]}
            for each in value.split("|"):
                assert each in known, f"{rule['alert']}: {name} has no {label}={each!r}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_rule_says_how_bad_it_is_and_what_to_do(
    rule: dict[str, Any], series: dict[str, list[dict[str, str]]]
) -> None:
    """A name, a severity, two sentences, and placeholders that will be filled."""
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch("Dialin[A-Za-z]+", rule["alert"])
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    kept = set(OF_THE_SCRAPE)
    for name, _ in selectors(rule["expr"]):
        kept |= {label for labels in series[name] for label in labels}
    for text in rule["annotations"].values():
        assert text.count("{{") == len(PLACEHOLDER.findall(text)), text
        for placeholder in PLACEHOLDER.finditer(text):
            assert placeholder["label"] is None or placeholder["label"] in kept, text


def test_alert_rules_have_names_of_their_own() -> None:
    """Two alerts of one name cannot be told apart."""
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 10


def test_a_wrong_expression_would_be_found() -> None:
    """The parser refuses what Prometheus refuses; a walk of the tree finds every series."""
    with pytest.raises(ValueError, match="unclosed"):
        list(selectors("increase(dialin_calls_refused_total[5m] > 0"))
    found = [each.name for each in selectors("max by (a) (b) > 0.9 * c and rate(d[5m]) / e{f='g'}")]
    assert sorted(found) == ["b", "c", "d", "e"]


def test_the_first_rule_names_the_job_that_the_file_says_how_to_scrape() -> None:
    """The header's example and the expressions agree, and so does the port."""
    head = RULES.read_text(encoding="utf-8").partition("groups:\n")[0]
    example = yaml.safe_load(
        re.sub(r"^# ?", "", head[head.index("#   rule") :], flags=re.MULTILINE).split("\n\n")[0]
    )
    (job,) = example["scrape_configs"]
    assert f'job="{job["job_name"]}"' in rules()[0]["expr"]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:9469"]


# --- the unit ----------------------------------------------------------------------------------


class Unit(configparser.ConfigParser):
    """A unit file; its keys keep their case."""

    def optionxform(self, optionstr: str) -> str:
        """Leave a key as it is."""
        return optionstr


@pytest.fixture(scope="module", name="service")
def service_section() -> dict[str, str]:
    """The unit's section [Service]."""
    unit = Unit(interpolation=None)
    unit.read(UNIT, encoding="utf-8")
    return dict(unit["Service"])


def words_of(command: str) -> list[str]:
    """Return the arguments of a command of the unit."""
    program, *words = shlex.split(command)
    assert program == f"{PREFIX}/bin/dialin"
    return words


def test_the_unit_says_what_there_is_to_say_to_dialin(service: dict[str, str]) -> None:
    """Both commands and their options exist, and both read the same settings."""
    for option, command in (("ExecStart", "serve"), ("ExecStop", "drain")):
        words = words_of(service[option])
        assert words[0] == command
        assert words[words.index("--config") + 1] == str(SYSTEM_FILE)
        result = CliRunner().invoke(cli.dialin, [*words, "--help"])
        assert result.exit_code == 0, result.output


def test_the_unit_gives_a_drain_its_time_and_the_goodbye_too(service: dict[str, str]) -> None:
    """SIGKILL comes after the drain's limit, the last words, and half a minute for records."""
    words = words_of(service["ExecStop"])
    drains_s = float(words[words.index("--timeout") + 1])
    assert 0 < drains_s <= LONGEST_S
    assert float(service["TimeoutStopSec"]) > drains_s + GOODBYE_S + FAREWELL_S + 30
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "on-failure"


def test_the_unit_gives_what_media_processes_need(service: dict[str, str]) -> None:
    """Real-time scheduling, and descriptors for as many calls as the settings allow."""
    assert service["AmbientCapabilities"] == "CAP_SYS_NICE"
    assert service["AmbientCapabilities"] in service["CapabilityBoundingSet"].split()
    assert int(service["LimitRTPRIO"]) >= PRIORITY
    for_calls = LimitSettings().calls * DESCRIPTORS_PER_LEG + SipSettings().max_tcp
    assert int(service["LimitNOFILE"]) >= for_calls + DESCRIPTORS_BESIDE


def test_the_unit_does_not_take_away_what_the_bridge_lives_on(service: dict[str, str]) -> None:
    """Callbacks of PJSIP, real-time scheduling, /proc/sys for doctor, the machine's network."""
    harmful = {"MemoryDenyWriteExecute", "RestrictRealtime", "PrivateUsers", "PrivateNetwork"}
    assert harmful.isdisjoint(service)
    assert service.get("ProcSubset", "all") == "all"
    assert {"AF_UNIX", "AF_INET"} <= set(service["RestrictAddressFamilies"].split())


def test_the_unit_runs_the_bridge_as_nobody_else_and_shuts_the_rest_away(
    service: dict[str, str],
) -> None:
    """An own user who can write its own folder, and little else."""
    assert service["User"] == service["Group"] == service["StateDirectory"] == "dialin"
    assert service["StateDirectoryMode"] == "0700"
    assert service["ProtectSystem"] == "strict"
    yes = {name for name, value in service.items() if value == "yes"}
    assert yes >= {
        *("LockPersonality", "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectClock"),
        *("ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs"),
        *("ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces"),
        "RestrictSUIDSGID",
    }
    assert service["SystemCallFilter"] == "@system-service"


@pytest.fixture(name="installed_unit")
def unit_with_programs_that_are_there(tmp_path: Path) -> Path:
    """The unit file with the commands of this environment, as it stands under systemd."""
    text = UNIT.read_text(encoding="utf-8").replace(
        f"{PREFIX}/bin", str(Path(sys.executable).parent)
    )
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    return tmp_path / UNIT.name


def analyse(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, where there is one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here; the tests above read the file by themselves")
    return subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_systemd_takes_the_unit(installed_unit: Path) -> None:
    """Every option is known, every value understood, every program there."""
    said = analyse("verify", "--man=no", str(installed_unit))
    complaints = [line for line in said.stderr.splitlines() if UNIT.name in line]
    assert (said.returncode, complaints) == (0, [])


def test_systemd_would_find_a_wrong_option(installed_unit: Path) -> None:
    """What it does not know, it names."""
    text = installed_unit.read_text(encoding="utf-8")
    installed_unit.write_text(text.replace("ProtectHome=", "ProtectHomes="), encoding="utf-8")
    assert "ProtectHomes" in analyse("verify", "--man=no", str(installed_unit)).stderr


def test_systemd_finds_the_unit_well_shut(installed_unit: Path) -> None:
    """Exposure of 2.5 at most, of 10; a service without a word about it has 9.6."""
    said = analyse(
        "security", "--offline=true", "--no-pager", "--threshold=25", str(installed_unit)
    )
    if "offline" in said.stderr:
        pytest.skip("this systemd judges only what runs")
    assert said.returncode == 0, said.stdout + said.stderr


# --- the rest of an installation ---------------------------------------------------------------


def test_kernel_buffers_are_what_doctor_asks_for() -> None:
    """The file for sysctl and the bridge agree on the size."""
    lines = SYSCTL.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" = ") for line in lines if line and not line.startswith("#")]
    assert {key: int(value) for key, _, value in pairs} == {
        "net.core.rmem_max": SHARED_BUFFER,
        "net.core.wmem_max": SHARED_BUFFER,
    }


def test_the_readme_installs_what_is_packaged_to_where_the_unit_looks() -> None:
    """Files, folder, user and settings of the README's lines are those of the unit."""
    (block,) = (each for each in README_BLOCKS if "systemctl enable" in each)
    for path in (UNIT, SYSCTL):
        assert f"packaging/{path.name} " in block
    for word in (
        PREFIX,
        str(SYSTEM_FILE),
        "useradd",
        "requirements/runtime.lock",
        "/var/lib/dialin",
    ):
        assert word in block
    for named in re.findall(r"(?:packaging|requirements)/[\w./-]+", block):
        assert (ROOT / named).is_file(), named
