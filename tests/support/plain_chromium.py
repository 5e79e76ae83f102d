"""A Chromium without Playwright, whose tabs can be hidden and frozen.

Playwright has every page believe that it is looked at. Chromium then answers that it has frozen the
page, and goes on running it.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.browser import OPTIONS, PROGRAMS

ANSWER_SECONDS = 20


class Tab:
    """A page, the one that is looked at unless another was opened since."""

    def __init__(self, browser: "PlainChromium", target: str) -> None:
        self._browser = browser
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def send(self, method: str, **params: Any) -> Any:
        return self._browser.send(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def freeze(self) -> None:
        self.send("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        self.send("Page.setWebLifecycleState", state="active")


class PlainChromium:
    """Speaks Chromium's DevTools protocol over its pipe; one request at a time."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="carillon-chromium-")
        program = next(filter(None, map(shutil.which, PROGRAMS)))
        requests, self._out = os.pipe()
        answers_in, answers = os.pipe()
        command = [
            *(program, "--headless=new", "--remote-debugging-pipe"),
            *(f"--user-data-dir={self._profile}", *OPTIONS),
        ]

        def hand_over() -> None:
            """Put the pipes where Chromium looks for them: descriptors 3 and 4."""
            ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (requests, answers)]
            for fd, end in enumerate(ends, 3):
                os.dup2(end, fd)

        with (Path(self._profile) / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                preexec_fn=hand_over,
                pass_fds=(3, 4),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(requests)
        os.close(answers)
        self._answers = os.fdopen(answers_in, "rb", buffering=0)
        self._rest = b""
        self._last = 0

    def send(self, method: str, session: str = "", **params: Any) -> Any:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def log_in(self, base_url: str, cookies: Mapping[str, str]) -> None:
        values = [{"name": k, "value": v, "url": base_url} for k, v in cookies.items()]
        self.send("Storage.setCookies", cookies=values)

    def tab(self, url: str, script: str = "") -> Tab:
        """Open a page, in front of the others; `script` runs before its own."""
        tab = Tab(self, self.send("Target.createTarget", url="about:blank")["targetId"])
        tab.send("Page.enable")
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.send("Page.navigate", url=url)
        return tab

    def close(self) -> None:
        os.close(self._out)  # Chromium ends with its pipe
        self._process.wait(ANSWER_SECONDS)
        self._answers.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            data = self._answers.read(65536)
            assert data, "Chromium has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
