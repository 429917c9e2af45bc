#!/usr/bin/env python3
"""What docker-compose.yml promises, checked on what Compose itself makes of it (its JSON on standard input).

    docker-compose --profile gpu config --format json | check_compose.py gpu
"""

import json
import sys

SERVICES = {"nats", "topology", "ingest", "export", "metrics", "prometheus", "grafana"}
OURS = {"topology", "ingest", "infer", "infer-gpu", "export", "metrics"}


def main(profile):
    document = json.load(sys.stdin)
    services = document["services"]
    infer = "infer-gpu" if profile == "gpu" else "infer"
    expect(set(services) == SERVICES | {infer}, f"profile {profile} has {sorted(services)}")
    for name, service in services.items():
        once = name == "topology"
        expect(service.get("read_only") is True, f"{name} can write to its root")
        expect(service.get("cap_drop") == ["ALL"], f"{name} keeps capabilities")
        expect(service.get("user", "0").split(":")[0] not in ("0", "root"), f"{name} runs as root")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges")
        expect(service["restart"] == ("no" if once else "unless-stopped"), f"{name} restarts {service['restart']}")
        expect(service["logging"]["driver"] == "json-file", f"{name} logs elsewhere")
        expect({"max-size", "max-file"} <= set(service["logging"]["options"]), f"{name}'s log is not rotated")
        if not once:
            expect("healthcheck" in service, f"{name} has no health check")
            expect(service["deploy"]["resources"]["limits"].get("memory"), f"{name} has no memory limit")
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        expect(bool(devices) == (name == "infer-gpu"), f"{name} reserves {devices}")
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name} is open to the world on {port}")
        for variable, value in (service.get("environment") or {}).items():
            secret = "PASSWORD" in variable or "TOKEN" in variable
            expect(not secret or value.startswith("/run/secrets/"), f"{name}: {variable} is no file")
        expect("container_name" not in service, f"{name} has a name of its own, so it cannot be scaled")
        if name in (infer, "export"):
            expect(not service.get("ports"), f"{name} publishes a port, so it cannot be scaled")
        if name in OURS - {"topology"}:
            expect(service["depends_on"]["topology"]["condition"] == "service_completed_successfully", f"{name} starts early")
            expect(service["healthcheck"]["test"][1:3] == ["orfeas", "healthcheck"], f"{name}'s health check")
    expect(services["topology"]["depends_on"]["nats"]["condition"] == "service_healthy", "topology starts early")
    aliases = services[infer].get("networks", {}).get("default") or {}
    expect(profile == "cpu" or aliases.get("aliases") == ["infer"], "Prometheus cannot find infer-gpu")
    print(f"profile {profile}: {len(services)} services as promised")


def expect(holds, sentence):
    if not holds:
        sys.exit(f"docker-compose.yml: {sentence}")


if __name__ == "__main__":
    main(sys.argv[1])
