# Shell helpers of quickstart and runtests; sourced, from the top of the source tree.
# shellcheck shell=sh

BUILD_PACKAGES="gcc libc6-dev make autoconf automake pkg-config libmicrohttpd-dev
    libcurl4-openssl-dev libgnutls28-dev libjson-c-dev libsqlite3-dev libuv1-dev libssl-dev"
RUN_PACKAGES="curl ca-certificates tzdata"
TEST_PACKAGES="check python3 openssl"

say() {
    printf '%s: %s\n' "${0##*/}" "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# have_package NAME: installed by dpkg, or a tool that is there from elsewhere.
have_package() {
    case $1 in
        gcc | make | autoconf | automake | pkg-config | curl | python3 | openssl)
            command -v "$1" > /dev/null 2>&1 && return 0
            ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# as_root COMMAND...: directly or with sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    command -v sudo > /dev/null 2>&1 || return 1
    [ -t 0 ] || sudo -n true > /dev/null 2>&1
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# need_packages NAME...: installs those that are missing; does and says nothing when none is.
need_packages() {
    missing=
    command -v dpkg-query > /dev/null 2>&1 || return 0 # not Debian: configure tells what it needs
    for package in "$@"; do
        have_package "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    can_be_root || die "these Debian packages are missing, and installing them needs root or sudo:
    apt-get install$missing"
    say "installing:$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086
    { apt update && apt install --no-install-recommends $missing; } > "$log" 2>&1 < /dev/null ||
        apt install --no-install-recommends $missing >> "$log" 2>&1 < /dev/null || {
        tail -n 15 "$log" >&2
        rm -f "$log"
        die "apt-get could not install:$missing"
    }
    rm -f "$log"
}

# quiet LOG COMMAND...: shows the end of the output only when the command fails.
quiet() {
    log=$1
    shift
    "$@" > "$log" 2>&1 < /dev/null || {
        grep -E 'error|\*\*\*' "$log" | head -n 20 | grep . >&2 || tail -n 15 "$log" >&2
        die "failed: $* (all of its output: $log)"
    }
}

jobs_count() {
    getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2
}

make_configure() {
    if [ ! -x configure ] || [ ! -f Makefile.in ]; then
        quiet autoreconf.log autoreconf -fi
    fi
}

# configured_with FLAG: is the tree configured so?  An absent flag matches any.
configured_with() {
    [ -f config.status ] && [ -f Makefile ] || return 1
    [ -z "$1" ] || ./config.status --config | grep -q -e "$1"
}

# build_here [FLAG]: ./wayfare and ./wayfare-sim, built in the source tree.  configure runs
# when it never did, or without FLAG; make does what has changed.
build_here() {
    flag=${1:-}
    make_configure
    if ! configured_with "$flag"; then
        say "configuring"
        quiet configure.log ./configure $flag
        quiet make.log make clean
    fi
    make -q all > /dev/null 2>&1 || say "building"
    quiet make.log make -j"$(jobs_count)"
}
