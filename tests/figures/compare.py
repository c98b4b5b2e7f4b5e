#!/usr/bin/env python3
"""Whole-process figures of Keyferry beside nginx, in one run.

The back end (nginx, 1 KiB of JSON, keep-alive) and the load (wrk) share one core; the contenders take turns on the other,
each with one worker. Both put one fixed bearer on each call and drop the caller's. What is compared is CPU time of the
contender's process per request, from /proc/PID/stat, so that a slow machine slows both alike. Each comes twice: silent,
and with a line of JSON for each call into a file (nginx buffers its lines, Keyferry hands its own to a thread). Last, what
an idle connection takes of memory.

    tests/figures/compare.py [--rounds 5] [--seconds 5] [--binary target/release/keyferry]

Needs Debian's nginx-light and wrk, and two cores.
"""

import argparse
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "figures-token"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--binary", default="target/release/keyferry")
    options = arguments.parse_args()
    for tool in ("nginx", "wrk", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed: apt-get install nginx-light wrk util-linux")
    with tempfile.TemporaryDirectory() as folder:
        run(options, pathlib.Path(folder))


def run(options, folder):
    children = []
    try:
        backend = free_port()
        children.append(start_backend(folder / "backend", backend))
        contenders, ports = {}, {}
        for logs in (True, False):
            suffix = "+log" if logs else ""
            nginx_port, keyferry_port, admin_port = free_port(), free_port(), free_port()
            nginx = start_nginx_proxy(folder / f"nginx{suffix}", nginx_port, backend, logs)
            children.append(nginx)
            started = time.monotonic()
            keyferry = start_keyferry(options.binary, folder / f"keyferry{suffix}", keyferry_port, admin_port, backend, logs)
            children.append(keyferry)
            wait_for(f"http://127.0.0.1:{admin_port}/readyz")
            startup = time.monotonic() - started
            connect(keyferry_port)
            idle = resident(keyferry.pid)
            ports |= {f"nginx{suffix}": nginx_port, f"keyferry{suffix}": keyferry_port}
            contenders[f"nginx{suffix}"] = (worker_of(nginx.pid), f"http://127.0.0.1:{nginx_port}/data.json")
            contenders[f"keyferry{suffix}"] = (keyferry.pid, f"http://127.0.0.1:{keyferry_port}/proxy/figures/data.json")
        for _, url in contenders.values():
            load(url, 1)
        seen = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, (pid, url) in contenders.items():
                before = cpu(pid)
                requests = load(url, options.seconds)
                seen[name].append((cpu(pid) - before) / requests * 1e6)
        medians = {name: statistics.median(values) for name, values in seen.items()}
        size = pathlib.Path(options.binary).stat().st_size
        print(f"binary            {size / 1e6:.1f} MB")
        print(f"start to ready    {startup * 1000:.0f} ms")
        print(f"memory idle       {idle / 1e6:.1f} MB")
        print(f"memory loaded     {resident(keyferry.pid) / 1e6:.1f} MB (nginx worker {resident(contenders['nginx'][0]) / 1e6:.1f} MB)")
        for name, values in seen.items():
            print(f"CPU per call      {name:13} {medians[name]:.1f} µs (median of {', '.join(f'{value:.1f}' for value in values)})")
        print(f"keyferry / nginx  {medians['keyferry'] / medians['nginx']:.2f}, with a line for each call {medians['keyferry+log'] / medians['nginx+log']:.2f}")
        for name in ("nginx", "keyferry"):
            pid, url = contenders[name]
            print(f"idle connection   {name:13} {idle_connection(pid, ports[name], url) / 1000:.1f} kB")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()


def start_backend(folder, port):
    root = folder / "root"
    root.mkdir(parents=True)
    body = json.dumps({"filler": "x" * 1000})
    (root / "data.json").write_text(body)
    server = f"""
    server {{
      listen 127.0.0.1:{port};
      keepalive_requests 1000000;
      root {root};
      default_type application/json;
      open_file_cache max=10;
    }}"""
    return start_nginx(folder, server, core=0)


def start_nginx_proxy(folder, port, backend, logs):
    folder.mkdir(parents=True)
    server = f"""
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000; }}
    server {{
      listen 127.0.0.1:{port};
      keepalive_requests 1000000;
      location / {{
        proxy_pass http://backend;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host 127.0.0.1:{backend};
        proxy_set_header Authorization "Bearer {TOKEN}";
      }}
    }}"""
    fields = ("time_iso8601", "request_id", "request_method", "status", "request_time", "upstream_response_time", "request_length", "bytes_sent")
    line = ",".join(f'"{field}":"${field}"' for field in fields)
    log = f"log_format call escape=json '{{{line}}}'; access_log {folder}/access.log call buffer=64k flush=1s;"
    return start_nginx(folder, server, core=1, log=log if logs else "access_log off;")


def start_nginx(folder, server, core, log="access_log off;"):
    configuration = folder / "nginx.conf"
    # Started by root, its worker would be nobody, who may not read this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(f"""
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  {log}
  sendfile off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  {server}
}}""")
    return subprocess.Popen(["taskset", "-c", str(core), "nginx", "-c", str(configuration), "-p", str(folder)])


def start_keyferry(binary, folder, port, admin_port, backend, logs):
    (folder / "providers").mkdir(parents=True)
    token_server = http.server.HTTPServer(("127.0.0.1", 0), TokenEndpoint)
    threading.Thread(target=token_server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{token_server.server_port}"
    (folder / "providers" / "figures.toml").write_text(f"""
display_name = "Figures"
[oauth]
authorization_endpoint = "{base}/authorize"
token_endpoint = "{base}/token"
[api]
base_url = "http://127.0.0.1:{backend}"
""")
    (folder / "config.toml").write_text(f"""
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin_port}"
public_url = "http://localhost:{port}"
providers_dir = "providers"
[store]
url = "memory:"
[integrations.figures]
client_id = "figures"
client_secret = "figures"
[log]
format = "json"
calls = "{'all' if logs else 'off'}"
""")
    environment = {**os.environ, "TOKIO_WORKER_THREADS": "1"}
    command = ["taskset", "-c", "1", binary, "serve", "--config", str(folder / "config.toml")]
    return subprocess.Popen(command, env=environment, stderr=open(folder / "log", "w"))


class TokenEndpoint(http.server.BaseHTTPRequestHandler):
    """A token endpoint that always answers the same: the figures are about calls, not about OAuth."""

    MORE = {}

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 86400, **self.MORE}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def connect(port, integration="figures"):
    base = f"http://127.0.0.1:{port}/integrations/{integration}"
    request = urllib.request.Request(f"{base}/authorize", data=b"", method="POST")
    request.add_header("content-type", "application/x-www-form-urlencoded")
    url = json.load(urllib.request.urlopen(request))
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["state"][0]
    urllib.request.urlopen(f"{base}/oauth2callback?code=figures&state={state}").read()


def load(url, seconds):
    command = ["taskset", "-c", "0", "wrk", "-t", "1", "-c", "64", "-d", f"{seconds}s"]
    command += ["-H", "Authorization: Bearer caller", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the load did not go well:\n{output}")
    return int(next(line.split()[0] for line in output.splitlines() if "requests in" in line))


def idle_connection(pid, port, url, count=1000):
    """Bytes of memory for one of `count` connections, each of which has had its answer and waits for the next request."""
    path = urllib.parse.urlsplit(url).path
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer caller\r\n\r\n".encode()
    before, connections = resident(pid), []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connections.append(connection)
        connection.sendall(request)
        answer = b""
        while b'"}' not in answer:
            answer += connection.recv(4096)
    after = resident(pid)
    for connection in connections:
        connection.close()
    return (after - before) / count


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


def worker_of(pid):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
    sys.exit("nginx started no worker")


def wait_for(url):
    deadline = time.monotonic() + 10
    while True:
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
