#!/bin/sh
# sources.am lists every file that is there, and none that is not.
. "${top_srcdir:-.}/tests/lint/lint.sh"

check() {
    (cd "$1" && sh scripts/sources) | diff "$1/sources.am" - |
        sed -n -e 's/^[<] *\(.*\)/sources.am: \1 is not there any more (scripts\/sources > sources.am)/p' \
            -e 's/^[>] *\(.*\)/sources.am: \1 is missing (scripts\/sources > sources.am)/p'
}

SAMPLES=2
sample() {
    mkdir -p "$1/scripts" "$1/schema"
    cp "$root/scripts/sources" "$1/scripts/"
    : > "$1/schema/a.c"
    (cd "$1" && sh scripts/sources) > "$1/sources.am"
    : > "$1/schema/forgotten.c"
}
run_lint
