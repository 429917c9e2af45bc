#!/usr/bin/env bash
# A picture in, a mesh out, with the `nats` command (github.com/nats-io/natscli, 0.2.4 or later) and jq.
#
#   NATS_URL=nats://127.0.0.1:4222 client.sh picture.png out.stl
#   NATS_USER=client NATS_PASSWORD="$(cat secrets/nats-client)" client.sh picture.png out.stl
set -euo pipefail

picture="${1:?a picture}" out="${2:?the mesh to write}"
job="shell-$$-$(date +%s%N)"
login=()
# The user's permissions name this prefix: answers that go elsewhere are refused.
[ -z "${NATS_USER:-}" ] || login=(--inbox-prefix "_INBOX_$NATS_USER")

# A picture may have what looks like a template in it.
nats "${login[@]}" publish orfeas.images --header "Orfeas-Job:$job" --header 'Orfeas-Options:{"formats":["stl"]}' \
    --jetstream --no-templates --force-stdin <"$picture" >&2

# The job's record is there from the moment that it is accepted, and holds the event that ended it.
state=waiting
until [[ "$state" =~ ^(completed|failed|cancelled)$ ]]; do
    sleep 0.5
    record="$(nats "${login[@]}" kv get orfeas-jobs "$job" --raw 2>/dev/null || echo '{}')"
    state="$(jq -r '.state // "waiting"' <<<"$record")"
done
if [ "$state" != completed ]; then
    jq -r '.outcome.message // "the job was cancelled"' <<<"$record" >&2
    exit 1
fi

nats "${login[@]}" object get orfeas-meshes "$(jq -r '.outcome.files[0].object' <<<"$record")" --output "$out" --force --no-progress >&2
printf '%s  %s\n' "$(jq -r '.outcome.files[0].sha256' <<<"$record")" "$out" | sha256sum --check --quiet
jq -c '{job, triangles: .outcome.report.triangles}' <<<"$record"
