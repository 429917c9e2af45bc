#!/usr/bin/env python3
"""What docker-compose.yml promises, checked on what Compose itself makes of it (its JSON on standard input).

    docker-compose --profile gpu config --format json | check_compose.py gpu NAME_OF_INFER [OVERLAY]
"""

import json
import sys

SERVICES = {"nats", "topology", "ingest", "export", "metrics", "prometheus", "grafana"}
OURS = {"topology", "ingest", "infer", "infer-gpu", "infer-1", "export", "metrics"}
# What the files beside docker-compose.yml add.
OVERLAYS = {"": set(), "cluster": {"nats2", "nats3"}, "alertmanager": {"alertmanager"}, "tls": set(), "gpus": {"infer-1"}}


def main(profile, infer, overlay=""):
    document = json.load(sys.stdin)
    services = document["services"]
    infers = {infer} | (OVERLAYS[overlay] if overlay == "gpus" else set())
    expect(set(services) == SERVICES | {infer} | OVERLAYS[overlay], f"profile {profile} has {sorted(services)}")
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
        expect(bool(devices) == (profile == "gpu" and name in infers), f"{name} reserves {devices}")
        expect(sum(device.get("count", 0) or len(device["device_ids"]) for device in devices) <= 1, f"{name} reserves {devices}")
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name} is open to the world on {port}")
        for variable, value in (service.get("environment") or {}).items():
            secret = "PASSWORD" in variable or "TOKEN" in variable
            expect(not secret or value.startswith("/run/secrets/"), f"{name}: {variable} is no file")
        expect("container_name" not in service, f"{name} has a name of its own, so it cannot be scaled")
        if name in infers | {"export"}:
            expect(service["deploy"]["replicas"] == 1, f"{name} has {service['deploy'].get('replicas')} replicas")
            expect(not service.get("ports"), f"{name} publishes a port, so it cannot be scaled")
        if name in OURS - {"topology"}:
            expect(service["depends_on"]["topology"]["condition"] == "service_completed_successfully", f"{name} starts early")
            expect(service["healthcheck"]["test"][1:3] == ["orfeas", "healthcheck"], f"{name}'s health check")
    expect(services["topology"]["depends_on"]["nats"]["condition"] == "service_healthy", "topology starts early")
    for name in infers:
        service = services[name]
        aliases = (service.get("networks", {}).get("default") or {}).get("aliases", [])
        expect(name == "infer" or aliases == ["infer"], f"Prometheus cannot find {name}")
        cuda = service["image"].startswith("orfeas-infer-cuda:") and service["build"]["target"] == "infer-cuda"
        expect(cuda == (profile == "gpu"), f"{name} runs {service['image']}")
        # Without a place for compiled kernels every start compiles them anew; the root is read-only.
        caches = [volume for volume in service["volumes"] if volume["target"] == "/cache" and not volume.get("read_only")]
        expect(bool(caches) == (profile == "gpu"), f"{name} keeps its kernels in {caches}")
        expect(service["environment"]["ORFEAS_NATS_USER"] == "infer", f"{name} logs in as somebody else")
    if overlay == "gpus":
        given = [services[name]["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for name in infers]
        expect(len({tuple(ids) for ids in given}) == len(infers), f"two share a GPU: {given}")
    if overlay == "cluster":
        for name in OURS & set(services):
            environment = services[name]["environment"]
            expect(environment["ORFEAS_NATS_URL"].count("nats://") == 3, f"{name} knows not all servers")
            expect(environment["ORFEAS_REPLICAS"] == "3", f"{name} makes no replicas")
        # Servers of a cluster delete the streams of a server that stood alone, so its store is mounted nowhere.
        mounts = {name: {v["target"]: v["source"] for v in service.get("volumes", [])} for name, service in services.items()}
        stores = [mounts[name]["/data"] for name in ("nats", "nats2", "nats3")]
        expect(stores == ["nats1-data", "nats2-data", "nats3-data"], f"the servers store in {stores}")
        expect(all("nats-data" not in each.values() for each in mounts.values()), "the single server's store is mounted")
        expect(mounts["metrics"]["/watch/nats"] == "nats1-data", "metrics watches another disk")
    if overlay == "tls":
        expect(services["nats"]["command"] == ["-c", "/etc/orfeas-nats/tls.conf"], "the server speaks without TLS")
        for name in OURS & set(services):
            expect(services[name]["environment"]["ORFEAS_NATS_URL"] == "tls://nats:4222", f"{name} speaks without TLS")
            own = {f"nats-{services[name]['environment']['ORFEAS_NATS_USER']}", "tls-ca", "tls-cert", "tls-key"}
            expect({secret["source"] for secret in services[name]["secrets"]} == own, f"{name} lacks a secret")
    print(f"profile {profile}: {len(services)} services as promised")


def expect(holds, sentence):
    if not holds:
        sys.exit(f"docker-compose.yml: {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
