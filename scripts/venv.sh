# shellcheck shell=bash
# Sourced by scripts/run, scripts/test and scripts/build-prompts: finds a Python, makes .venv and
# installs a lock into it, once for each content of the lock. Expects the repository's root as the
# working directory and `set -euo pipefail`.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$1"
    shift
    local line
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 1
}

# Is $1 a CPython 3.11 or 3.12? A pyenv shim of a version that is not selected answers no.
python_fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

# Print the first Python that fits, $PYTHON before all others.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.12 python3.11 \
        /usr/bin/python3 /usr/bin/python3.12 /usr/bin/python3.11; do
        if command -v "$candidate" >/dev/null && python_fits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "no Python 3.11 or 3.12 found (python3 is: $(python3 --version 2>&1 || echo missing))" \
        "Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv" \
        "Ubuntu 22.04:            apt-get install python3.11 python3.11-venv" \
        "elsewhere:               set PYTHON to the interpreter"
}

# Debian and Ubuntu ship Python without what `venv` needs.
need_ensurepip() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    local package
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt_install "$package"
    else
        die "this Python cannot make virtual environments: the module ensurepip is missing" \
            "run: sudo apt-get install $package"
    fi
}

# Install Debian packages, with one update of the lists per run; only root can.
apt_install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "missing: $*" "run as root: apt-get install $*"
    fi
    say "installing with apt: $*"
    if [ -z "${apt_updated:-}" ]; then
        apt-get update -qq </dev/null >&2 || say "apt-get update failed; trying with the old lists"
        apt_updated=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
        </dev/null >/dev/null || die "apt-get could not install: $*" "the lines above say why"
}

# Refuse machines for which PJSIP's wheel does not exist, before pip does so less clearly.
need_linux_x86_64() {
    local here
    here="$(uname -s) $(uname -m)"
    [ "$here" = "Linux x86_64" ] ||
        die "this machine is $here: PJSIP comes as a wheel for Linux on x86-64 only"
}

# Make .venv where there is none that works.
make_venv() {
    need_linux_x86_64
    if [ -x .venv/bin/python ] && python_fits .venv/bin/python &&
        .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python)
    need_ensurepip "$python"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv || die "could not make .venv with $python"
}

# What an installation was made from: the lock, the project's own metadata, and the place, for
# scripts and the editable install name it.
stamp_of() {
    { cat "$1" pyproject.toml && pwd -P; } | sha256sum | cut -d' ' -f1
}

is_installed() {
    [ "$(cat ".venv/installed-$(basename "$1" .lock)" 2>/dev/null)" = "$(stamp_of "$1")" ]
}

mark_installed() {
    stamp_of "$1" >".venv/installed-$(basename "$1" .lock)"
}

# Compile the mixer's loops, so that no call waits for it: once for each content of its modules.
compile_mixer() {
    local stamp
    stamp=$(cat bridge/media/*.py | sha256sum | cut -d' ' -f1)
    [ "$(cat .venv/compiled 2>/dev/null)" = "$stamp" ] && return
    say "compiling the mixer"
    find bridge/media -name '*.nbi' -delete
    .venv/bin/python -c 'import bridge.media.tick' || die "the mixer cannot be compiled" \
        "the lines above say why"
    printf '%s\n' "$stamp" >.venv/compiled
}

# Install lock $1 with hashes, wheels only: there may be no compiler. Further locks named are
# contained in it and marked with it.
install_lock() {
    is_installed "$1" && return
    say "installing $1"
    local pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install)
    "${pip[@]}" --require-hashes --only-binary :all: -r "$1" ||
        die "pip could not install $1" "the lines above say why; is the package registry reachable?"
    # Not by `pip --require-hashes`: a folder has none.
    "${pip[@]}" --no-deps --no-build-isolation --editable . ||
        die "pip could not install the project itself"
    local lock
    for lock in "$@"; do mark_installed "$lock"; done
}

# Build and install lock $1, whose packages come as source, with what is installed already.
install_source() {
    is_installed "$1" && return
    say "building $1"
    .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
        --require-hashes --no-deps --no-build-isolation -r "$1" ||
        die "pip could not build $1" "it needs gcc and Python's headers; the lines above say more"
    mark_installed "$1"
}
