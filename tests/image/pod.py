#!/usr/bin/env python3
"""deploy/kubernetes as `podman kube play` is to run it, on standard output.

What is different from the files: placeholders are filled; the Redis and the provider that a cluster has elsewhere are
containers of the pod; one replica; no probes, which podman would run by a shell (the caller runs their commands).
"""

import json
import sys
from pathlib import Path

import yaml

secrets = json.loads(sys.argv[1])
documents = [
    document
    for file in sorted(Path("deploy/kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
    if document["kind"] in ("ConfigMap", "Secret", "Deployment")
]
for document in documents:
    if document["kind"] == "Secret":
        document["stringData"] = {name: secrets[name] for name in document["stringData"]}
    if document["kind"] == "ConfigMap":
        data = document["data"]
        data["config.toml"] = data["config.toml"].replace('"replace-me"', '"make-believe"')
documents.append({
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "providers"},
    "data": {"make-believe.toml": Path("examples/behind-keyferry/providers/make-believe.toml").read_text()},
})

deployment = next(document for document in documents if document["kind"] == "Deployment")
deployment["spec"]["replicas"] = 1
pod = deployment["spec"]["template"]["spec"]
pod["hostAliases"] = [{"ip": "127.0.0.1", "hostnames": ["redis"]}]
keyferry, application = pod["containers"]
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    del keyferry[probe]
keyferry["env"] += [
    {"name": "KEYFERRY_SERVER__PUBLIC_URL", "value": "http://localhost:8080"},
    {"name": "KEYFERRY_SERVER__PROVIDERS_DIR", "value": "/providers"},
    {"name": "KEYFERRY_INTEGRATIONS__NOTION__PROVIDER", "value": "make-believe"},
]
keyferry["volumeMounts"].append({"name": "providers", "mountPath": "/providers"})
pod["volumes"].append({"name": "providers", "configMap": {"name": "providers"}})
pod["containers"] += [
    {**application, "name": "provider", "command": ["python3", "/app/provider.py"], "env": []},
    {
        "name": "redis",
        "image": "docker.io/library/redis:8-alpine",
        "imagePullPolicy": "Never",
        "command": ["redis-server", "--save", "", "--requirepass", secrets["redis-password"]],
    },
]
yaml.safe_dump_all(documents, sys.stdout, sort_keys=False)
