import os

from notion_client import Client

notion = Client(
    auth=os.environ["NOTION_TOKEN"],
)

for result in notion.search(page_size=10)["results"]:
    print(result["object"], result["id"])
