#!/usr/bin/env python3
"""What the manifests promise, beyond the API's schemas; and the shape of KEDA's ScaledObject, whose schema is KEDA's own.

    check_kubernetes.py base|gpu|watch|model FILE
"""

import re
import sys

import yaml

PODS = {"Deployment", "StatefulSet", "Job"}
PORTS = {"ingest": 9101, "infer": 9102, "export": 9103, "metrics": 9100}


def main(overlay, path):
    with open(path) as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
        expect(document["metadata"].get("namespace") == "orfeas", f"{document['kind']} lies in no namespace")
    for kind in PODS:
        for name, document in by_kind.get(kind, {}).items():
            pod(kind, name, document["spec"]["template"]["spec"], overlay)
    names = {name for kind in PODS for name in by_kind.get(kind, {})}
    if overlay == "watch":
        expect(names == {"prometheus", "grafana"}, f"watch has {names}")
        watched(by_kind)
    elif overlay == "model":
        expect(names == {"model"}, f"model has {names}")
    else:
        expect(names == {*PORTS, "nats", "topology"}, f"{overlay} has {names}")
        pipeline(by_kind, overlay)
    print(f"{overlay}: {len(documents)} objects as promised")


def pod(kind, name, spec, overlay):
    """What holds for every pod: the profile `restricted` of Kubernetes' pod security, probes, limits, secrets as files."""
    security = spec["securityContext"]
    expect(security["runAsNonRoot"] and security["runAsUser"] > 0, f"{name} may run as root")
    expect(security["seccompProfile"]["type"] == "RuntimeDefault", f"{name} has every system call")
    expect(spec["automountServiceAccountToken"] is False, f"{name} can talk to the cluster")
    for container in spec["containers"]:
        security = container["securityContext"]
        expect(security["readOnlyRootFilesystem"], f"{name} can write to its root")
        expect(not security["allowPrivilegeEscalation"], f"{name} may gain privileges")
        expect(security["capabilities"]["drop"] == ["ALL"], f"{name} keeps capabilities")
        resources = container["resources"]
        expect("memory" in resources["limits"] and {"cpu", "memory"} <= set(resources["requests"]), f"{name}'s resources")
        gpus = resources["limits"].get("nvidia.com/gpu")
        expect((gpus == "1") == (overlay == "gpu" and name == "infer"), f"{name} has {gpus} GPUs")
        if kind != "Job":
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                expect(probe in container, f"{name} has no {probe}")
        for variable in container.get("env", []):
            secret = "PASSWORD" in variable["name"] or "TOKEN" in variable["name"]
            expect(not secret or variable["value"].startswith("/run/secrets/"), f"{name}: {variable['name']} is no file")
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        there = {volume["name"] for volume in spec.get("volumes", [])} | {"data"}
        expect(mounted <= there, f"{name} mounts {mounted - there}, which is nothing")


def pipeline(by_kind, overlay):
    # With a hash in its name: to change a setting is to restart who reads it.
    ((settings, document),) = by_kind["ConfigMap"].items()
    expect(re.fullmatch("orfeas-settings-[a-z0-9]{10}", settings), f"the settings are called {settings}")
    for name, reader in [*by_kind["Deployment"].items(), *by_kind["Job"].items()]:
        (container,) = reader["spec"]["template"]["spec"]["containers"]
        expect(container["envFrom"] == [{"configMapRef": {"name": settings}}], f"{name} reads other settings")
    grace = int(document["data"]["ORFEAS_SHUTDOWN_GRACE"].removesuffix("s"))
    for name, port in PORTS.items():
        document = by_kind["Deployment"][name]
        spec = document["spec"]["template"]["spec"]
        expect(spec["terminationGracePeriodSeconds"] > grace, f"{name} is killed before it has given its work back")
        (container,) = spec["containers"]
        user = {variable["name"]: variable["value"] for variable in container["env"]}
        expect(user["ORFEAS_NATS_USER"] == name, f"{name} logs in as {user['ORFEAS_NATS_USER']}")
        paths = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
        expect(paths == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}, f"{name} is asked {paths}")
        # deploy/prometheus/prometheus.yml looks for every replica by this name and port.
        service = by_kind["Service"][name]["spec"]
        expect(service["clusterIP"] == "None" and service["publishNotReadyAddresses"], f"Prometheus sees one {name} of many")
        expect(service["ports"][0]["port"] == container["ports"][0]["containerPort"] == port, f"{name}'s port")
    document = by_kind["Deployment"]["infer"]
    infer = document["spec"]["template"]["spec"]
    expect(("nodeSelector" in infer) == (overlay == "gpu"), "infer is put on the wrong nodes")
    mounts = {mount["mountPath"]: mount for mount in infer["containers"][0]["volumeMounts"]}
    if overlay == "gpu":
        expect("infer-cuda" in infer["containers"][0]["image"], "infer has no CUDA")
        expect(mounts["/models"]["readOnly"] and not mounts["/cache"].get("readOnly"), f"infer mounts {mounts}")
        claim = infer_volume(infer, mounts["/cache"]["name"])["persistentVolumeClaim"]["claimName"]
        expect(claim in by_kind["PersistentVolumeClaim"], f"there is no claim {claim}")
        expect(document["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}, "a GPU for one more")
    else:
        expect("PersistentVolumeClaim" not in by_kind, "without a GPU nothing but NATS needs storage")
    expect(set(by_kind["PodDisruptionBudget"]) == {"nats", "ingest", "infer", "export"}, "a disruption budget is missing")
    for name, document in by_kind["PodDisruptionBudget"].items():
        expect(document["spec"]["maxUnavailable"] == 1, f"{name}'s disruption budget")
        expect(document["spec"]["selector"]["matchLabels"] == {"app": name}, f"{name}'s disruption budget is another's")
    nats = by_kind["StatefulSet"]["nats"]["spec"]
    expect(nats["replicas"] == 3, "NATS has not three servers")
    rules = nats["template"]["spec"]["affinity"]["podAntiAffinity"]
    expect("requiredDuringSchedulingIgnoredDuringExecution" in rules, "two servers may share a node")
    policies = by_kind["NetworkPolicy"]
    closed = policies["services"]["spec"]["podSelector"]["matchExpressions"][0]["values"]
    expect(set(closed) == set(PORTS) and "nats" in policies, "a listener is open to the cluster")
    scaled = by_kind["ScaledObject"]
    expect(set(scaled) == {"infer", "export"}, "KEDA scales others than infer and export")
    for name, document in scaled.items():
        spec = document["spec"]
        target = by_kind["Deployment"].get(spec["scaleTargetRef"]["name"])
        expect(target, f"KEDA scales {name}, which is not there")
        expect("replicas" not in target["spec"], f"to apply {name} again takes back what KEDA has scaled")
        expect(1 <= spec["minReplicaCount"] < spec["maxReplicaCount"], f"{name}'s replica counts")
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        wait = behavior["scaleDown"]["stabilizationWindowSeconds"]
        expect(wait >= 120 and "cooldownPeriod" not in spec, f"{name} is given up at once")
        (trigger,) = spec["triggers"]
        metadata = trigger["metadata"]
        expect(trigger["type"] == "nats-jetstream", f"{name} is scaled by {trigger['type']}")
        expect((metadata["stream"], metadata["consumer"]) == ("WORK", name), f"{name} is scaled by another queue")
        wanted = {"natsServerMonitoringEndpoint", "account", "lagThreshold"}
        expect(wanted <= set(metadata) and all(isinstance(v, str) for v in metadata.values()), f"{name}'s trigger")
        expect(metadata["natsServerMonitoringEndpoint"] == "nats.orfeas.svc.cluster.local:8222", f"{name}'s endpoint")


def infer_volume(spec, name):
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == name]
    return volume


def watched(by_kind):
    # Rules and dashboards reach the programs under the paths that their configuration names.
    spec = by_kind["StatefulSet"]["prometheus"]["spec"]["template"]["spec"]
    (config,) = [volume["projected"]["sources"] for volume in spec["volumes"] if volume["name"] == "config"]
    for source in config:
        data = by_kind["ConfigMap"][source["configMap"]["name"]]["data"]
        items = {item["key"]: item["path"] for item in source["configMap"].get("items", [])}
        expect(set(items) <= set(data), f"{items} is not in {set(data)}")
        expect(not items or all(path.startswith("rules/") for path in items.values()), f"rules lie in {items}")
    grafana = by_kind["Deployment"]["grafana"]["spec"]["template"]["spec"]
    (dashboards,) = [v["configMap"]["name"] for v in grafana["volumes"] if v["name"] == "dashboards"]
    expect(len(by_kind["ConfigMap"][dashboards]["data"]) == 3, "a dashboard is missing")


def expect(holds, sentence):
    if not holds:
        sys.exit(f"deploy/kubernetes: {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
