#!/usr/bin/env python3
"""deploy/kubernetes as `podman kube play` is to run it, on standard output.

What is different from the files: placeholders are filled; Secrets are folders of this machine, since podman 4.3 does not
decode those of Kubernetes; the Redis and the provider that a cluster has elsewhere are containers of the pod; one
replica; no probes, which podman would run by a shell (the caller runs their commands); no ports, since the pod's network
is loopback alone.
"""

import json
import sys
from pathlib import Path

import yaml

secrets, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
documents = [
    document
    for file in sorted(Path("deploy/kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
    if document["kind"] in ("ConfigMap", "Secret", "Deployment")
]
for document in documents:
    if document["kind"] == "Secret":
        place = folder / document["metadata"]["name"]
        place.mkdir()
        for name in document["stringData"]:
            (place / name).write_text(secrets[name])
    if document["kind"] == "ConfigMap":
        data = document["data"]
        data["config.toml"] = data["config.toml"].replace('"replace-me"', '"make-believe"')
        data["config.toml"] = data["config.toml"].replace("sha256:replace-me", secrets["caller-key-hash"])
documents.append({
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "providers"},
    "data": {"make-believe.toml": Path("examples/behind-keyferry/providers/make-believe.toml").read_text()},
})

deployment = next(document for document in documents if document["kind"] == "Deployment")
deployment["spec"]["replicas"] = 1
pod = deployment["spec"]["template"]["spec"]
keyferry, application = pod["containers"]
for key in ("startupProbe", "readinessProbe", "livenessProbe", "ports"):
    del keyferry[key]
keyferry["env"] = [
    {"name": "KEYFERRY_SERVER__PUBLIC_URL", "value": "http://localhost:8080"},
    {"name": "KEYFERRY_STORE__URL", "value": "redis://localhost:6379"},
    {"name": "KEYFERRY_SERVER__PROVIDERS_DIR", "value": "/providers"},
    {"name": "KEYFERRY_INTEGRATIONS__NOTION__PROVIDER", "value": "make-believe"},
]
for volume in pod["volumes"]:
    if secret := volume.pop("secret", None):
        volume["hostPath"] = {"path": str(folder / secret["secretName"]), "type": "Directory"}
keyferry["volumeMounts"].append({"name": "providers", "mountPath": "/providers"})
pod["volumes"].append({"name": "providers", "configMap": {"name": "providers"}})
pod["containers"] += [
    {**application, "name": "provider", "command": ["python3", "/app/provider.py"], "env": [], "volumeMounts": []},
    {
        "name": "redis",
        "image": "docker.io/library/redis:8-alpine",
        "imagePullPolicy": "Never",
        "command": ["redis-server", "--save", "", "--requirepass", secrets["redis-password"]],
    },
]
documents = [document for document in documents if document["kind"] != "Secret"]
yaml.safe_dump_all(documents, sys.stdout, sort_keys=False)
