#!/usr/bin/env python3
"""PyPI pyairtable, unmodified:  python sdk/pyairtable_sdk.py BASE_URL TOKEN

Prints what the SDK made of the answers, as JSON.
"""

import json
import sys

from pyairtable import Api

endpoint_url, token = sys.argv[1:3]
api = Api(token, endpoint_url=endpoint_url)
table = api.table("app1", "Täble / A&B?")

bases = api.bases()
every = table.all(formula="AND({Name} != '', {N} > 1)", fields=["Name", "Ünit"], page_size=2, sort=["-Name"])
one = table.get("rec1")
created = table.batch_create([{"Name": "Grüße, 世界"}, {"Name": "b"}])
updated = table.update("rec1", {"Name": "c"})
destroyed = table.batch_delete(["rec1", "rec2"])

print(json.dumps({
    "bases": [base.id for base in bases],
    "all": [record["id"] for record in every],
    "one": one["id"],
    "created": [record["fields"]["Name"] for record in created],
    "updated": updated["id"],
    "destroyed": [record["id"] for record in destroyed],
}))
