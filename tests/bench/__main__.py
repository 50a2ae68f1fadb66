"""`python -m tests.bench legs|calls|phones`, as scripts/bench starts it."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tests.bench import calls, legs, phones
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

    one = command("legs", legs)
    one.add_argument("--legs", type=_whole(2, 4000), default=200, help="legs (200)")
    one.add_argument("--rooms", type=_whole(1, 1000), default=10, help="conferences (10)")
    one.add_argument("--seconds", type=_whole(2, 3000), default=60, help="measured (60)")
    two = command("calls", calls)
    two.add_argument("--calls", type=_whole(1, 2000), default=1000, help="in all (1000)")
    two.add_argument("--rate", type=_whole(1, 500), default=50, help="new ones a second (50)")
    two.add_argument("--peak", type=_whole(1, 2000), default=500, help="at once (500)")
    three = command("phones", phones)
    three.add_argument("--phones", type=_whole(1, 900), default=50, help="over TCP (50)")
    three.add_argument("--legs", type=_whole(0, 2000), default=800, help="RTP legs up (800)")
    return parser


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


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    if options.command == "calls":
        return calls.measure(options.calls, options.rate, options.peak)
    if options.command == "phones":
        return phones.measure(options.phones, options.legs)
    if options.rooms > options.legs // 2:
        raise LoadError(f"{options.legs} legs in {options.rooms} rooms: two a room at least")
    return legs.measure(options.legs, options.rooms, options.seconds)


def _table(result: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in result.items():
        title = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict) and all(not isinstance(each, dict) for each in value.values()):
            inside = ", ".join(f"{key.replace('_', ' ')} {each}" for key, each in value.items())
            lines.append(f"{title:<22} {inside}")
        elif isinstance(value, dict):
            lines += [title, _table(value, indent + "  ")]
        else:
            lines.append(f"{title:<22} {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
