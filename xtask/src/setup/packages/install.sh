# Installs $packages as root. No service starts, no database cluster is created, and the machine's own settings are
# afterwards what they were before, also when this is interrupted.
main() {
    set -eu
    policy=/usr/sbin/policy-rc.d
    settings=/etc/postgresql-common/createcluster.d
    setting=$settings/slipway-setup.conf
    made_policy=no
    trap undo EXIT
    trap 'exit 130' HUP INT TERM
    if [ ! -e "$policy" ]; then
        made_policy=yes
        printf '#!/bin/sh\n# slipway-setup: nothing starts during an installation\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    elif grep -q slipway-setup "$policy"; then
        made_policy=yes # left by a set-up that was killed
    fi
    mkdir -p "$settings"
    echo 'create_main_cluster = false' >"$setting"
    if [ -n "$(dpkg --audit)" ]; then
        dpkg --configure -a </dev/null
    fi
    # shellcheck disable=SC2086 # a word a package
    apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq install --yes --no-install-recommends $packages </dev/null
    for service in $services; do
        if command -v systemctl >/dev/null; then
            systemctl disable "$service" </dev/null >/dev/null 2>&1 || true
        fi
    done
}

undo() {
    rm -f "$setting"
    for folder in "$settings" "${settings%/*}"; do
        rmdir "$folder" 2>/dev/null || true
    done
    if [ "$made_policy" = yes ]; then
        rm -f "$policy"
    fi
}

main
