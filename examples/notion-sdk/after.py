import os

from notion_client import Client

notion = Client(
    auth=os.environ.get("KEYFERRY_TOKEN", "nothing"),
    base_url=os.environ.get("KEYFERRY_URL", "http://localhost:8080") + "/proxy/notion",
)

for result in notion.search(page_size=10)["results"]:
    print(result["object"], result["id"])
