#!/usr/bin/env bash
# From a clone to a running, watched deployment on one Linux host. `deploy_linux.sh --help` says what it takes.
#
# Everything is checked before anything is changed. Every step looks first whether it is done, so that running this
# again goes on where it stopped.
set -euo pipefail

readonly REPOSITORY="${ORFEAS_REPOSITORY:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
# From there on it knows env_file with `required`, and `!override`.
readonly COMPOSE_AT_LEAST=2.25
readonly DRIVER_AT_LEAST=535
readonly DRIVER_OF_CUDA_12_8=570
readonly PORTS="4222 3000 9090 9100"
readonly HEALTHY_WITHIN="${HEALTHY_WITHIN:-120}"

usage() {
    cat <<TEXT
deploy_linux.sh [OPTIONS] [DIR]

Deploys ORFEAS with Docker Compose. Data, secrets and .env lie in DIR [default: the clone]; DATA_DIR, SECRETS_DIR and
MODELS_DIR in .env name other folders.

  --cpu, --gpu        without a GPU, or with one
                      [default: what .env in DIR says, else with one]
  --model NAME        checkpoint to fetch and run, hunyuan3d-2mini-turbo say; without it the starter model runs, which the
                      images bring along
  --model-from DIR    take the checkpoint from this folder instead of the hub
  --accept-licence    accept the model's licence without being asked (it is shown all the same)
  --check             check the prerequisites and end
  --dry-run           say what would be done, and do nothing
  --no-build          use images that are there, or that IMAGE_PREFIX in .env names
  --no-test           leave out the test generation
  --uninstall         stop and remove the containers; asks before it removes data, and leaves folders that .env put elsewhere
  --yes               answer yes to every question of --uninstall
  -h, --help          this text

Exit codes: 0 all is well, 1 a step failed, 2 wrong arguments, 3 a prerequisite is missing.
TEXT
}

say() { printf '%s\n' "$*"; }
fail() { printf 'deploy_linux.sh: %s\n' "$*" >&2; exit 1; }

# ---- arguments ----

mode=deploy dry=no gpu='' build=yes test_run=yes accept=no yes=no model='' model_from='' target='' chosen=''

parse() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --cpu) gpu=no ;;
            --gpu) gpu=yes ;;
            --check) mode=check ;;
            --dry-run) dry=yes ;;
            --no-build) build=no ;;
            --no-test) test_run=no ;;
            --accept-licence) accept=yes ;;
            --uninstall) mode=uninstall ;;
            --yes) yes=yes ;;
            --model | --model-from)
                [ $# -ge 2 ] || { printf 'deploy_linux.sh: %s wants a value\n' "$1" >&2; exit 2; }
                if [ "$1" = --model ]; then model="$2"; else model_from="$2"; fi
                shift
                ;;
            -h | --help) usage; exit 0 ;;
            -*) printf 'deploy_linux.sh: there is no option %s\n' "$1" >&2; usage >&2; exit 2 ;;
            *)
                [ -z "$target" ] || { printf 'deploy_linux.sh: one folder, not two\n' >&2; exit 2; }
                target="$1"
                ;;
        esac
        shift
    done
    target="${target:-$REPOSITORY}"
    case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
    [ "$target" = / ] || target="${target%/}"
    env_file="$target/.env"
    data="$(folder DATA_DIR "$target/data")"
    secrets="$(folder SECRETS_DIR "$target/secrets")"
    models="$(folder MODELS_DIR "$target/data/models")"
    # What was chosen on the command line replaces what .env says; what was not stays as it is there.
    chosen="$gpu"
    [ -n "$gpu" ] || case "$(setting COMPOSE_PROFILES gpu)" in cpu) gpu=no ;; *) gpu=yes ;; esac
}

# ---- doing things ----

# Runs a command, or says that it would.
run() {
    if [ "$dry" = yes ]; then
        say "would run: $*"
    else
        "$@"
    fi
}

# From the clone, since what COMPOSE_FILE in .env names lies there.
compose() {
    (cd "$REPOSITORY" && docker compose --project-directory "$REPOSITORY" --env-file "$env_file" "$@")
}

# The value of a variable in .env, or the second argument. Quotes around it are not part of it.
setting() {
    local value=''
    [ ! -f "$env_file" ] || value="$(sed -n "s/^$1=//p" "$env_file" | tail -n 1 | sed "s/^\"\(.*\)\"\$/\1/; s/^'\(.*\)'\$/\1/")"
    printf '%s' "${value:-$2}"
}

# The same for a folder, as a whole path. Compose takes one that is not whole from its project's folder, which is the clone, and
# ~ as the user's home.
folder() {
    local value
    value="$(setting "$1" "$2")"
    case "$value" in
        /*) ;;
        \~ | \~/*) value="$HOME${value#\~}" ;;
        *) value="$REPOSITORY/${value#./}" ;;
    esac
    printf '%s' "${value%/}"
}

# Adds a variable to .env unless it is there: what somebody has chosen stays.
keep_setting() {
    if [ -f "$env_file" ] && grep -q "^$1=" "$env_file"; then
        return
    fi
    if [ "$dry" = yes ]; then say "would set $1=$2 in $env_file"; else printf '%s=%s\n' "$1" "$2" >>"$env_file"; fi
}

# Sets a variable in .env, whatever it was: somebody has chosen it just now.
change_setting() {
    [ "$(setting "$1" '')" != "$2" ] || return 0
    if [ "$dry" = yes ]; then
        say "would set $1=$2 in $env_file"
    elif grep -q "^$1=" "$env_file" 2>/dev/null; then
        sed -i "s|^$1=.*|$1=$2|" "$env_file"
    else
        printf '%s=%s\n' "$1" "$2" >>"$env_file"
    fi
}

# ---- prerequisites ----

missing=()
lacks() { missing+=("$1"$'\n'"      $2"); }

# Free space that a deployment wants, in GiB: streams, images and their build, and the checkpoint.
space_needed() {
    case "$model" in
        '') echo 40 ;;
        *mini*) echo 60 ;;
        *) echo 100 ;;
    esac
}

# Whether a version, 2.39.1 say, is at least another one of two numbers.
newer() {
    awk -v version="$1" -v least="$2" 'BEGIN {
        split(version, a, "."); split(least, b, ".")
        exit !(a[1] + 0 > b[1] + 0 || (a[1] + 0 == b[1] + 0 && a[2] + 0 >= b[2] + 0))
    }'
}

check_docker() {
    if ! command -v docker >/dev/null 2>&1; then
        lacks 'Docker is not installed' 'https://docs.docker.com/engine/install/ has the packages of your distribution'
        return
    fi
    local version
    if ! docker compose version >/dev/null 2>&1; then
        lacks 'Docker Compose v2 is not installed' 'install the package docker-compose-plugin'
    else
        version="$(docker compose version --short 2>/dev/null || true)"
        if ! newer "${version#v}" "$COMPOSE_AT_LEAST"; then
            lacks "Docker Compose is ${version:-of no known version}; it must be $COMPOSE_AT_LEAST or newer" \
                'update the package docker-compose-plugin'
        fi
    fi
    if ! docker info >/dev/null 2>&1; then
        lacks 'the Docker engine does not answer' \
            'start it (systemctl start docker), or may this user use it? (usermod -aG docker USER, then log in again)'
    fi
}

driver_version() { nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 || true; }

check_gpu() {
    [ "$gpu" = yes ] || return 0
    if ! command -v nvidia-smi >/dev/null 2>&1; then
        lacks 'the NVIDIA driver is not installed' "install driver $DRIVER_AT_LEAST or newer, or deploy with --cpu"
    else
        local version
        version="$(driver_version)"
        if ! [ "${version%%.*}" -ge "$DRIVER_AT_LEAST" ] 2>/dev/null; then
            lacks "the NVIDIA driver is ${version:-not loaded}; it must be $DRIVER_AT_LEAST or newer" \
                'install a newer driver and reboot, or deploy with --cpu'
        fi
    fi
    if command -v docker >/dev/null 2>&1 && ! docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q nvidia; then
        lacks 'the NVIDIA container toolkit is not set up for Docker' \
            'install nvidia-container-toolkit, then: nvidia-ctk runtime configure --runtime=docker && systemctl restart docker'
    fi
}

check_space() {
    local folder free need wanted said=''
    folder="$(existing "$data")"
    free="$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }')"
    need="$(space_needed)"
    # What is there already was counted when it came.
    [ ! -d "$data/nats" ] || need=10
    if ! [ "${free:-0}" -ge "$need" ]; then
        lacks "the disk of $folder has ${free:-no} GiB free; $need GiB are wanted" 'make room, or name another folder'
    fi
    for wanted in "$target" "$data" "$secrets" "$models"; do
        # Passwords and checkpoints that are there are only read.
        case "$wanted" in "$secrets" | "$models") [ ! -d "$wanted" ] || continue ;; esac
        folder="$(existing "$wanted")"
        if [ ! -w "$folder" ] && [ "$folder" != "$said" ]; then
            lacks "$folder cannot be written to by this user" 'choose another folder, or change its owner'
            said="$folder"
        fi
    done
}

# A folder, or the nearest one above it that is there.
existing() {
    local folder="$1"
    while [ ! -d "$folder" ]; do folder="$(dirname "$folder")"; done
    printf '%s' "$folder"
}

check_ports() {
    # Our own containers may hold them.
    if command -v docker >/dev/null 2>&1 && [ -f "$env_file" ] && [ -n "$(compose ps --quiet 2>/dev/null)" ]; then
        return
    fi
    if ! command -v ss >/dev/null 2>&1; then
        lacks 'ss is not there, which tells what ports are in use' 'install the package iproute2'
        return
    fi
    local port used
    used="$(ss -Hltn 2>/dev/null || true)"
    for port in $PORTS; do
        port="$(setting "$(port_variable "$port")" "$port")"
        if printf '%s\n' "$used" | awk '{ print $4 }' | grep -q ":$port\$"; then
            lacks "port $port is in use" "stop what uses it (ss -ltnp), or set $(port_variable "$port") in $env_file"
        fi
    done
}

port_variable() {
    case "$1" in
        4222) echo NATS_PORT ;;
        3000) echo GRAFANA_PORT ;;
        9090) echo PROMETHEUS_PORT ;;
        *) echo METRICS_PORT ;;
    esac
}

check_model() {
    if [ -n "$model_from" ] && [ ! -d "$model_from" ]; then
        lacks "there is no folder $model_from" '--model-from names a checkpoint folder with config.yaml and the weights'
    fi
    if [ -n "$model_from" ] && [ -z "$model" ]; then
        lacks '--model-from without --model' 'name the checkpoint with --model as well'
    fi
}

# Reports everything that is missing, at once.
check() {
    check_docker
    check_gpu
    check_space
    check_ports
    check_model
    if [ "${#missing[@]}" -gt 0 ]; then
        printf 'deploy_linux.sh: %s missing:\n' \
            "$([ "${#missing[@]}" -eq 1 ] && echo 'one thing is' || echo "${#missing[@]} things are")" >&2
        printf '  --  %s\n' "${missing[@]}" >&2
        exit 3
    fi
    say "all prerequisites are there"
}

# ---- steps ----

make_folders() {
    local folder stores=("$data/nats")
    case "$(setting COMPOSE_FILE '')" in *compose.cluster.yml*) stores+=("$data/nats1" "$data/nats2" "$data/nats3") ;; esac
    for folder in "${stores[@]}" "$data/prometheus" "$data/grafana" "$data/alertmanager" "$data/kernels" "$models" "$target/out"; do
        [ -d "$folder" ] || run mkdir -p "$folder"
    done
    [ -d "$secrets" ] || run mkdir -p -m 700 "$secrets"
}

make_env() {
    local profile=cpu runtime=runc
    [ "$gpu" = no ] || { profile=gpu; runtime=nvidia; }
    if [ -n "$chosen" ]; then
        change_setting COMPOSE_PROFILES "$profile"
        change_setting METRICS_RUNTIME "$runtime"
    else
        keep_setting COMPOSE_PROFILES "$profile"
        keep_setting METRICS_RUNTIME "$runtime"
    fi
    keep_setting ENV_FILE "$env_file"
    keep_setting RUN_AS_UID "$(id -u)"
    keep_setting RUN_AS_GID "$(id -g)"
    keep_setting DATA_DIR "$data"
    keep_setting SECRETS_DIR "$secrets"
    keep_setting MODELS_DIR "$models"
    # Kernels that a newer compiler writes are nothing that an older driver can read.
    if [ "$gpu" = yes ] && [ "$(driver_version | sed 's/\..*//')" -ge "$DRIVER_OF_CUDA_12_8" ] 2>/dev/null; then
        keep_setting CUDA_IMAGE nvidia/cuda:12.8.1-devel-ubuntu24.04
    fi
    if [ -n "$model" ]; then
        change_setting ORFEAS_ENGINE hunyuan3d
        change_setting ORFEAS_MODEL_DIR "/models/$model"
    fi
}

tools_image() { printf '%s-tools:%s' "$(setting IMAGE_PREFIX orfeas)" "$(setting IMAGE_TAG latest)"; }

# The `orfeas` command in its image, as this user. Arguments before -- are Docker's.
orfeas() {
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    run docker run --rm --user "$(id -u):$(id -g)" "${options[@]}" "$(tools_image)" "$@"
}

build_images() {
    [ "$build" = yes ] || { say "images are not built (--no-build)"; return; }
    run compose build
}

make_credentials() {
    # What is there is kept, so doing it again changes nothing but the hashes' salt.
    if [ -s "$secrets/nats-client" ] && [ -s "$REPOSITORY/nats/hashes.conf" ]; then
        say "credentials are there"
        return
    fi
    orfeas -v "$secrets:/secrets" -v "$REPOSITORY/nats:/nats" -- \
        nats credentials --out /secrets --hashes /nats/hashes.conf
}

fetch_model() {
    [ -n "$model" ] || return 0
    if [ -e "$models/$model/config.yaml" ]; then
        say "the model $model is there"
        return
    fi
    local options=(-v "$models:/models") flags=(model pull "$model" --models /models)
    # Where somebody sits in front of it, the licence is asked for.
    [ ! -t 0 ] || options+=(-it)
    [ "$accept" = no ] || flags+=(--accept-licence)
    if [ -n "$model_from" ]; then
        options+=(-v "$(cd "$model_from" && pwd):/from:ro")
        flags+=(--from /from)
    fi
    orfeas "${options[@]}" -- "${flags[@]}"
}

start() {
    run compose up --detach --remove-orphans
}

# Containers of the project that are not healthy yet, with their state; the one that ends by design is left out.
unhealthy() {
    compose ps --all --format '{{.Service}} {{.State}} {{.Health}}' |
        awk '$1 != "topology" && !($2 == "running" && $3 == "healthy") { printf "%s%s", (n++ ? ", " : ""), $1 }
            $1 ~ /^infer/ { infer = 1 }
            END { if (!infer) printf "%s%s", (n ? ", " : ""), "infer" }'
}

wait_healthy() {
    [ "$dry" = no ] || { say "would wait up to $HEALTHY_WITHIN s for every service to be healthy"; return; }
    local began=$SECONDS left
    while :; do
        left="$(unhealthy)"
        [ -n "$left" ] || { say "every service is healthy after $((SECONDS - began)) s"; return; }
        if [ $((SECONDS - began)) -ge "$HEALTHY_WITHIN" ]; then
            compose ps --all >&2 || true
            fail "not healthy after $HEALTHY_WITHIN s: $left; \`docker compose logs\` says why (a large model may only be slow: run this again)"
        fi
        printf '  %3d s  waiting for %s\n' "$((SECONDS - began))" "$left"
        sleep "${POLL_SECONDS:-3}"
    done
}

test_generation() {
    [ "$test_run" = yes ] || return 0
    local url=nats://nats:4222
    case "$(setting COMPOSE_FILE '')" in *compose.tls.yml*) url=tls://nats:4222 ;; esac
    # As a client would, in the place of a service that has the command and, with TLS, the certificates.
    run compose run --rm --no-deps -T -v "$REPOSITORY/assets/demo:/demo:ro" -v "$target/out:/out" \
        -v "$secrets/nats-client:/run/secrets/nats-client:ro" \
        -e ORFEAS_NATS_USER=client -e ORFEAS_NATS_PASSWORD_FILE=/run/secrets/nats-client \
        topology generate /demo/elephant.jpg -o /out/elephant.stl --nats "$url"
}

print_places() {
    cat <<TEXT

ORFEAS runs.
  clients      nats://$(setting BIND_ADDRESS 127.0.0.1):$(setting NATS_PORT 4222), user client, password in $secrets/nats-client
  Grafana      http://$(setting BIND_ADDRESS 127.0.0.1):$(setting GRAFANA_PORT 3000), user admin, password in $secrets/grafana-admin
  Prometheus   http://$(setting BIND_ADDRESS 127.0.0.1):$(setting PROMETHEUS_PORT 9090)
  test mesh    $target/out/elephant.stl
  settings     $env_file (see .env.example), then: deploy/deploy_linux.sh $target
  commands     cd $REPOSITORY && docker compose --env-file $env_file ...
  runbooks     docs/OPERATIONS.md
TEXT
}

uninstall() {
    [ -f "$env_file" ] || fail "there is no deployment in $target"
    # A volume's record names the folder that it was made with, so it goes too; the folder itself is not touched by that.
    run compose --profile cpu --profile gpu down --volumes --remove-orphans
    local answer=n elsewhere
    if [ "$yes" = yes ]; then
        answer=y
    elif [ "$dry" = no ]; then
        printf 'Remove data, secrets and .env in %s as well? Jobs and meshes are then lost. [y/N] ' "$target"
        read -r answer || answer=n
    fi
    case "$answer" in
        y | Y | yes)
            # Only what this script names itself: a folder that somebody chose may hold more than ours.
            run rm -rf "$target/data" "$target/secrets" "$env_file" "$REPOSITORY/nats/hashes.conf"
            for elsewhere in "$data" "$secrets" "$models"; do
                case "$elsewhere/" in "$target/data/"* | "$target/secrets/"*) continue ;; esac
                [ ! -d "$elsewhere" ] || say "$elsewhere stays, since .env named it; remove it yourself"
            done
            ;;
        *) say "data, secrets and .env stay where they are" ;;
    esac
}

main() {
    parse "$@"
    case "$mode" in
        uninstall) uninstall; return ;;
        check) check; return ;;
    esac
    check
    make_folders
    make_env
    build_images
    make_credentials
    fetch_model
    start
    wait_healthy
    test_generation
    [ "$dry" = yes ] || print_places
}

# Tests read this file for its functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main "$@"
fi
