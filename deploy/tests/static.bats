#!/usr/bin/env bats
# What is deployed, checked by the programs that will read it: no Docker engine and no cluster is needed.
# A tool that is not here is named in the line of the test that is skipped for it.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    export PATH="$PWD/.tools/deploy/bin:$PWD/.tools/prometheus/usr/bin:$PATH"
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || exit 1; }

# Compose with a file beside docker-compose.yml, named as the guide tells it.
beside() {
    printf 'COMPOSE_PROFILES=%s\nCOMPOSE_FILE=docker-compose.yml:deploy/compose.%s.yml\n' "$1" "$2" >"$BATS_TEST_TMPDIR/beside"
    docker-compose --env-file "$BATS_TEST_TMPDIR/beside" config --format json | python deploy/tests/check_compose.py "$1" infer "$2"
}

needs() { command -v "$1" >/dev/null 2>&1 || skip "there is no $1 here: $2"; }

@test "every shell script is clean (shellcheck)" {
    needs shellcheck "make test-deploy installs it"
    git ls-files '*.sh' '*.bats' .ci/run | grep -v '\.bats$' | xargs shellcheck
}

@test "the Dockerfile is clean (hadolint)" {
    needs hadolint "make test-deploy installs it"
    hadolint deploy/Dockerfile
}

@test "every target of the Dockerfile that Compose builds is there, and none runs as root" {
    for target in $(sed -n 's/.*target: \([a-z-]*\).*/\1/p' docker-compose.yml deploy/compose.infer.yml | sort -u); do
        grep -q " AS $target\$" deploy/Dockerfile
    done
    grep -q '^USER 10001:10001$' deploy/Dockerfile
    [ "$(grep -c '^HEALTHCHECK' deploy/Dockerfile)" -eq 5 ]
}

@test "what the images are built from is the whole workspace, and what they copy" {
    needs cargo "a Rust toolchain brings it"
    sed -n 's/^!//p' deploy/Dockerfile.dockerignore | xargs -I{} cp -r --parents {} "$BATS_TEST_TMPDIR"
    for copied in $(sed -n 's/^COPY \([a-z][^ ]*\) .*/\1/p' deploy/Dockerfile); do
        [ -e "$BATS_TEST_TMPDIR/$copied" ]
    done
    cargo metadata --locked --offline --format-version 1 --manifest-path "$BATS_TEST_TMPDIR/Cargo.toml" >"$BATS_TEST_TMPDIR/metadata"
}

@test "Compose reads its file with each profile, and it is what it promises" {
    needs docker-compose "make test-deploy installs it"
    unset COMPOSE_PROFILES
    for profile in cpu gpu; do
        # As .env says it, by the flag alone, and with each of the files beside it.
        printf 'COMPOSE_PROFILES=%s\n' "$profile" >"$BATS_TEST_TMPDIR/$profile"
        docker-compose --env-file "$BATS_TEST_TMPDIR/$profile" config --format json |
            python deploy/tests/check_compose.py "$profile" infer
        service=infer
        [ "$profile" = cpu ] || service=infer-gpu
        docker-compose --env-file /dev/null --profile "$profile" config --format json |
            python deploy/tests/check_compose.py "$profile" "$service"
        for overlay in cluster alertmanager tls; do
            beside "$profile" "$overlay"
        done
    done
    beside gpu gpus
    # Folders that are not whole are the project's: here, and in deploy_linux.sh.
    printf 'COMPOSE_PROFILES=cpu\nDATA_DIR=./far\nMODELS_DIR=near\nSECRETS_DIR=./kept\n' >"$BATS_TEST_TMPDIR/relative"
    docker-compose --env-file "$BATS_TEST_TMPDIR/relative" config >"$BATS_TEST_TMPDIR/config"
    for folder in far/nats near kept/nats-admin; do grep -q ": $PWD/$folder\$" "$BATS_TEST_TMPDIR/config"; done
    # .env.example, all its defaults taken.
    sed 's/^#\([A-Z]\)/\1/' .env.example >"$BATS_TEST_TMPDIR/env"
    docker-compose --env-file "$BATS_TEST_TMPDIR/env" config --quiet
}

@test "Prometheus' configuration and rules are right (promtool)" {
    needs promtool "apt-get install prometheus"
    promtool check config --syntax-only deploy/prometheus/prometheus.yml
    promtool check rules deploy/prometheus/rules/*.yml
}

@test "Alertmanager takes its configuration, and an alert reaches the webhook" {
    needs python "make test-deploy installs it"
    # Debian calls it by another name than its makers.
    program="$(command -v alertmanager || command -v prometheus-alertmanager || true)"
    [ -n "$program" ] || skip "there is no alertmanager here: apt-get install prometheus-alertmanager"
    [ "${program##*/}" = alertmanager ] || [ -e /usr/share/prometheus/alertmanager/email.tmpl ] ||
        skip "Debian's Alertmanager lacks its templates here: apt-get install prometheus-alertmanager"
    python deploy/tests/alert_reaches.py "$program" deploy/alertmanager/alertmanager.yml
}

@test "every alert fires when it should and is silent when it should be (promtool)" {
    needs promtool "apt-get install prometheus"
    cd deploy/prometheus/tests && promtool test rules alerts.yml
}

@test "every alert has both cases and a paragraph in the runbook" {
    alerts="$(sed -n 's/.*- alert: //p' deploy/prometheus/rules/alerts.yml)"
    [ -n "$alerts" ]
    for alert in $alerts; do
        grep -q "name: $alert fires" deploy/prometheus/tests/alerts.yml || { echo "$alert: no case in which it fires"; return 1; }
        grep -q "name: $alert is silent" deploy/prometheus/tests/alerts.yml || { echo "$alert: no silent case"; return 1; }
        grep -q "^### $alert\$" docs/OPERATIONS.md || { echo "$alert: no runbook"; return 1; }
        anchor="$(printf '%s' "$alert" | tr '[:upper:]' '[:lower:]')"
        grep -q "runbook_url: docs/OPERATIONS.md#$anchor\$" deploy/prometheus/rules/alerts.yml
    done
}

@test "the dashboards are what their script gives" {
    python3 deploy/grafana/dashboards.py --check
}

@test "Kubernetes takes the manifests (kustomize, the API's own schemas)" {
    needs kubectl "it has kustomize in it"
    needs kubernetes-validate "make test-deploy installs it"
    for overlay in base gpu watch; do
        kubectl kustomize "deploy/kubernetes/$overlay" >"$BATS_TEST_TMPDIR/$overlay.yaml"
        kubernetes-validate --strict "$BATS_TEST_TMPDIR/$overlay.yaml"
        python deploy/tests/check_kubernetes.py "$overlay" "$BATS_TEST_TMPDIR/$overlay.yaml"
    done
    # Applied by hand, since that accepts a licence.
    kubernetes-validate --strict deploy/kubernetes/model.yaml
    python deploy/tests/check_kubernetes.py model deploy/kubernetes/model.yaml
}

@test "systemd takes the units (systemd-analyze)" {
    needs systemd-analyze "it comes with systemd"
    for unit in deploy/systemd/*; do
        # The programs are not installed here; everything else that it says is a fault.
        ! systemd-analyze verify "$unit" 2>&1 | grep -E "^[^ ]*deploy/systemd|orfeas" |
            grep -vE "is not executable|not found|No such file"
    done
    # infer keeps its kernels in the folder that systemd makes for it, which no other service may share.
    grep -q '^CacheDirectory=orfeas-%i$' deploy/systemd/orfeas@.service
    grep -q '^Environment=XDG_CACHE_HOME=%C/orfeas-%i CUDA_CACHE_PATH=%C/orfeas-%i/driver$' deploy/systemd/orfeas@.service
    # metrics watches the server that its unit starts, and the disk of that server's store.
    server="$(sed -n 's/^Environment=.*NATS_HTTP=\([^ ]*\) .*/\1/p' deploy/systemd/orfeas-nats.service)"
    grep -q "^Environment=ORFEAS_NATS_MONITOR_URLS=http://$server ORFEAS_WATCH_FOLDERS=/var/lib/orfeas-nats$" deploy/systemd/orfeas@.service
    grep -q '^StateDirectory=orfeas-nats$' deploy/systemd/orfeas-nats.service
    # A service is stopped only after it had its grace time.
    stop="$(sed -n 's/^TimeoutStopSec=//p' deploy/systemd/orfeas@.service)"
    grace="$(sed -n 's/^#ORFEAS_SHUTDOWN_GRACE=\([0-9]*\)s$/\1/p' .env.example)"
    [ "$stop" -gt "$grace" ]
}

@test "what is compiled for a GPU is kept, and every image has the folder for it" {
    grep -q 'XDG_CACHE_HOME=/cache ' deploy/Dockerfile
    grep -q 'CUDA_CACHE_PATH=/cache/driver ' deploy/Dockerfile
    grep -q 'COPY --from=cuda --chown=10001:10001 /empty /cache' deploy/Dockerfile
}

@test "the PowerShell script can be parsed, and does every action it offers (tree-sitter; it is not run here)" {
    needs python "make test-deploy installs its modules"
    python -c 'import tree_sitter_powershell' 2>/dev/null || skip "there is no tree-sitter-powershell here: make test-deploy"
    python deploy/tests/check_powershell.py deploy/deploy_linux_fixed.ps1
}

@test "the NATS servers' configurations can be read (nats-server -t)" {
    root="$PWD"
    server="$(realpath "${NATS_SERVER:-.tools/nats/bin/nats-server}")"
    [ -x "$server" ] || skip "there is no nats-server here: make setup"
    cp -r nats "$BATS_TEST_TMPDIR/nats"
    cd "$BATS_TEST_TMPDIR/nats"
    for user in SYS ADMIN INGEST INFER EXPORT METRICS CLIENT; do
        # The hash of a password that nobody uses.
        printf 'NATS_%s_PASSWORD: "$2b$04$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkY8jIucDrjc8deX1s."\n' "$user"
    done >hashes.conf
    printf 'NATS_ROUTE_PASSWORD: p\n' >route.conf
    for number in 1 2 3; do printf 'NATS_ROUTE_%s: "nats://route:p@nats%s:6222"\n' "$number" "$number"; done >>route.conf
    export NATS_LISTEN=127.0.0.1:-1 NATS_HTTP=127.0.0.1:-1 NATS_STORE_DIR="$BATS_TEST_TMPDIR/store"
    export NATS_SERVER_NAME=nats NATS_CLUSTER_LISTEN=127.0.0.1:-1
    cp "$root/deploy/kubernetes/node.conf" .
    for config in server.conf cluster/node.conf node.conf; do "$server" -t -c "$config"; done
}
