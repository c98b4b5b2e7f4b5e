#!/usr/bin/env python3
"""PyPI prometheus_client's own parsers over a page of metrics:  python prometheus.py URL [openmetrics]

Asks as Prometheus does, for OpenMetrics or for the text format. Prints JSON: the content type, and each family with its
type, its unit, its help and its samples as [name, labels, value].
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text

# What Prometheus 3 sends, and what one sends that is told to prefer the text format.
ACCEPT = {
    open_metrics: "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    text: "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2",
}

parse = open_metrics if sys.argv[2:] == ["openmetrics"] else text
request = urllib.request.Request(sys.argv[1], headers={"accept": ACCEPT[parse]})
with urllib.request.urlopen(request, timeout=30) as answer:
    content_type = answer.headers["content-type"]
    page = answer.read().decode()

families = [
    {
        "name": family.name,
        "type": family.type,
        "unit": family.unit,
        "help": family.documentation,
        "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }
    for family in parse(page)
]
print(json.dumps({"content_type": content_type, "families": families}))
