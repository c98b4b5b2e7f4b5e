#!/usr/bin/env python3
"""A person at http://localhost:8080: logs in at the sample application, connects at the make-believe Notion, sees her pages.

With a KEYFERRY_KEY_FILE also what the application's own program does: calls the provider with its key.
It needs nothing but Python, so that it can be run in the application's container. `walk.py connected` is a second
visit, for which the connection has to be there already.
"""

import json
import os
import re
import sys
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

HERE = "http://localhost:8080"
PAGES = ["On the Economy of Machinery", "Sketch of the Analytical Engine"]
SEARCH = "/proxy/notion/v1/search"

browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))


def ask(address, form=None, body=None, **headers):
    """Status and text of an answer; redirects are followed, as a browser does."""
    data = json.dumps(body).encode() if body is not None else urlencode(form).encode() if form is not None else None
    if body is not None:
        headers["content_type"] = "application/json"
    if data is not None and "authorization" not in headers:
        headers["origin"] = HERE
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with browser.open(Request(urljoin(HERE, address), data, headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def expect(status, answer):
    assert answer[0] == status, f"{status} was expected: {answer}"
    return answer[1]


def connect():
    refused = json.loads(expect(424, ask("/integrations/notion/items", accept="application/json")))
    assert refused["code"] == "not_connected" and refused["connect_url"].startswith(HERE), refused
    url = json.loads(expect(200, ask("/integrations/notion/authorize", form={"org_id": "analytical", "user_id": "ada"})))
    consent = expect(200, ask(url))
    yes = re.search(r'href="([^"]+)">Allow', consent).group(1).replace("&amp;", "&")
    expect(200, ask(yes))


expect(401, ask("/api/me"))
expect(200, ask("/login", form={"user": "ada"}))
assert json.loads(expect(200, ask("/api/me")))["name"] == "Ada Lovelace"
if sys.argv[1:] != ["connected"]:
    connect()
items = json.loads(expect(200, ask("/integrations/notion/items", accept="application/json")))
assert [item["name"] for item in items["items"]] == PAGES and not items["problems"], items
found = json.loads(expect(200, ask(SEARCH, body={"page_size": 10})))
assert len(found["results"]) == 2, found
print("a person connects and sees her pages")

if path := os.environ.get("KEYFERRY_KEY_FILE"):
    with open(path) as file:
        key = file.read().strip()
    browser = build_opener(ProxyHandler({}))
    person = {"keyferry_org": "analytical", "keyferry_user": "ada"}
    found = json.loads(expect(200, ask(SEARCH, body={}, authorization=f"Bearer {key}", **person)))
    assert len(found["results"]) == 2, found
    expect(401, ask(SEARCH, body={}, authorization="Bearer kf_wrong", **person))
    print("a program with its key calls for her, and one without does not")
