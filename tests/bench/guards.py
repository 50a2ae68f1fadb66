"""Measure the guards: who is muted for music or noise, and who is found to return an echo.

Offline: levels, gate, gain and guards of the engine, on clips of half a minute through PCMU; the
same seed gives the same clips where espeak-ng is the same. At most thirty legs make sound at once,
of all kinds, so that guards that look at few legs at a time are as busy as they get.

  clips      Of music (eight styles, synthesised, and the bank's hold music), of steady noise (six
             kinds) and of speech (espeak-ng's voices and the bank's own; a fifth is in noise at 20
             dB, at 15, at 10, the rest clean), music and noise at -33 to -14 dBov, speech at -40 to
             -12. `right`: music and noise muted within the clip, speech never. `still`: music or
             noise that nobody hears, for the gate is shut.
  echo       One in three legs of a conference returns what it is sent, by each delay and return
             loss: `found_s`, from when the others begin to talk.
  innocents  Conferences without any echo, of people who talk in turn, at once, in one room over
             two telephones, as they hear the same voice, and hum along: `hours` of conference,
             `suspected` and `named` legs.
  cost_us    Of the guards in a tick with a thousand legs that all talk: mean over a second, least
             of all seconds.
"""

import sys
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dialplan.prompts.bank import load_bank
from tests.bench.talkoff import VOICES, read_aloud
from tests.media.guarded import Conferences
from tests.support.clips import MUSIC, NOISES, RATE, Sound, music, noise, scaled
from tests.support.sentences import at_level, hiss, talk

__all__ = ["measure"]

CLIP_S: Final = 30.0
AT_ONCE: Final = 30
DELAYS_MS: Final = (20, 40, 80, 150, 300, 450, 600)
LOSSES_DB: Final = (6, 12, 18, 24, 30)
ECHO_S: Final = 12
FOUND_S: Final = 10.0
APART_MS: Final = (-100, -30, 0, 25, 50, 100, 200)
INNOCENT_S: Final = 60
COST_LEGS: Final = 1000
COST_S: Final = 12
RIGHT: Final = 0.95

_SNRS: Final = (None, None, 20.0, 15.0, 10.0)
_HOLD: Final = "hold"


def measure(clips: int, minutes: int, seed: int) -> dict[str, Any]:
    """Measure.

    Args:
        clips: of each of music, noise and speech.
        minutes: of conferences without echo, at least.
        seed: of everything.

    Returns:
        What `scripts/bench guards --json` prints.
    """
    sys.stderr.write("clips\n")
    table = _clips(clips, seed)
    sys.stderr.write("echo\n")
    echo = _echoes(seed)
    sys.stderr.write("innocents\n")
    innocents = _innocents(minutes, seed)
    sys.stderr.write("cost\n")
    found = [row for row in echo if row["found_s"] is not None and row["found_s"] <= FOUND_S]
    right = all(row["right"] >= RIGHT * row["clips"] for row in table)
    speech = next(row for row in table if row["kind"] == "speech")
    return {
        "seed": seed,
        "clips": table,
        "echo": echo,
        "echo_found": len(found),
        "echo_cases": len(echo),
        "innocents": innocents,
        "cost_us": _cost(seed),
        "ok": right and not speech["muted"] and len(found) == len(echo) and not innocents["named"],
    }


# --- music, noise and speech ----------------------------------------------------------------------


def _clips(count: int, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    made = [
        (kind, make(number, random, seed))
        for kind, make in (("music", _music), ("noise", _noise), ("speech", _speech))
        for number in range(count)
    ]
    order = random.permutation(len(made))
    muted: dict[str, list[float]] = {"music": [], "noise": [], "speech": []}
    still = dict.fromkeys(muted, 0)
    for begin in range(0, len(order), AT_ONCE):
        part = [made[index] for index in order[begin : begin + AT_ONCE]]
        conference = Conferences([row // 5 for row in range(len(part))])
        conference.run(np.stack([sound for _, sound in part]))
        for row, (kind, _) in enumerate(part):
            events = conference.events("leak", row + 1)
            if events:
                muted[kind].append(events[0].tick / 50)
            elif kind != "speech" and conference.gate.gain[row] == 0:
                still[kind] += 1
    return [
        {
            "kind": kind,
            "clips": count,
            "right": count - len(when) if kind == "speech" else len(when) + still[kind],
            "muted": len(when),
            "still": still[kind],
            "after_s_p50": round(float(np.median(when)), 1) if when else None,
            "after_s_max": round(max(when), 1) if when else None,
        }
        for kind, when in muted.items()
    ]


def _music(number: int, random: np.random.Generator, seed: int) -> Sound:
    styles = (*MUSIC, _HOLD)
    style = styles[number % len(styles)]
    if style == _HOLD:
        bank = load_bank()
        start, length = bank.music()
        begin = int(random.integers(length - int(CLIP_S * RATE)))
        part = bank.samples[start + begin : start + begin + int(CLIP_S * RATE)]
        sound = part.astype(np.float64)
    else:
        sound = music(style, 10_000 * seed + number, CLIP_S)
    return scaled(sound, float(random.uniform(-33, -14)))


def _noise(number: int, random: np.random.Generator, seed: int) -> Sound:
    kind = list(NOISES)[number % len(NOISES)]
    return scaled(noise(kind, 20_000 * seed + number, CLIP_S), float(random.uniform(-33, -14)))


def _speech(number: int, random: np.random.Generator, seed: int) -> Sound:
    level = float(random.uniform(-40, -12))
    if number % 5 == 4:
        sound = talk(("en", "sv")[number // 5 % 2], CLIP_S, first=7 * number)
    else:
        sound = read_aloud(VOICES[7 * number % len(VOICES)], number, CLIP_S, seed + number)
    sound = at_level(sound, level)
    snr = _SNRS[number % len(_SNRS)] if number % 5 != 4 else None
    if snr is not None:
        kind = list(NOISES)[number // 5 % len(NOISES)]
        sound = sound + scaled(noise(kind, 30_000 * seed + number, CLIP_S), level - snr)
    return sound


# --- echo -----------------------------------------------------------------------------------------


def _turns(people: int, seconds: int, random: np.random.Generator) -> list[Sound]:
    """Return people who talk in turn, at times a little at once, at levels of their own."""
    samples = seconds * RATE
    voices = [
        at_level(
            talk(
                ("en", "sv")[(number + int(random.integers(2))) % 2],
                seconds + 1.0,
                first=int(random.integers(60)),
            ),
            float(random.uniform(-32, -18)),
        )
        for number in range(people)
    ]
    said = [np.zeros(samples) for _ in range(people)]
    at = 0
    while at < samples:
        who = int(random.integers(people))
        end = min(samples, at + int(random.uniform(1.5, 6) * RATE))
        said[who][at:end] = voices[who][at:end]
        at = max(at + RATE, end + int(random.uniform(-0.8, 0.6) * RATE))
    return said


def _echoes(seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed + 1)
    cases = [(delay, loss) for delay in DELAYS_MS for loss in LOSSES_DB]
    rows = []
    for begin in range(0, len(cases), 4):
        part = cases[begin : begin + 4]
        sounds: list[Sound] = []
        for _ in part:
            sounds += [np.zeros(ECHO_S * RATE), *_turns(2, ECHO_S, random)]
        conference = Conferences([row // 3 for row in range(len(sounds))])
        for room, (delay, loss) in enumerate(part):
            conference.delay[3 * room] = delay * RATE // 1000
            conference.returned[3 * room] = 10 ** (-loss / 20)
        lines = [sound + hiss(len(sound), -65, seed + k) for k, sound in enumerate(sounds)]
        conference.run(np.stack(lines))
        for room, (delay, loss) in enumerate(part):
            told = conference.events("echo", 3 * room + 1)
            others = sum(len(conference.events("echo", 3 * room + k)) for k in (2, 3))
            first = told[0] if told else None
            rows.append(
                {
                    "delay_ms": delay,
                    "return_loss_db": loss,
                    "found_s": round(first.tick / 50, 1) if first else None,
                    "said_delay_ms": first.event.delay_ms if first else None,
                    "said_loss_db": first.event.return_loss_db if first else None,
                    "others_named": others,
                }
            )
    return rows


def _innocents(minutes: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed + 2)
    seconds, suspected, named, cases = 0, 0, 0, dict[str, int]()
    while seconds < 60 * minutes:
        rooms: list[int] = []
        sounds: list[Sound] = []
        for room, (case, said) in enumerate(_without_echo(random)):
            cases[case] = cases.get(case, 0) + 1
            rooms += [room] * len(said)
            level = float(random.uniform(-70, -58))
            sounds += [
                sound + hiss(len(sound), level, int(random.integers(1 << 30))) for sound in said
            ]
        conference = Conferences(rooms)
        trials, last = conference.guards.echo.trials, set[int]()
        whole = np.stack(sounds)
        for tick in range(whole.shape[1] // 160):
            conference.hear(whole[:, 160 * tick : 160 * tick + 160])
            now = set(trials.legs[trials.legs >= 0].tolist())
            suspected += len(now - last)
            last = now
        named += sum(told.event.action == "ducked" for told in conference.events("echo"))
        seconds += INNOCENT_S * (max(rooms) + 1)
    return {
        "hours": round(seconds / 3600, 2),
        "conferences": cases,
        "suspected": suspected,
        "named": named,
    }


def _without_echo(random: np.random.Generator) -> list[tuple[str, list[Sound]]]:
    """Return conferences of a minute in which nobody returns anything."""
    found = [("in turn", _turns(4, INNOCENT_S, random))]
    first, second = _turns(3, INNOCENT_S, random), _turns(3, INNOCENT_S, random)
    found.append(("at once", [a + b for a, b in zip(first, second, strict=True)]))
    one, _, three = _turns(3, INNOCENT_S, random)
    found.append(("one voice, two lines", [one, one.copy(), three]))
    for apart in APART_MS:
        one, two, three = _turns(3, INNOCENT_S, random)
        near = [one + 0.25 * _heard(two, -apart, random), two + 0.3 * _heard(one, apart, random)]
        found.append(("one room", [*near, three]))
        one, _ = _turns(2, INNOCENT_S, random)
        found.append(("one room alone", [one, 0.3 * _heard(one, apart, random)]))
    for delay in (50, 200):
        one, two = _turns(2, INNOCENT_S, random)
        found.append(("humming along", [one, two, _hum(one + two, delay, random)]))
    return found


def _heard(sound: Sound, delay_ms: int, random: np.random.Generator) -> Sound:
    """Return what another telephone in the room hears: later, and with the room's echoes."""
    tail = random.standard_normal(640) * np.exp(-np.arange(640) / 200)
    tail[0] = 1.5
    rung = np.asarray(np.convolve(sound, tail / np.std(tail) / 25)[: len(sound)], np.float64)
    return np.roll(rung, delay_ms * RATE // 1000)


def _hum(sound: Sound, delay_ms: int, random: np.random.Generator) -> Sound:
    loudness = np.sqrt(np.convolve(sound**2, np.ones(400) / 400, "same"))
    moment = np.arange(len(sound)) / RATE
    phase = (
        2 * np.pi * np.cumsum(random.uniform(110, 220) * (1 + 0.02 * np.sin(4.4 * moment))) / RATE
    )
    tone = np.sin(phase) + np.sin(2 * phase) / 2 + np.sin(3 * phase) / 3
    hummed: Sound = np.roll(0.3 * loudness * tone, delay_ms * RATE // 1000)
    return hummed


# --- cost -----------------------------------------------------------------------------------------


def _cost(seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed + 3)
    voices = [
        at_level(talk(language, COST_S, first=first), -24).astype(np.float32)
        for language in ("en", "sv")
        for first in range(0, 50, 10)
    ]
    said: npt.NDArray[np.float32] = np.stack(
        [
            np.roll(voices[leg % len(voices)], int(random.integers(COST_S * RATE)))
            for leg in range(COST_LEGS)
        ]
    )
    conference = Conferences([leg // 50 for leg in range(COST_LEGS)])
    took: list[float] = []
    follow = conference.guards.follow

    def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it takes
        begin = time.perf_counter()
        told = follow(*arguments, **options)
        took.append(1e6 * (time.perf_counter() - begin))
        return told

    conference.guards.follow = timed  # type: ignore[method-assign]
    conference.run(said)
    settled = np.array(took[250:])
    seconds = settled[: len(settled) // 50 * 50].reshape(-1, 50).mean(axis=1)
    return {
        "least_second": round(float(seconds.min()), 1),
        "median_second": round(float(np.median(seconds)), 1),
        "p99_tick": round(float(np.percentile(settled, 99)), 1),
    }
