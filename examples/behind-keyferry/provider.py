#!/usr/bin/env python3
"""A make-believe Notion, so that the example runs without an account: it asks the person, gives tokens, and has two pages.

It stands for a provider and shows how to be none: it keeps no passwords, and everybody is let in.
"""

import base64
import html
import json
import os
import secrets
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT = base64.b64encode(b"make-believe:make-believe").decode()
CALLBACK = "http://localhost:8080/integrations/notion/oauth2callback"
codes: set[str] = set()
tokens: set[str] = set()


def page(number: int, title: str) -> dict:
    identifier = f"00000000-0000-4000-8000-{number:012d}"
    return {
        "object": "page",
        "id": identifier,
        "created_time": "2026-01-05T10:00:00.000Z",
        "last_edited_time": f"2026-03-0{number}T09:30:00.000Z",
        "parent": {"type": "workspace", "workspace": True},
        "in_trash": False,
        "is_archived": False,
        "properties": {"title": {"id": "title", "type": "title", "title": [{"type": "text", "plain_text": title}]}},
        "url": f"http://localhost:8090/{identifier}",
    }


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if asked.path != "/v1/oauth/authorize" or query.get("redirect_uri") != CALLBACK:
            return self.json(404, {"object": "error", "code": "object_not_found", "message": "There is nothing here."})
        code = secrets.token_urlsafe()
        codes.add(code)
        yes = CALLBACK + "?" + urlencode({"code": code, "state": query.get("state", "")})
        no = CALLBACK + "?" + urlencode({"error": "access_denied", "state": query.get("state", "")})
        self.answer(200, "text/html; charset=utf-8", (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Make-believe Notion</title>'
            '<body style="font: 1rem/1.6 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto">'
            "<h1>Make-believe Notion</h1><p>May the reading list see your pages?</p>"
            f'<p><a href="{html.escape(yes)}">Allow</a> <a href="{html.escape(no)}">Deny</a></p></html>'
        ).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = json.loads(body or "{}")
        _, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if self.path == "/v1/oauth/token":
            if credentials != CLIENT or sent.get("code") not in codes:
                return self.json(400, {"error": "invalid_grant"})
            codes.remove(sent["code"])
            token = secrets.token_urlsafe()
            tokens.add(token)
            self.json(200, {"access_token": token, "token_type": "bearer", "workspace_name": "Make-believe"})
        elif self.path == "/v1/oauth/revoke":
            tokens.discard(sent.get("token"))
            self.json(200, {})
        elif credentials not in tokens:
            self.json(401, {"object": "error", "code": "unauthorized", "message": "API token is invalid."})
        elif self.path == "/v1/search":
            results = [page(1, "On the Economy of Machinery"), page(2, "Sketch of the Analytical Engine")]
            self.json(200, {"object": "list", "results": results, "has_more": False, "next_cursor": None})
        else:
            self.json(404, {"object": "error", "code": "object_not_found", "message": "There is nothing here."})

    def json(self, status: int, value):
        self.answer(status, "application/json", json.dumps(value).encode())

    def answer(self, status: int, kind: str, body: bytes):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    # The first process of a container is not ended by a signal that it has no word for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), 8090), Provider).serve_forever()
