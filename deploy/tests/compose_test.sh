#!/usr/bin/env bash
# What no machine without a Docker engine can show: the images build, the deployment comes up, a picture becomes a mesh,
# stages scale, and everything goes away again. Run it by `make compose-test`; it takes a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! docker info >/dev/null 2>&1; then
    echo "SKIPPED: there is no Docker engine here"
    exit 0
fi

target="$(mktemp -d)"
cleanup() {
    deploy/deploy_linux.sh --uninstall --yes "$target"
    rm -rf "$target"
}
trap cleanup EXIT

deploy/deploy_linux.sh --cpu "$target"
test -s "$target/out/elephant.stl"

compose() { docker compose --env-file "$target/.env" "$@"; }
compose up --detach --wait --scale infer=2 --scale export=3
test "$(compose ps --quiet infer | wc -l)" -eq 2
test "$(compose ps --quiet export | wc -l)" -eq 3

# What docs/OPERATIONS.md tells the operator to run.
mkdir "$target/backups"
compose run --rm -T --volume "$target/backups:/backups" topology backup /backups/first
test -s "$target/backups/first/manifest.json"
compose run --rm -T topology gc --dry-run

# The images hold the program and nothing to build it with; their sizes belong into BENCHMARKS.md.
docker images --format '{{.Repository}} {{.Size}}' | grep '^orfeas-'
for image in ingest infer export metrics tools; do
    test "$(docker inspect --format '{{.Config.User}}' "orfeas-$image")" = 10001:10001
done
echo "the deployment came up, scaled and made a mesh"
