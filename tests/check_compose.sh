#!/usr/bin/env bash
# docker-compose.yml is valid, and every service in it has a health check.
set -euo pipefail
cd "$(dirname "$0")/.."
docker-compose config >/dev/null
/usr/bin/python3 - <<'PY'
import sys
import yaml

services = yaml.safe_load(open("docker-compose.yml", encoding="utf-8"))["services"]
missing = [name for name, service in services.items() if "healthcheck" not in service]
published = [p for service in services.values() for p in service.get("ports", []) if not str(p).startswith("127.0.0.1:")]
if missing or published or set(services) != {"kafka", "redis", "freshet"}:
    sys.exit(f"docker-compose.yml: services {sorted(services)}, no health check: {missing}, beyond loopback: {published}")
PY
