#!/usr/bin/env python3
"""PyPI notion-client, unmodified:  python sdk/notion_client_sdk.py BASE_URL TOKEN

Prints what the SDK made of the answers, as JSON. The file is not called notion_client.py, which would hide the package.
"""

import json
import sys

from notion_client import APIErrorCode, APIResponseError, Client
from notion_client.helpers import collect_paginated_api

base_url, token = sys.argv[1:3]
notion = Client(auth=token, base_url=base_url)


def identifier(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def missing() -> str:
    try:
        notion.pages.retrieve(page_id=identifier(404))
    except APIResponseError as error:
        return "object_not_found" if error.code == APIErrorCode.ObjectNotFound else str(error)
    return "found"


me = notion.users.me()
found = collect_paginated_api(notion.search, query='Übersicht "2026" / ☂', page_size=1)
children = collect_paginated_api(notion.blocks.children.list, block_id=identifier(2), page_size=2)
page = notion.pages.retrieve(page_id=identifier(2), filter_properties=["title", "a&b=c +d"])
created = notion.pages.create(
    parent={"page_id": identifier(2)},
    properties={"title": {"title": [{"text": {"content": 'Grüße, 世界 \u2028 "quoted" \\ '}}]}},
)
updated = notion.pages.update(page_id=identifier(2), in_trash=False)

print(json.dumps({
    "me": me["name"],
    "found": [item["id"] for item in found],
    "children": [block["id"] for block in children],
    "page": page["id"],
    "created": created["id"],
    "updated": updated["id"],
    "missing": missing(),
}))
