"""Somebody who visits the site over HTTP: keeps cookies, sends CSRF tokens, follows nothing by
itself.
"""

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["Location"] or ""

    def json(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """One browser's worth of cookies on the site at `base_url`, e.g. `http://127.0.0.1:8000`."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.cookies: dict[str, str] = {}

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def at(self, base_url: str) -> "Visitor":
        """Return the same visitor, logged in alike, on another process of the site."""
        other = Visitor(base_url)
        other.cookies = dict(self.cookies)
        return other

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a form; with `files` (field: (file name, content)) as multipart."""
        body, content_type = _encode(data or {}, files)
        headers = {
            "Content-Type": content_type,
            "X-CSRFToken": self._csrf_token(),
            **(headers or {}),
        }
        return self.request("POST", path, body, headers)

    def login(self, username: str, password: str | None = None) -> "Visitor":
        """Log in through the site's own form (the password is the name, if not given)."""
        response = self.post("/login/", {"username": username, "password": password or username})
        assert response.status == 302, f"login as {username}: {response.status}\n{response.text}"
        return self

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=30)
        try:
            connection.request(
                method, path, body, {"Cookie": self.cookie_header, **(headers or {})}
            )
            answer = connection.getresponse()
            self._take_cookies(answer.headers)
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def _csrf_token(self) -> str:
        if "csrftoken" not in self.cookies:
            self.get("/login/")
        return self.cookies["csrftoken"]

    def _take_cookies(self, headers: http.client.HTTPMessage) -> None:
        for line in headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)


def _encode(
    data: Mapping[str, str], files: Mapping[str, tuple[str, bytes]] | None
) -> tuple[bytes, str]:
    if files is None:
        return urlencode(data).encode(), "application/x-www-form-urlencoded"
    boundary = uuid.uuid4().hex
    disposition = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    parts = [f'{disposition}{name}"\r\n\r\n{value}\r\n'.encode() for name, value in data.items()]
    for name, (filename, content) in files.items():
        head = f'{disposition}{name}"; filename="{filename}"\r\n'
        kind = "Content-Type: application/octet-stream\r\n\r\n"
        parts.append(head.encode() + kind.encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"
