"""A process of the site that serves nothing and runs what it is sent: `manage.py shell`, kept open.

To start a Python with Django takes most of a second, and tests have something said from a process
of its own all the time. As a program it reads one JSON string with code per line from the socket
whose descriptor is its argument, and answers each with one line: what the code printed, or
its traceback.
"""

import contextlib
import io
import json
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Process

ANSWER_SECONDS = 120.0


class Shell:
    """`run()` from any thread; one piece of code is run at a time, each in a namespace of its
    own.
    """

    def __init__(self, name: str, log: Path, env: Mapping[str, str]) -> None:
        self._turn = threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(ANSWER_SECONDS)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-m", "tests.support.shell", str(fd)]
            self._process = Process(name, command, log, env, pass_fds=(fd,))

    def run(self, code: str) -> str:
        """Return what `code` printed; fail with its traceback where it raised."""
        with self._turn:
            self._socket.sendall(json.dumps(code).encode() + b"\n")
            line = self._lines.readline()
        assert line, f"{self._process} ended:\n{self._process.output}"
        answer = json.loads(line)
        assert answer["good"], f"The site's shell:\n{code}\n{answer['output']}"
        return str(answer["output"])

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
        self._process.stop()


def main() -> None:
    import django
    from django.db import connections

    django.setup()
    with (
        socket.socket(fileno=int(sys.argv[1])) as answers,
        answers.makefile("r", encoding="utf-8") as lines,
    ):
        for line in lines:
            output = io.StringIO()
            good = True
            with contextlib.redirect_stdout(output):
                try:
                    exec(json.loads(line), {"__name__": "__main__"})  # noqa: S102
                except BaseException:
                    good = False
                    traceback.print_exc(file=output)
            connections.close_all()
            answer = json.dumps({"good": good, "output": output.getvalue()})
            answers.sendall(answer.encode() + b"\n")


if __name__ == "__main__":
    main()
