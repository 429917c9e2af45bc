#!/usr/bin/env bash
# A picture in, a mesh out, with the `nats` command (github.com/nats-io/natscli) and jq.
#
#   NATS_URL=nats://127.0.0.1:4222 client.sh picture.png out.stl
#   NATS_USER=client NATS_PASSWORD="$(cat secrets/nats-client)" client.sh picture.png out.stl
set -euo pipefail

picture="${1:?a picture}" out="${2:?the mesh to write}"
job="shell-$$-$(date +%s%N)"
login=()
[ -z "${NATS_USER:-}" ] || login=(--inbox-prefix "_INBOX_$NATS_USER")

# Listening begins before the job does; one message on this subject is the end that is hoped for.
nats "${login[@]}" subscribe "orfeas.events.completed.$job" --raw --count 1 >"$out.event" &
listener=$!

nats "${login[@]}" publish orfeas.images --header "Orfeas-Job:$job" --header 'Orfeas-Options:{"formats":["stl"]}' \
    --jetstream --force-stdin <"$picture" >/dev/null
wait "$listener"

nats "${login[@]}" object get orfeas-meshes "$(jq -r '.files[0].object' "$out.event")" --output "$out" --force --no-progress
printf '%s  %s\n' "$(jq -r '.files[0].sha256' "$out.event")" "$out" | sha256sum --check --quiet
rm "$out.event"
echo "$job"
