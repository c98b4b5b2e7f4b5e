#!/usr/bin/env python3
"""The application: two users, a login by cookie, one page. It holds no token and speaks no OAuth.

It was written without Keyferry in mind, save that its page reads /integrations/notion/items, an address of its own origin.
"""

import json
import os
import secrets
import signal
import sys
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

PAGE = Path(__file__).with_name("page.html").read_bytes()
USERS = {
    "ada": {"id": "ada", "name": "Ada Lovelace", "org": {"id": "analytical"}},
    "bob": {"id": "bob", "name": "Bob Babbage", "org": {"id": "analytical"}},
}
sessions: dict[str, str] = {}


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.answer(200, PAGE, "text/html; charset=utf-8")
        elif self.path == "/api/me":
            user = USERS.get(sessions.get(self.session(), ""))
            self.json(200, user) if user else self.json(401, {"error": "nobody is logged in"})
        else:
            self.json(404, {"error": "there is nothing here"})

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        user = form.get("user", [""])[0]
        if self.path == "/login" and user in USERS:
            session = secrets.token_urlsafe()
            sessions[session] = user
            self.back(f"session={session}; Path=/; HttpOnly; SameSite=Lax")
        elif self.path == "/logout":
            sessions.pop(self.session(), None)
            self.back("session=; Path=/; Max-Age=0")
        else:
            self.json(404, {"error": "there is nothing here"})

    def session(self) -> str:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        return cookie.value if cookie else ""

    def back(self, cookie: str):
        self.answer(303, b"", "text/plain", {"Location": "/", "Set-Cookie": cookie})

    def json(self, status: int, value):
        self.answer(status, json.dumps(value).encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] = {}):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    # The first process of a container is not ended by a signal that it has no word for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), 3000), Application).serve_forever()
