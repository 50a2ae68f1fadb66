"""`python -m tests.bench COMMAND`, as scripts/bench starts it."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tests.bench import (
    calls,
    delay,
    draining,
    faults,
    guards,
    keys,
    largest,
    legs,
    phones,
    profiling,
    quality,
    rtcp,
    soak,
    talkoff,
)
from tests.bench.codings import CODINGS
from tests.bench.cores import load_core, pin
from tests.bench.programs import LoadError


def _end(*_: object) -> NoReturn:
    """Leave through every `with`, so that nothing is left running."""
    raise SystemExit(143)


def _whole(least: int, most: int) -> Any:  # noqa: ANN401 - what argparse calls
    def convert(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return convert


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the bridge.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, module: Any) -> argparse.ArgumentParser:  # noqa: ANN401 - a module
        each = commands.add_parser(
            name,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        each.add_argument("--json", action="store_true", help="print JSON, for programs")
        return each

    def load(each: argparse.ArgumentParser, seconds: int) -> None:
        each.add_argument("--legs", type=_whole(2, 8000), default=1000, help="legs (1000)")
        each.add_argument("--rooms", type=_whole(1, 4000), default=20, help="conferences (20)")
        each.add_argument(
            "--seconds", type=_whole(2, 3500), default=seconds, help=f"measured ({seconds})"
        )
        each.add_argument(
            "--codec", choices=sorted(CODINGS), default="pcmu", help="of all legs (pcmu)"
        )
        each.add_argument(
            "--talking",
            choices=("all", "few"),
            default="all",
            help="who talks in a conference (all)",
        )
        each.add_argument(
            "--sockets", choices=("own", "shared"), default="own", help="one a leg, or shared (own)"
        )

    one = command("legs", legs)
    load(one, 60)
    one.add_argument("--find", action="store_true", help="find the largest load that holds as well")
    load(command("profile", profiling), 20)
    two = command("calls", calls)
    two.add_argument("--calls", type=_whole(1, 2000), default=1000, help="in all (1000)")
    two.add_argument("--rate", type=_whole(1, 500), default=50, help="new ones a second (50)")
    two.add_argument("--peak", type=_whole(1, 2000), default=500, help="at once (500)")
    three = command("phones", phones)
    three.add_argument("--phones", type=_whole(1, 900), default=50, help="over TCP (50)")
    three.add_argument("--legs", type=_whole(0, 2000), default=800, help="RTP legs up (800)")
    four = command("talkoff", talkoff)
    four.add_argument("--minutes", type=_whole(1, 600), default=60, help="of speech (60)")
    four.add_argument("--seed", type=_whole(0, 1_000_000), default=1, help="of the voices (1)")
    five = command("faults", faults)
    five.add_argument("--legs", type=_whole(2, 2000), default=500, help="RTP legs (500)")
    five.add_argument("--rooms", type=_whole(1, 500), default=25, help="conferences (25)")
    five.add_argument("--kills", type=_whole(1, 100), default=20, help="times SIGKILL (20)")
    five.add_argument(
        "--cases", nargs="+", choices=faults.CASES, default=faults.CASES, help="which harms (all)"
    )
    six = command("soak", soak)
    six.add_argument("--minutes", type=_whole(1, 600), default=30, help="how long (30)")
    six.add_argument("--legs", type=_whole(2, 1000), default=300, help="legs at a time (300)")
    seven = command("quality", quality)
    seven.add_argument("--band", choices=quality.BANDS, help="one of them alone (both)")
    seven.add_argument("--case", action="append", choices=quality.CASES, help="these alone (all)")
    eight = command("delay", delay)
    eight.add_argument("--seconds", type=_whole(15, 600), default=20, help="measured (20)")
    nine = command("drain", draining)
    nine.add_argument("--calls", type=_whole(2, 1000), default=100, help="when it begins (100)")
    ten = command("rtcp", rtcp)
    ten.add_argument("--seconds", type=_whole(5, 600), default=30, help="measured (30)")
    eleven = command("guards", guards)
    eleven.add_argument("--clips", type=_whole(5, 1000), default=100, help="of each kind (100)")
    eleven.add_argument(
        "--minutes", type=_whole(1, 600), default=60, help="of conferences without echo (60)"
    )
    eleven.add_argument("--seed", type=_whole(0, 1_000_000), default=1, help="of all sounds (1)")
    _keys(command("keys", keys))
    return parser


def _keys(twelve: argparse.ArgumentParser) -> None:
    twelve.add_argument("--legs", type=_whole(2, 2000), default=500, help="that talk (500)")
    twelve.add_argument(
        "--room", type=_whole(2, 1000), help="one conference of so many (of twenty each)"
    )
    twelve.add_argument("--times", type=_whole(1, 100), help="commands a conference (6, or 12)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and tell by the exit code whether nothing was lost.

    Args:
        arguments: of the command line; the process's own where not given.
    """
    options = _parser().parse_args(arguments)
    try:
        result = _measure(options)
    except LoadError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    text = json.dumps(result, indent=2) if options.json else _table(result)
    sys.stdout.write(f"{text}\n")
    return 0 if result["ok"] else 1


def _measure(options: argparse.Namespace) -> dict[str, Any]:  # noqa: C901 - one arm a command
    match options.command:
        case "calls":
            result = calls.measure(options.calls, options.rate, options.peak)
        case "phones":
            result = phones.measure(options.phones, options.legs)
        case "guards":
            result = guards.measure(options.clips, options.minutes, options.seed)
        case "talkoff":
            result = talkoff.measure(options.minutes, options.seed)
        case "quality":
            bands = (options.band,) if options.band else tuple(quality.BANDS)
            result = quality.measure(bands, options.case or quality.CASES)
        case "delay":
            result = delay.measure(options.seconds)
        case "drain":
            result = draining.measure(options.calls)
        case "keys":
            times = options.times or (6 if options.room is None else 12)
            result = keys.measure(options.legs, options.room, times)
        case "rtcp":
            result = rtcp.measure(options.seconds)
        case "soak":
            result = soak.measure(options.minutes, options.legs)
        case "faults":
            result = faults.measure(options.legs, options.rooms, options.kills, options.cases)
        case _:
            result = _measure_legs(options)
    return result


def _measure_legs(options: argparse.Namespace) -> dict[str, Any]:
    if options.rooms > options.legs // 2:
        raise LoadError(f"{options.legs} legs in {options.rooms} rooms: two a room at least")
    chosen = ("legs", "rooms", "seconds", "codec", "talking", "sockets")
    trial = legs.Trial(**{name: getattr(options, name) for name in chosen})
    if options.command == "profile":
        return profiling.measure(trial)
    result = legs.measure(trial)
    return {**result, **largest.find(trial)} if options.find else result


def _table(result: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in result.items():
        title = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict) and all(not isinstance(each, dict) for each in value.values()):
            inside = ", ".join(f"{key.replace('_', ' ')} {each}" for key, each in value.items())
            lines.append(f"{title:<22} {inside}")
        elif isinstance(value, dict):
            lines += [title, _table(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [title, *(f"{indent}  " + "  ".join(map(str, row.values())) for row in value)]
        else:
            lines.append(f"{title:<22} {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    if sys.argv[1:2] in (["legs"], ["profile"]):
        pin(0, load_core())  # out of the way of what is measured
    sys.exit(main())
