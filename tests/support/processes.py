"""A program as a child of the tests: its output in a file, its whole process group ended with
it.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


def environment(**variables: str) -> dict[str, str]:
    """Return what a program here gets: nothing of a developer's own settings, and `variables`."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


class Process:
    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        **options: Any,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_output(self, text: str, seconds: float = 30.0) -> str:
        """Return the first line with `text`, as soon as it is there."""

        def line() -> str | None:
            found = next((line for line in self.output.splitlines() if text in line), None)
            if found is None and self.returncode is not None:
                raise AssertionError(f"{self} ended without saying {text!r}:\n{self.output}")
            return found

        return str(wait_until(line, seconds, lambda: f"{text!r} from {self}:\n{self.output}"))

    def send_signal(self, sig: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._popen.send_signal(sig)

    def wait(self, seconds: float) -> int:
        """Return the exit code; fail when the process takes longer."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} runs after {seconds} s:\n{self.output}") from None

    def stop(self, sig: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> None:
        """End the process with `sig`, with force if it takes too long, and what is left of its
        group.
        """
        self.send_signal(sig)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def processes_with(text: str) -> list[str]:
    """Return the command lines on this machine that contain `text`, except this process's own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                environ = (entry / "environ").read_bytes().decode(errors="replace")
                if text in line or text in environ:
                    found.append(f"{entry.name}: {line}")
    return found
