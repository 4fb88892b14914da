#!/bin/sh
# sources.am lists every file that is there, and none that is not.
. "${top_srcdir:-.}/tests/lint/lint.sh"

check() {
    sed 's/ *\\$//' "$1/sources.am" > "$tmp/listed"
    (cd "$1" && sh scripts/sources) | sed 's/ *\\$//' | diff "$tmp/listed" - | sed -n \
        -e 's/^< *\(.*\)/sources.am: \1 is not there (any more): scripts\/sources > sources.am/p' \
        -e 's/^> *\(.*\)/sources.am: \1 is missing: scripts\/sources > sources.am/p'
}

SAMPLES=2
sample() {
    mkdir -p "$1/scripts" "$1/schema"
    cp "$root/scripts/sources" "$1/scripts/"
    : > "$1/schema/a.c"
    : > "$1/schema/gone.c"
    (cd "$1" && sh scripts/sources) > "$1/sources.am"
    rm "$1/schema/gone.c"
    : > "$1/schema/new.c"
}
run_lint
