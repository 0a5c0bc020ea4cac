#!/usr/bin/env bash
# What the benches in bash share; they source it. What `in_namespaces` runs has network, /run and /var/lib of its
# own, so that the machine's tables are not touched and no lock is shared with its users; its processes end with it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bench=tests/bench/$(basename "$0")
target=$(rustc -vV | sed -n 's/^host: //p')
# The program: CAMFW, or what tests/bench/run builds.
camfw=${CAMFW:-$root/target/$target/release/camfw}

fail() {
    echo "$bench: $*" >&2
    exit 1
}

# rounds FLAG DEFAULT ARGUMENTS...: the number that follows the flag, the only one that a bench has.
rounds() {
    local flag=$1 default=$2
    shift 2
    if [ $# -eq 0 ]; then
        echo "$default"
    elif [ $# -eq 2 ] && [ "$1" = "$flag" ] && [[ $2 =~ ^[1-9][0-9]*$ ]]; then
        echo "$2"
    else
        fail "usage: $bench [$flag N]"
    fi
}

# The host's own binary, static like the one that ships: what is compared runs natively on both sides.
build() {
    [ -z "${CAMFW:-}" ] || return 0
    (cd "$root" && RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static" \
        cargo build --quiet --locked --release --target "$target")
}

# The program is there, and so is hyperfine, and each COMMAND=PACKAGE of the arguments.
needs() {
    local it missing=()
    [ -x "$camfw" ] || fail "no $camfw; run tests/bench/run first, or set CAMFW"
    for it in hyperfine=hyperfine "$@"; do
        command -v "${it%%=*}" >/dev/null || missing+=("${it#*=}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "$bench: installing ${missing[*]}"
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

# backend_tools BACKEND: its commands, in a folder for PATH.
backend_tools() {
    local tool
    mkdir "$work/$1"
    for tool in iptables iptables-restore iptables-save ip6tables ip6tables-restore ip6tables-save; do
        ln -s "$(command -v "xtables-$1-multi")" "$work/$1/$tool"
    done
}

# in_namespaces BACKEND FUNCTION: runs it with the backend's commands, and with eth0, eth1 and eth2 whose other ends are
# peer0, peer1 and peer2.
in_namespaces() {
    local functions
    [ -d "$work/$1" ] || backend_tools "$1"
    mapfile -t functions < <(compgen -A function)
    # shellcheck disable=SC2163 # the names are the array's
    export -f "${functions[@]}"
    export bench here root camfw work backend=$1
    # shellcheck disable=SC2016 # the inner shell expands it
    PATH=$work/$1:$PATH unshare --net --mount --pid --fork --kill-child --mount-proc bash -euo pipefail -c '
        mount -t tmpfs tmpfs /run
        mount -t tmpfs tmpfs /var/lib
        ip link set lo up
        for n in 0 1 2; do
            ip link add eth$n type veth peer name peer$n
            ip link set peer$n up
        done
        "$1"
    ' bash "$2"
}

# hyper NAME ARGUMENTS...: hyperfine, whose result is $work/NAME.json. A command that fails is no measurement.
hyper() {
    hyperfine --style none --export-json "$work/$1.json" "${@:2}" >"$work/hyperfine" 2>&1 ||
        fail "$1: $(cat "$work/hyperfine")"
}

# measure NAME ARGUMENTS...: the same, as often as the bench's $runs says.
measure() {
    hyper "$1" --warmup "${warmup:-1}" --runs "${runs:?}" "${@:2}"
}
