#!/usr/bin/env python3
"""What the manifests promise, beyond the API's schemas; and the shape of KEDA's ScaledObject, whose schema is KEDA's own.

    check_kubernetes.py base|gpu FILE
"""

import sys

import yaml

PODS = {"Deployment", "StatefulSet", "Job"}


def main(overlay, path):
    with open(path) as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
        expect(document["metadata"].get("namespace") == "orfeas", f"{document['kind']} lies in no namespace")
    for kind in PODS:
        for name, document in by_kind.get(kind, {}).items():
            pod = document["spec"]["template"]["spec"]
            expect(pod["securityContext"]["runAsNonRoot"], f"{name} may run as root")
            for container in pod["containers"]:
                security = container["securityContext"]
                expect(security["readOnlyRootFilesystem"], f"{name} can write to its root")
                expect(not security["allowPrivilegeEscalation"], f"{name} may gain privileges")
                expect("memory" in container["resources"]["limits"], f"{name} has no memory limit")
                gpus = container["resources"]["limits"].get("nvidia.com/gpu")
                expect((gpus == "1") == (overlay == "gpu" and name == "infer"), f"{name} has {gpus} GPUs")
    infer = by_kind["Deployment"]["infer"]["spec"]["template"]["spec"]
    expect(("nodeSelector" in infer) == (overlay == "gpu"), "infer is put on the wrong nodes")
    expect(set(by_kind["PodDisruptionBudget"]) == {"nats", "ingest", "infer", "export"}, "a disruption budget is missing")
    expect(by_kind["StatefulSet"]["nats"]["spec"]["replicas"] == 3, "NATS has not three servers")
    scaled = by_kind["ScaledObject"]
    expect(set(scaled) == {"infer", "export"}, "KEDA scales others than infer and export")
    for name, document in scaled.items():
        spec = document["spec"]
        expect(spec["scaleTargetRef"]["name"] in by_kind["Deployment"], f"KEDA scales {name}, which is not there")
        expect(1 <= spec["minReplicaCount"] < spec["maxReplicaCount"], f"{name}'s replica counts")
        (trigger,) = spec["triggers"]
        metadata = trigger["metadata"]
        expect(trigger["type"] == "nats-jetstream", f"{name} is scaled by {trigger['type']}")
        expect((metadata["stream"], metadata["consumer"]) == ("WORK", name), f"{name} is scaled by another queue")
        wanted = {"natsServerMonitoringEndpoint", "account", "lagThreshold"}
        expect(wanted <= set(metadata) and all(isinstance(v, str) for v in metadata.values()), f"{name}'s trigger")
    print(f"{overlay}: {len(documents)} objects as promised")


def expect(holds, sentence):
    if not holds:
        sys.exit(f"deploy/kubernetes: {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
