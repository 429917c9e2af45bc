#!/usr/bin/env bats
# deploy_linux.sh against commands that are only stubs: every prerequisite missing in turn, and what it does in which order.

setup() {
    REPOSITORY="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
    SCRIPT="$REPOSITORY/deploy/deploy_linux.sh"
    BIN="$BATS_TEST_TMPDIR/bin"
    TARGET="$BATS_TEST_TMPDIR/target"
    CALLS="$BATS_TEST_TMPDIR/calls"
    # A clone of its own: the script writes nats/hashes.conf there.
    CLONE="$BATS_TEST_TMPDIR/clone"
    mkdir -p "$BIN" "$TARGET" "$CLONE/nats" "$CLONE/assets/demo"
    : >"$CALLS"
    export CALLS ORFEAS_REPOSITORY="$CLONE" POLL_SECONDS=0
    # Everything the script needs of the system, and nothing else: a stub that is removed is really not there.
    for tool in bash sh awk cat dirname env grep head id mkdir printf rm sed sleep tail touch pwd cp chmod; do
        ln -s "$(command -v "$tool")" "$BIN/$tool" 2>/dev/null || true
    done
    good_docker
    stub nvidia-smi 'echo 580.159.04'
    stub df 'printf "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 1 1 ${FREE_KIB:-314572800} 1%% /\n"'
    stub ss 'printf "%s\n" "${LISTENING:-LISTEN 0 128 127.0.0.1:22 0.0.0.0:*}"'
}

stub() {
    printf '#!/usr/bin/env bash\n%s\n' "$2" >"$BIN/$1"
    chmod +x "$BIN/$1"
}

# A Docker that writes down what it is asked. Its containers are healthy at the third look; credentials are made.
good_docker() {
    stub docker '
        echo "docker $*" >>"$CALLS"
        [ "$1" != compose ] || pwd >>"$CALLS.folders"
        case "$*" in
            "info --format"*) echo "${RUNTIMES:-{\"nvidia\":{},\"runc\":{}\}}" ;;
            info) exit "${DOCKER_INFO:-0}" ;;
            "compose version") exit "${COMPOSE_VERSION:-0}" ;;
            "compose version --short") echo "${COMPOSE_SHORT-2.39.1}" ;;
            *"ps --quiet"*) printf "%s" "${RUNNING:-}" ;;
            *"ps --all --format"*)
                looks="$(grep -c "ps --all --format" "$CALLS")"
                if [ "$looks" -ge "${HEALTHY_AT:-3}" ]; then health=healthy; else health=starting; fi
                echo "nats running healthy"; echo "topology exited "; [ -n "${NO_INFER:-}" ] || echo "infer running $health" ;;
            *"nats credentials"*)
                for user in client ingest; do echo secret >"$SECRETS/nats-$user"; done
                echo hashes >"$ORFEAS_REPOSITORY/nats/hashes.conf" ;;
            *"model pull"*) mkdir -p "$MODELS/${PULLS:-none}"; touch "$MODELS/${PULLS:-none}/config.yaml"; exit "${PULL_EXIT:-0}" ;;
            *" up "*) exit "${UP_EXIT:-0}" ;;
        esac'
    export SECRETS="$TARGET/secrets" MODELS="$TARGET/data/models"
}

deploy() { run env PATH="$BIN" bash "$SCRIPT" "$@" "$TARGET" </dev/null; }

@test "everything there: it is checked, and nothing is changed by --check" {
    deploy --check
    [ "$status" -eq 0 ]
    [[ "$output" == *"all prerequisites are there"* ]]
    [ ! -e "$TARGET/.env" ]
    ! grep -q "compose.* up" "$CALLS"
}

@test "without Docker" {
    rm "$BIN/docker"
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"one thing is missing"*"Docker is not installed"* ]]
}

@test "without Compose" {
    COMPOSE_VERSION=1 deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"Docker Compose v2 is not installed"* ]]
}

@test "with a Compose that is too old" {
    COMPOSE_SHORT=v2.17.3 deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"Docker Compose is v2.17.3; it must be 2.25 or newer"* ]]
    COMPOSE_SHORT='' deploy --check
    [ "$status" -eq 3 ]
    for version in 2.25.0 v3.0.1 5.6.1; do
        COMPOSE_SHORT="$version" deploy --check
        [ "$status" -eq 0 ]
    done
}

@test "with a Docker engine that does not answer" {
    DOCKER_INFO=1 deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"the Docker engine does not answer"* ]]
}

@test "without the NVIDIA driver, and with --cpu that is no matter" {
    rm "$BIN/nvidia-smi"
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"the NVIDIA driver is not installed"*"--cpu"* ]]
    deploy --check --cpu
    [ "$status" -eq 0 ]
}

@test "with a driver that is too old, and with one that is not loaded" {
    stub nvidia-smi 'echo 525.60.13'
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"the NVIDIA driver is 525.60.13; it must be 535 or newer"* ]]
    stub nvidia-smi 'exit 9'
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"the NVIDIA driver is not loaded"* ]]
}

@test "without the container toolkit" {
    RUNTIMES='{"runc":{}}' deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"the NVIDIA container toolkit is not set up"* ]]
}

@test "with a disk too small; the model decides how small that is" {
    FREE_KIB=52428800 deploy --check
    [ "$status" -eq 0 ]
    FREE_KIB=52428800 deploy --check --model hunyuan3d-2
    [ "$status" -eq 3 ]
    [[ "$output" == *"has 50 GiB free; 100 GiB are wanted"* ]]
    FREE_KIB=1048576 deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"has 1 GiB free; 40 GiB are wanted"* ]]
}

@test "with a port in use, unless .env names another or our own containers have it" {
    export LISTENING='LISTEN 0 128 0.0.0.0:4222 0.0.0.0:*'
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"port 4222 is in use"*"NATS_PORT"* ]]
    echo NATS_PORT=4333 >"$TARGET/.env"
    deploy --check
    [ "$status" -eq 0 ]
    : >"$TARGET/.env"
    RUNNING=abc deploy --check
    [ "$status" -eq 0 ]
}

@test "without ss nobody knows what ports are in use, and that is said" {
    rm "$BIN/ss"
    deploy --check
    [ "$status" -eq 3 ]
    [[ "$output" == *"ss is not there"*"iproute2"* ]]
}

@test "with a folder that cannot be written to" {
    # root can write everywhere, so this is asked as somebody else, who may not even see this test's folder.
    local as=()
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    run "${as[@]}" env ORFEAS_REPOSITORY=/ bash -c 'source /dev/stdin; parse --cpu /usr; check_space; echo "${missing[*]}"' <"$SCRIPT"
    [[ "$output" == *"/usr cannot be written to by this user"* ]]
}

@test "with a model's folder and no model's name" {
    deploy --check --model-from "$TARGET"
    [ "$status" -eq 3 ]
    [[ "$output" == *"--model-from without --model"* ]]
}

@test "with a model folder that is not there" {
    deploy --check --model hunyuan3d-2 --model-from /nowhere
    [ "$status" -eq 3 ]
    [[ "$output" == *"there is no folder /nowhere"* ]]
}

@test "everything missing is said at once" {
    rm "$BIN/nvidia-smi"
    LISTENING='LISTEN 0 128 *:3000 *:*' FREE_KIB=1 RUNTIMES='{}' COMPOSE_VERSION=1 deploy
    [ "$status" -eq 3 ]
    [[ "$output" == *"5 things are missing"* ]]
    for what in Compose driver toolkit "GiB free" "port 3000"; do [[ "$output" == *"$what"* ]]; done
    [ ! -e "$TARGET/.env" ]
}

@test "a deployment from nothing: order, settings, permissions" {
    deploy --cpu
    [ "$status" -eq 0 ]
    [[ "$output" == *"waiting for infer"*"every service is healthy"*"ORFEAS runs."* ]]
    grep -q '^COMPOSE_PROFILES=cpu$' "$TARGET/.env"
    grep -q "^RUN_AS_UID=$(id -u)$" "$TARGET/.env"
    grep -q "^DATA_DIR=$TARGET/data$" "$TARGET/.env"
    [ "$(stat -c %a "$TARGET/secrets")" = 700 ]
    # A volume is a folder of the host: each one that Compose mounts must be there before it does.
    for folder in $(sed -n 's|.*device: "${DATA_DIR:-${PWD}/data}/\([a-z]*\)".*|\1|p' "$REPOSITORY"/docker-compose.yml \
        "$REPOSITORY"/deploy/compose.alertmanager.yml); do
        [ -d "$TARGET/data/$folder" ]
    done
    build="$(grep -n "compose .*build" "$CALLS" | head -1 | cut -d: -f1)"
    credentials="$(grep -n "nats credentials" "$CALLS" | cut -d: -f1)"
    up="$(grep -n "compose .* up " "$CALLS" | cut -d: -f1)"
    generated="$(grep -n "generate /demo" "$CALLS" | cut -d: -f1)"
    [ "$build" -lt "$credentials" ] && [ "$credentials" -lt "$up" ] && [ "$up" -lt "$generated" ]
}

@test "folders that .env names are the ones that are used, and --uninstall leaves them" {
    export SECRETS="$BATS_TEST_TMPDIR/elsewhere/secrets" MODELS="$CLONE/checkpoints" PULLS=hunyuan3d-2
    # A relative one is Compose's: it begins at the clone.
    printf 'DATA_DIR="%s/elsewhere/data"\nSECRETS_DIR=%s/\nMODELS_DIR=./checkpoints\n' "$BATS_TEST_TMPDIR" "$SECRETS" >"$TARGET/.env"
    deploy --cpu --model hunyuan3d-2
    [ "$status" -eq 0 ]
    [[ "$output" == *"password in $SECRETS/nats-client"* ]]
    [ -d "$BATS_TEST_TMPDIR/elsewhere/data/nats" ] && [ -d "$CLONE/checkpoints" ]
    [ "$(stat -c %a "$SECRETS")" = 700 ]
    [ ! -e "$TARGET/data" ] && [ ! -e "$TARGET/secrets" ]
    grep "nats credentials" "$CALLS" | grep -q -- "-v $SECRETS:/secrets "
    grep "model pull" "$CALLS" | grep -q -- "-v $CLONE/checkpoints:/models "
    grep "generate /demo" "$CALLS" | grep -q -- "-v $SECRETS/nats-client:/run/secrets/nats-client:ro "
    deploy --cpu --model hunyuan3d-2
    [[ "$output" == *"credentials are there"*"the model hunyuan3d-2 is there"* ]]
    deploy --uninstall --yes
    [ "$status" -eq 0 ]
    for folder in "$BATS_TEST_TMPDIR/elsewhere/data" "$SECRETS" "$CLONE/checkpoints"; do
        [[ "$output" == *"$folder stays"* ]]
        [ -d "$folder" ]
    done
    [ ! -e "$TARGET/.env" ]
}

@test "with the cluster's file there are folders for its servers" {
    echo "COMPOSE_FILE=docker-compose.yml:deploy/compose.cluster.yml" >"$TARGET/.env"
    deploy --cpu
    [ "$status" -eq 0 ]
    for folder in $(sed -n 's|.*device: "${DATA_DIR:-${PWD}/data}/\([a-z0-9]*\)".*|\1|p' "$REPOSITORY"/deploy/compose.cluster.yml); do
        [ -d "$TARGET/data/$folder" ]
    done
}

@test "twice is once: settings and credentials stay" {
    deploy --cpu
    echo "GRAFANA_PORT=3333" >>"$TARGET/.env"
    cp "$TARGET/.env" "$BATS_TEST_TMPDIR/before"
    deploy --cpu
    [ "$status" -eq 0 ]
    [[ "$output" == *"credentials are there"*":3333"* ]]
    cmp "$TARGET/.env" "$BATS_TEST_TMPDIR/before"
    [ "$(grep -c "nats credentials" "$CALLS")" -eq 1 ]
}

@test "again without a flag is what .env says; with a flag, the flag" {
    deploy --cpu
    # A host without a GPU: to ask for one again would be an error.
    rm "$BIN/nvidia-smi"
    deploy
    [ "$status" -eq 0 ]
    grep -q '^COMPOSE_PROFILES=cpu$' "$TARGET/.env"
    stub nvidia-smi 'echo 550.54.15'
    deploy --gpu
    [ "$status" -eq 0 ]
    [ "$(grep '^COMPOSE_PROFILES=' "$TARGET/.env")" = COMPOSE_PROFILES=gpu ]
    [ "$(grep '^METRICS_RUNTIME=' "$TARGET/.env")" = METRICS_RUNTIME=nvidia ]
    deploy --cpu
    [ "$(grep '^COMPOSE_PROFILES=' "$TARGET/.env")" = COMPOSE_PROFILES=cpu ]
    [ "$(grep '^METRICS_RUNTIME=' "$TARGET/.env")" = METRICS_RUNTIME=runc ]
}

@test "another model replaces the one before" {
    PULLS=hunyuan3d-2mini-turbo deploy --cpu --model hunyuan3d-2mini-turbo
    PULLS=hunyuan3d-2 deploy --cpu --model hunyuan3d-2
    [ "$status" -eq 0 ]
    [ "$(grep '^ORFEAS_MODEL_DIR=' "$TARGET/.env")" = ORFEAS_MODEL_DIR=/models/hunyuan3d-2 ]
    # And without one, the model stays.
    deploy --cpu
    [ "$(grep '^ORFEAS_MODEL_DIR=' "$TARGET/.env")" = ORFEAS_MODEL_DIR=/models/hunyuan3d-2 ]
}

@test "the compiler of kernels is one whose output the driver can read" {
    stub nvidia-smi 'echo 535.183.01'
    deploy
    [ "$status" -eq 0 ]
    ! grep -q '^CUDA_IMAGE=' "$TARGET/.env"
    stub nvidia-smi 'echo 570.86.10'
    deploy
    grep -q '^CUDA_IMAGE=nvidia/cuda:12.8' "$TARGET/.env"
    # What is taken where nothing is said goes with the oldest driver that --check lets through.
    grep -q '^ARG CUDA_IMAGE=nvidia/cuda:12.2' "$REPOSITORY/deploy/Dockerfile"
}

@test "Compose runs in the clone, wherever the script was called from" {
    cd "$BATS_TEST_TMPDIR"
    deploy --cpu
    [ "$(sort -u "$CALLS.folders" | grep -vcx "$CLONE" || true)" -le 1 ]
    [ "$(tail -n 1 "$CALLS.folders")" = "$CLONE" ]
}

@test "the test generation is a client's, by TLS where the deployment has it" {
    deploy --cpu
    grep "generate /demo" "$CALLS" | grep -q -- "-e ORFEAS_NATS_USER=client .*--nats nats://nats:4222$"
    echo "COMPOSE_FILE=docker-compose.yml:deploy/compose.tls.yml" >>"$TARGET/.env"
    deploy
    grep "generate /demo" "$CALLS" | tail -n 1 | grep -q -- "--nats tls://nats:4222$"
}

@test "a deployment without infer is not taken for a healthy one" {
    NO_INFER=yes HEALTHY_WITHIN=0 deploy --cpu
    [ "$status" -eq 1 ]
    [[ "$output" == *"not healthy after 0 s: infer"* ]]
}

@test "a step that fails stops it, and the next run goes on from there" {
    UP_EXIT=1 deploy --cpu
    [ "$status" -ne 0 ]
    [[ "$output" != *"ORFEAS runs."* ]]
    deploy --cpu
    [ "$status" -eq 0 ]
    [ "$(grep -c "nats credentials" "$CALLS")" -eq 1 ]
}

@test "a service that stays unhealthy is named" {
    HEALTHY_AT=1000000 HEALTHY_WITHIN=0 deploy --cpu
    [ "$status" -eq 1 ]
    [[ "$output" == *"not healthy after 0 s: infer"* ]]
}

@test "a model is fetched once and becomes the engine" {
    export PULLS=hunyuan3d-2mini-turbo
    deploy --model hunyuan3d-2mini-turbo --accept-licence
    [ "$status" -eq 0 ]
    grep -q "model pull hunyuan3d-2mini-turbo --models /models --accept-licence" "$CALLS"
    grep -q '^ORFEAS_ENGINE=hunyuan3d$' "$TARGET/.env"
    grep -q '^ORFEAS_MODEL_DIR=/models/hunyuan3d-2mini-turbo$' "$TARGET/.env"
    grep -q '^METRICS_RUNTIME=nvidia$' "$TARGET/.env"
    deploy --model hunyuan3d-2mini-turbo
    [[ "$output" == *"the model hunyuan3d-2mini-turbo is there"* ]]
    [ "$(grep -c "model pull" "$CALLS")" -eq 1 ]
}

@test "--dry-run says everything and does nothing" {
    deploy --dry-run --cpu --model hunyuan3d-2
    [ "$status" -eq 0 ]
    for step in "would set COMPOSE_PROFILES=cpu" "would run: compose build" "nats credentials" "model pull" "would run: compose up" "generate /demo"; do
        [[ "$output" == *"$step"* ]]
    done
    [ ! -e "$TARGET/.env" ] && [ ! -d "$TARGET/data" ]
    ! grep -qE "compose .*(up|build)|docker run" "$CALLS"
}

@test "--uninstall asks before it removes data" {
    deploy --cpu
    deploy --uninstall
    [ "$status" -eq 0 ]
    [[ "$output" == *"Remove data"*"stay where they are"* ]]
    [ -d "$TARGET/data" ] && [ -e "$TARGET/.env" ]
    # A volume that stayed would hold the next deployment to this one's folders.
    grep -q "compose .* down --volumes --remove-orphans$" "$CALLS"
    deploy --uninstall --yes
    [ "$status" -eq 0 ]
    [ ! -d "$TARGET/data" ] && [ ! -d "$TARGET/secrets" ] && [ ! -e "$TARGET/.env" ]
    deploy --uninstall
    [ "$status" -eq 1 ]
}

@test "wrong arguments" {
    deploy --gup
    [ "$status" -eq 2 ]
    [[ "$output" == *"there is no option --gup"* ]]
    run env PATH="$BIN" bash "$SCRIPT" one two
    [ "$status" -eq 2 ]
    run env PATH="$BIN" bash "$SCRIPT" --help
    [ "$status" -eq 0 ]
    [[ "$output" == *"Exit codes"* ]]
}
