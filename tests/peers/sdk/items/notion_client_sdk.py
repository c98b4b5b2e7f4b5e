#!/usr/bin/env python3
"""What people write instead: PyPI notion-client, unmodified, and a loop that prints each record as an item.

    python sdk/items/notion_client_sdk.py BASE_URL TOKEN
"""

import json
import sys

from notion_client import Client
from notion_client.helpers import iterate_paginated_api

base_url, token = sys.argv[1:3]
notion = Client(auth=token, base_url=base_url, notion_version="2026-03-11")
SORT = {"timestamp": "last_edited_time", "direction": "ascending"}
PARENTS = ["data_source_id", "database_id", "page_id", "block_id", "agent_id"]

for record in iterate_paginated_api(notion.search, sort=SORT, page_size=100):
    if record.get("in_trash"):
        continue
    values = record.get("properties", {}).values()
    runs = record.get("title") or next((value["title"] for value in values if value["type"] == "title"), [])
    parent = record.get("parent", {})
    item = {
        "id": record["id"],
        "type": record["object"],
        "directory": record["object"] in ("data_source", "database"),
        "parent_path_or_name": None,
        "parent_id": next((parent[key] for key in PARENTS if parent.get(key)), None),
        "name": "".join(run["plain_text"] for run in runs) or "Untitled",
        "creation_time": record.get("created_time"),
        "last_modified_time": record.get("last_edited_time"),
        "url": record.get("url"),
        "children": None,
        "mime_type": None,
        "delta": None,
        "drive_id": None,
        "visibility": True,
    }
    sys.stdout.write(json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n")
