"""A softphone as a process of its own: pjsua2's ordinary telephone, driven by lines of JSON.

`dialin demo` and the end-to-end tests start it as ``python -m bridge.demo.softphone`` and speak to
it through :class:`bridge.demo.handset.Handset`. It has no sound card: a WAV is played into the
call, and what is heard is recorded into another. pjsua2's classes serve here because four calls are
enough (the library is compiled for four); the bridge itself binds PJSIP's user-agent layer instead.

In: one JSON object a line, ``{"id": 1, "command": "dial", "uri": "sip:..."}``; ``quit`` or the end
of the input ends the process.  Out: ``{"id": 1, "ok": true, ...}`` for each command, and events
``{"event": "state" | "media" | "level" | "played", "at": ...}``.  ``at`` is `time.monotonic()`,
which all processes of one machine share.

Everything runs in one thread, which lends itself to PJSIP for 10 ms at a time; the sound is moved
by PJSIP's own threads.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pjsua2 import pjsua2

__all__ = ["main"]

_LEVEL_EVERY_S = 0.1
_HANDLE_MS = 10
_STATES = {
    pjsua2.PJSIP_INV_STATE_CALLING: "calling",
    pjsua2.PJSIP_INV_STATE_EARLY: "early",
    pjsua2.PJSIP_INV_STATE_CONNECTING: "connecting",
    pjsua2.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pjsua2.PJSIP_INV_STATE_DISCONNECTED: "ended",
}


def _defaults() -> pjsua2.CallOpParam:
    """Return call parameters with the default call setting, not an empty one."""
    return pjsua2.CallOpParam(True)  # noqa: FBT003 - pjsua2's only way to say it


class _Player(pjsua2.AudioMediaPlayer):  # type: ignore[misc]
    """A WAV that is played once into a call."""

    def __init__(self, done: Callable[["_Player"], None]) -> None:
        super().__init__()
        self._done = done

    def onEof2(self) -> None:  # noqa: N802 - pjsua2 calls it so
        """Tell that the WAV is at its end."""
        self._done(self)


class _Call(pjsua2.Call):  # type: ignore[misc]
    """One call of the softphone, with its recorder."""

    def __init__(self, phone: "_Softphone", account: pjsua2.Account, record: str | None) -> None:
        super().__init__(account)
        self._phone = phone
        self._record = record
        self._recorder: pjsua2.AudioMediaRecorder | None = None
        self._silence: pjsua2.ToneGenerator | None = None
        self.sound: pjsua2.AudioMedia | None = None

    def onCallState(self, prm: pjsua2.OnCallStateParam) -> None:  # noqa: ARG002, N802 - pjsua2 calls it so
        """Report the call's state."""
        info = self.getInfo()
        state = _STATES.get(info.state)
        if state is None:
            return
        self._phone.emit(
            {
                "event": "state",
                "state": state,
                "status": info.lastStatusCode,
                "reason": info.lastReason,
            }
        )
        if state == "ended":
            self.sound = None
            self._recorder = None
            self._phone.ended(self)

    def onCallMediaState(self, prm: pjsua2.OnCallMediaStateParam) -> None:  # noqa: ARG002, N802 - as above
        """Connect recorder and call when there is sound, and report it."""
        info = self.getInfo()
        states = [item.status for item in info.media if item.type == pjsua2.PJMEDIA_TYPE_AUDIO]
        names = {
            pjsua2.PJSUA_CALL_MEDIA_ACTIVE: "active",
            pjsua2.PJSUA_CALL_MEDIA_LOCAL_HOLD: "held",
            pjsua2.PJSUA_CALL_MEDIA_REMOTE_HOLD: "held by peer",
        }
        state = names.get(states[0], "none") if states else "none"
        started = 0.0
        if state in {"active", "held by peer"}:
            sound = self.sound = self.getAudioMedia(-1)
            if self._record is not None:
                if self._recorder is None:
                    recorder = self._recorder = pjsua2.AudioMediaRecorder()
                    recorder.createRecorder(self._record)
                    # A recorder that nothing feeds stands still, so its clock would not be ours
                    # while the peer is on hold: silence is mixed in from the start.
                    silence = self._silence = pjsua2.ToneGenerator()
                    silence.createToneGenerator()
                    silence.startTransmit(recorder)
                    started = time.monotonic()
                sound.startTransmit(self._recorder)
        else:
            self.sound = None
        self._phone.emit({"event": "media", "state": state, "recording_started": started})


class _Softphone:
    """The endpoint, one account, one call at a time."""

    def __init__(self, output: BinaryIO, name: str, codec: str | None, rate: int) -> None:
        self._output = output
        self._players: list[_Player] = []
        self._call: _Call | None = None
        self._old_calls: list[_Call] = []
        self._finished: list[_Player] = []
        self._running = True
        self._endpoint = pjsua2.Endpoint()
        self._endpoint.libCreate()
        config = pjsua2.EpConfig()
        config.logConfig.level = 0
        config.logConfig.consoleLevel = 0
        # No threads of the library's for SIP: callbacks come out of libHandleEvents, in our thread.
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "dialin softphone"
        config.medConfig.clockRate = rate
        config.medConfig.sndClockRate = rate
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        self._endpoint.libInit(config)
        transport = pjsua2.TransportConfig()
        transport.port = 0
        transport.boundAddress = "127.0.0.1"
        udp = self._endpoint.transportCreate(pjsua2.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.transportCreate(pjsua2.PJSIP_TRANSPORT_TCP, transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        codecs = (codec,) if codec else ("PCMU", "PCMA")
        for known in self._endpoint.codecEnum2():
            wanted = known.codecId.startswith(codecs)
            self._endpoint.codecSetPriority(known.codecId, 200 if wanted else 0)
        account = pjsua2.AccountConfig()
        account.idUri = f"sip:{name}@127.0.0.1"
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        account.mediaConfig.transportConfig.port = 0
        account.sipConfig.transportId = udp
        self._account = pjsua2.Account()
        self._account.create(account)
        self._commands: dict[str, Callable[[dict[str, Any]], None]] = {
            "dial": self._dial,
            "digits": self._digits,
            "play": self._play,
            "stop": self._stop,
            "hold": self._hold,
            "resume": self._resume,
            "update": self._update,
            "hangup": self._hang_up,
            "quit": self._quit,
        }

    # -- out ----------------------------------------------------------------------------------

    def emit(self, event: dict[str, Any]) -> None:
        """Write one line.

        Args:
            event: What to write; the time is added.
        """
        line = json.dumps({"at": time.monotonic(), **event}).encode() + b"\n"
        try:
            self._output.write(line)
            self._output.flush()
        except BrokenPipeError:
            self._running = False

    def ended(self, call: _Call) -> None:
        """Let go of a call that is over.

        Args:
            call: The call; kept until the loop is back in our hands, because it is its callback
                that tells us.
        """
        self._old_calls.append(call)
        if self._call is call:
            self._call = None

    # -- commands -----------------------------------------------------------------------------

    def _current(self) -> _Call:
        if self._call is None:
            message = "there is no call"
            raise LookupError(message)
        return self._call

    def _dial(self, command: dict[str, Any]) -> None:
        if self._call is not None:
            message = "a call is up already"
            raise LookupError(message)
        self._call = _Call(self, self._account, command.get("record"))
        self._call.makeCall(command["uri"], _defaults())

    def _digits(self, command: dict[str, Any]) -> None:
        parameters = pjsua2.CallSendDtmfParam()
        parameters.digits = command["keys"]
        parameters.duration = command.get("duration_ms", 120)
        info = command.get("method") == "info"
        parameters.method = (
            pjsua2.PJSUA_DTMF_METHOD_SIP_INFO if info else pjsua2.PJSUA_DTMF_METHOD_RFC2833
        )
        self._current().sendDtmf(parameters)

    def _play(self, command: dict[str, Any]) -> None:
        sound = self._current().sound
        if sound is None:
            message = "the call has no sound (yet, or it is held)"
            raise LookupError(message)
        if not Path(command["wav"]).is_file():
            message = f"{command['wav']}: no such file"
            raise LookupError(message)
        player = _Player(self._finished.append)
        player.createPlayer(command["wav"], pjsua2.PJMEDIA_FILE_NO_LOOP)
        player.startTransmit(sound)
        self._players.append(player)

    def _stop(self, _command: dict[str, Any]) -> None:
        self._players.clear()

    def _hold(self, _command: dict[str, Any]) -> None:
        self._current().setHold(_defaults())

    def _resume(self, _command: dict[str, Any]) -> None:
        parameters = _defaults()
        parameters.opt.flag = pjsua2.PJSUA_CALL_UNHOLD
        self._current().reinvite(parameters)

    def _update(self, _command: dict[str, Any]) -> None:
        self._current().update(_defaults())

    def _hang_up(self, _command: dict[str, Any]) -> None:
        self._players.clear()
        self._current().hangup(_defaults())

    def _quit(self, _command: dict[str, Any]) -> None:
        self._running = False

    # -- the loop -----------------------------------------------------------------------------

    def _obey(self, line: bytes) -> None:
        command = json.loads(line)
        reply: dict[str, Any] = {"id": command.get("id"), "ok": True}
        try:
            self._commands[command["command"]](command)
        except (LookupError, pjsua2.Error) as error:
            reason = error.reason if isinstance(error, pjsua2.Error) else str(error)
            reply = {"id": command.get("id"), "ok": False, "error": reason}
        self.emit(reply)

    def _report_level(self) -> None:
        sound = self._call.sound if self._call is not None else None
        if sound is None:
            return
        # In the conference port's terms: tx is what goes to the port, i.e. what this phone says.
        with contextlib.suppress(pjsua2.Error):
            self.emit({"event": "level", "heard": sound.getRxLevel(), "said": sound.getTxLevel()})

    def run(self, commands: int) -> None:
        """Serve until told to quit.

        Args:
            commands: The descriptor to read commands from.
        """
        self.emit({"event": "ready"})
        buffer = b""
        level_due = time.monotonic()
        while self._running:
            self._endpoint.libHandleEvents(_HANDLE_MS)
            self._old_calls.clear()
            for player in self._finished:
                if player in self._players:
                    self._players.remove(player)
                    self.emit({"event": "played"})
            self._finished.clear()
            if time.monotonic() >= level_due:
                level_due += _LEVEL_EVERY_S
                self._report_level()
            while select.select([commands], [], [], 0)[0]:
                data = os.read(commands, 65536)
                if not data:
                    self._running = False
                    break
                buffer += data
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    self._obey(line)
        self._close()

    def _close(self) -> None:
        self._players.clear()
        if self._call is not None:
            with contextlib.suppress(pjsua2.Error):
                self._endpoint.hangupAllCalls()
            deadline = time.monotonic() + 1.0
            while not self._old_calls and time.monotonic() < deadline:
                self._endpoint.libHandleEvents(_HANDLE_MS)
        self._old_calls.clear()
        self._call = None
        with contextlib.suppress(pjsua2.Error):
            self._endpoint.libDestroy()


def main(arguments: list[str]) -> int:
    """Run the process.

    Args:
        arguments: Name, then optionally the only codec to offer, then the rate of the recordings
            in Hz (8000 when missing).

    Returns:
        The exit code.
    """
    # pjsua2 prints to standard output whatever its log level: it gets the null device, and the
    # lines of JSON go by a descriptor of their own.
    output = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    name, codec, rate = (*arguments, *("softphone", "", "8000")[len(arguments) :])
    _Softphone(output, name, codec or None, int(rate)).run(0)
    # The library's destructors at interpreter exit have crashed after libDestroy; nothing is left
    # to flush.
    output.close()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
