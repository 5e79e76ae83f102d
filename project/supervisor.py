"""Run several programs as one: start them, show their lines, end all of them when one ends.

Made for `manage.py up`. What it does that a plain Procfile runner (honcho, foreman) does not, and
that the site needs:

- it signals a program's first process only. A signal to the whole group would also kill the Celery
  worker's pool in the middle of its tasks, before the worker can let them finish.
- it ends programs in stages, and each by steps with their own patience, so that Redis outlives
  those who talk to it.
- it leaves nothing behind: each program has a process group, which is swept when its first process
  has gone; and on Linux, programs get SIGTERM from the kernel if the supervisor itself is killed.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

LINE_MAX_BYTES: Final = 16 * 1024  # what has no line break by then is shown as a line
HASTEN_SECONDS: Final = (
    1.0  # one Ctrl-C may reach us twice (terminal and make); a second one comes later
)
PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to end it."""

    name: str
    command: Sequence[str]
    #: Signals to send, each with the seconds to wait after it. SIGKILL follows the last.
    stop: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 5.0),)
    #: Lower stages end before the next one is asked to.
    stage: int = 0


class Supervisor:
    """Runs programs until one ends, or SIGINT, SIGTERM or SIGHUP comes; then ends them all."""

    def __init__(self, cwd: str, env: Mapping[str, str], say: Callable[[str, str], None]) -> None:
        self._cwd = cwd
        self._env = dict(env)
        self._say = say
        self._running: dict[str, tuple[Program, asyncio.subprocess.Process]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._hasten = asyncio.Event()
        self._signal_time = 0.0
        #: The signal that asked for the end, e.g. "SIGTERM".
        self.signalled: str | None = None
        #: The program that ended by itself, with its exit code; negative for a signal, as in
        #: `subprocess`.
        self.failed: tuple[str, int] | None = None

    def watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sig, self._on_signal, sig)

    async def start(self, program: Program) -> None:
        """Start `program`, in a session of its own: a terminal's Ctrl-C reaches us alone."""
        process = await asyncio.create_subprocess_exec(
            *program.command,
            cwd=self._cwd,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._running[program.name] = program, process
        self._spawn(self._watch(program, process))

    async def wait(self) -> None:
        """Return when everything must end: a signal came, or a program ended by itself."""
        await self._wake.wait()

    @property
    def stopping(self) -> bool:
        return self._wake.is_set()

    async def stop(self) -> None:
        """End all programs, stage by stage. Returns when no process of them is left."""
        self._wake.set()
        for stage in sorted({program.stage for program, _ in self._running.values()}):
            await asyncio.gather(
                *(
                    self._end(program, process)
                    for program, process in list(self._running.values())
                    if program.stage == stage
                )
            )
        # A reader ends with its pipe. Something that left its group could hold one open for ever.
        if self._readers:
            await asyncio.wait(self._readers, timeout=1.0)

    def _on_signal(self, sig: signal.Signals) -> None:
        now = time.monotonic()
        if not self.stopping:
            self._signal_time = now
            self.signalled = sig.name
            self._wake.set()
        elif sig == signal.SIGINT and now - self._signal_time > HASTEN_SECONDS:
            self._hasten.set()

    async def _end(self, program: Program, process: asyncio.subprocess.Process) -> None:
        for number, (sig, patience) in enumerate(program.stop):
            if process.returncode is not None:
                break
            if number:
                self._say("system", f"{program.name} is still busy: sending {sig.name}")
            with suppress(ProcessLookupError):
                process.send_signal(sig)
            await self._ended_within(process, patience)
        if process.returncode is None:
            self._say("system", f"{program.name} does not end: killing it")
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        _sweep(process.pid)

    async def _ended_within(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        ended = asyncio.ensure_future(process.wait())
        hastened = asyncio.ensure_future(self._hasten.wait())
        await asyncio.wait({ended, hastened}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        hastened.cancel()

    async def _watch(self, program: Program, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            self._spawn(self._show(program.name, process.stdout))
        code = await process.wait()
        if not self.stopping:
            self.failed = (program.name, code)
            self._say("system", f"{program.name} ended by itself: {ending(code)}")
            self._wake.set()
        else:
            self._say("system", f"{program.name} has ended")

    async def _show(self, name: str, pipe: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await pipe.read(LINE_MAX_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LINE_MAX_BYTES:
                lines.append(pending)
                pending = b""
            for line in lines:
                self._say(name, line.decode(errors="replace"))
        if pending:
            self._say(name, pending.decode(errors="replace"))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)


def ending(code: int) -> str:
    """Say how a process ended, e.g. "exit code 1" or "killed by SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _sweep(group: int) -> None:
    """Kill what a program that has ended left in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when the supervisor has gone.

    Runs between fork and exec, where little is safe: one system call.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
