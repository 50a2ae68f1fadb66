"""What is packaged beside the program: alert rules that speak of metrics that exist."""

import asyncio
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import yaml

from bridge.media.messages import Heartbeat
from bridge.monitoring.readings import readings
from tests.support.stage import Stage

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
RULES = PACKAGING / "dialin-bridge.rules.yml"

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
