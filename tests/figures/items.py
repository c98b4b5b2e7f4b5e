#!/usr/bin/env python3
"""Items through Keyferry beside a twenty-line script with the vendor's own SDK, in one run.

A peer that renders its pages once (tests/peers/vendors.mjs) plays Notion's search and HubSpot's contacts, in pages of a
hundred; it and this reader share one core. The contenders take turns on the other: Keyferry with one worker, streaming
lines, and the scripts of tests/peers/sdk/items, which print the very same items. What is compared is items per second of
CPU time of the contender's process, from /proc/PID/stat and wait4(2); the scripts' start-up is measured and taken off.

First, a long list is streamed once while Keyferry's memory is looked at: after a tenth of it, and at its highest later.

    tests/figures/items.py [--rounds 5] [--items 1000000] [--each 100000] [--binary target/release/keyferry]

Needs two cores, and the packages of tests/peers (`tests/run tools`).
"""

import argparse
import http.client
import http.server
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from compare import TokenEndpoint, connect, cpu, free_port, resident, wait_for

PROVIDERS = pathlib.Path(__file__).resolve().parent.parent.parent / "providers"
PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
HUB = "48213377"
NODE, PYTHON = "node", str(PEERS / ".venv/bin/python")
CONTENDERS = {
    "notion": {
        "@notionhq/client": [NODE, "sdk/items/notion.mjs"],
        "notion-client (Python)": [PYTHON, "sdk/items/notion_client_sdk.py"],
    },
    "hubspot": {"@hubspot/api-client": [NODE, "sdk/items/hubspot.mjs"]},
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--items", type=int, default=1_000_000)
    arguments.add_argument("--each", type=int, default=100_000)
    arguments.add_argument("--binary", default="target/release/keyferry")
    options = arguments.parse_args()
    os.sched_setaffinity(0, {0})
    children = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(options, pathlib.Path(folder), children)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()


def run(options, folder, children):
    vendors = Vendors()
    children.append(vendors.process)
    port, admin = free_port(), free_port()
    keyferry = start_keyferry(options.binary, folder, port, admin, vendors.url)
    children.append(keyferry)
    wait_for(f"http://127.0.0.1:{admin}/readyz")
    for integration in CONTENDERS:
        connect(port, integration)

    for integration in CONTENDERS:
        vendors.holds(options.items)
        memory(keyferry.pid, port, integration, options.items)
    vendors.holds(options.each)
    for integration, scripts in CONTENDERS.items():
        rates(options, keyferry.pid, port, vendors, integration, scripts)


def memory(pid, port, integration, count):
    """One long list, and what it does to the process's memory."""
    seen = {"early": 0, "late": 0}

    def look(items):
        part = "early" if items < count / 10 else "late"
        seen[part] = max(seen[part], resident(pid))

    idle, began, before = resident(pid), time.monotonic(), cpu(pid)
    streamed(port, integration, count, look)
    spent, elapsed = cpu(pid) - before, time.monotonic() - began
    early, late = seen["early"] / 1e6, seen["late"] / 1e6
    print(f"{integration}: {count:,} items in {elapsed:.0f} s, {spent:.1f} s of CPU ({spent / count * 1e6:.1f} µs an item)")
    print(f"  memory          before {idle / 1e6:.1f} MB, in the first tenth {early:.1f} MB, later at most {late:.1f} MB", flush=True)


def rates(options, pid, port, vendors, integration, scripts):
    """Items per CPU second of each contender, in turn."""
    count = options.each
    vendors.holds(1)
    startup = {name: statistics.median(scripted(vendors, script, 1) for _ in range(3)) for name, script in scripts.items()}
    vendors.holds(count)
    seen = {name: [] for name in ["keyferry", *scripts]}
    for _ in range(options.rounds):
        before = cpu(pid)
        streamed(port, integration, count)
        seen["keyferry"].append(count / (cpu(pid) - before))
        for name, script in scripts.items():
            seen[name].append(count / (scripted(vendors, script, count) - startup[name]))
    medians = {name: statistics.median(values) for name, values in seen.items()}
    for name, values in seen.items():
        listed = ", ".join(f"{value:,.0f}" for value in values)
        ratio = "" if name == "keyferry" else f"   keyferry does {medians['keyferry'] / medians[name]:.1f} times as many"
        print(f"  items per CPU s {name:23} {medians[name]:9,.0f} (median of {listed}){ratio}", flush=True)


def streamed(port, integration, count, look=None):
    """Reads a list from Keyferry; it has to be whole."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/integrations/{integration}/items")
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"{integration}: {answer.status} {answer.read()}")
    lines, last, looked = 0, b"", 0
    while chunk := answer.read1(1 << 18):
        lines += chunk.count(b"\n")
        last = (last + chunk)[-4096:]
        if look and lines - looked >= count / 200:
            looked = lines
            look(lines)
    ending = json.loads(last.rstrip(b"\n").rsplit(b"\n", 1)[-1])
    if lines != count + 1 or ending != {"problems": [], "next": None}:
        sys.exit(f"{integration}: {lines - 1} items and {ending}")
    connection.close()


def scripted(vendors, script, count):
    """Runs a script and answers the CPU seconds that it took."""
    interpreter, path = script
    command = ["taskset", "-c", "1", interpreter, str(PEERS / path), vendors.url, "figures-token", HUB]
    if interpreter == PYTHON:
        command.pop()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    lines = 0
    while chunk := os.read(process.stdout.fileno(), 1 << 18):
        lines += chunk.count(b"\n")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or lines != count:
        sys.exit(f"{path}: exit code {process.returncode}, {lines} items")
    return usage.ru_utime + usage.ru_stime


class Vendors:
    """The peer: it takes any token and keeps no record of what it was asked."""

    def __init__(self):
        command = ["taskset", "-c", "0", NODE, str(PEERS / "vendors.mjs"), '{"record": false}']
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def holds(self, records):
        body = json.dumps({"synthetic": {"records": records}}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_settings", data=body, method="POST")).read()


def start_keyferry(binary, folder, port, admin, vendors):
    (folder / "providers").mkdir(parents=True)
    token_server = http.server.HTTPServer(("127.0.0.1", 0), Granting)
    threading.Thread(target=token_server.serve_forever, daemon=True).start()
    authority = f"http://127.0.0.1:{token_server.server_port}"
    integrations = ""
    for name in CONTENDERS:
        # The shipped file as it is, at the peer's address, without the vendor's speed limit, and without the end that
        # Notion puts to a search.
        shipped = (PROVIDERS / f"{name}.toml").read_text()
        (folder / "providers" / f"endless-{name}.toml").write_text(shipped.replace("max = 200", "max = 1000000"))
        (folder / "providers" / f"here-{name}.toml").write_text(f"""
extends = "endless-{name}"
[oauth]
authorization_endpoint = "{authority}/authorize"
token_endpoint = "{authority}/token"
revocation_endpoint = "{authority}/revoke"
[api]
base_url = "{vendors}"
rate = {{ limit = 1000000, per = "1s" }}
""")
        integrations += f"""
[integrations.{name}]
provider = "here-{name}"
client_id = "figures"
client_secret = "figures"
"""
    (folder / "config.toml").write_text(f"""
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
public_url = "http://localhost:{port}"
providers_dir = "providers"
[store]
url = "memory:"
[log]
level = "warn"
{integrations}""")
    environment = {**os.environ, "TOKIO_WORKER_THREADS": "1"}
    command = ["taskset", "-c", "1", binary, "serve", "--config", str(folder / "config.toml")]
    return subprocess.Popen(command, env=environment, stderr=open(folder / "log", "w"))


class Granting(TokenEndpoint):
    """The same token for everybody, and HubSpot's number of the account, which its URLs hold."""

    MORE = {"hub_id": int(HUB)}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
