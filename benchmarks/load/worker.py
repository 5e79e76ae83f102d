"""
A helper process, asked over its standard input and answering over its standard output, a line of
JSON each. Clients and publishers are such, so that their CPU time is their own.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self

from benchmarks.proc import cpu_seconds
from tests.support.processes import ROOT, environment


class Worker:
    """Runs ``python -m <module> <arguments>`` for as long as the context lasts."""

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment(**(env or {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def ask(self, command: str, **arguments: Any) -> Any:
        """Send a command and wait for its answer."""
        self.send(command, **arguments)
        return self.receive()

    def send(self, command: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self._module} ended with {self._process.wait(5)}"
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
