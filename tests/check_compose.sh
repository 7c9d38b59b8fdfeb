#!/usr/bin/env bash
# docker-compose.yml is valid: every service that stays has a health check, nothing is reachable from beyond this machine,
# images are pinned, and what is mounted from here is there and only read.
set -euo pipefail
cd "$(dirname "$0")/.."
docker-compose config >/dev/null
/usr/bin/python3 - <<'PY'
import pathlib
import re
import sys
import yaml

services = yaml.safe_load(open("docker-compose.yml", encoding="utf-8"))["services"]
wrong = []
if set(services) != {"kafka", "redis", "token", "freshet", "prometheus", "grafana"}:
    wrong.append(f"services {sorted(services)}")
for name, service in services.items():
    if "healthcheck" not in service and service.get("restart") != "no":
        wrong.append(f"{name}: no health check")
    if "build" not in service and not re.search(r":v?[0-9][\w.-]*$", service["image"]):
        wrong.append(f"{name}: image {service['image']} is not pinned")
    wrong += [f"{name}: port {p} is beyond loopback" for p in service.get("ports", []) if not str(p).startswith("127.0.0.1:")]
    for here, _, rest in (v.partition(":") for v in service.get("volumes", [])):
        if here.startswith("./") and not (pathlib.Path(here).exists() and rest.endswith(":ro")):
            wrong.append(f"{name}: {here} is not there, or not mounted read-only")
grace = re.fullmatch(r"(\d+)s", str(services["freshet"].get("stop_grace_period")))
if not grace or int(grace[1]) < 30:  # daemon.drain is 20 s, and 10 s come after it
    wrong.append("freshet: is killed before it has drained")
if wrong:
    sys.exit("docker-compose.yml: " + "; ".join(wrong))
PY
