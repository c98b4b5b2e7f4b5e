#!/usr/bin/env python3
"""PyPI prometheus_client's own parser over a page of metrics:  python prometheus.py URL

Prints JSON: the content type, and each family with its type, its help and its samples as [name, labels, value].
"""

import json
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1], timeout=30) as answer:
    content_type = answer.headers["content-type"]
    page = answer.read().decode()

families = [
    {
        "name": family.name,
        "type": family.type,
        "help": family.documentation,
        "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }
    for family in text_string_to_metric_families(page)
]
print(json.dumps({"content_type": content_type, "families": families}))
