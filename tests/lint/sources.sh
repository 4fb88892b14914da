#!/bin/sh
# sources.am lists every file that is there, and Makefile.am builds every fuzz target.
. "${top_srcdir:-.}/tests/lint/lint.sh"

check() {
    (cd "$1" && sh scripts/sources) | diff "$1/sources.am" - |
        sed -n -e 's/^[<] *\(.*\)/sources.am: \1 is not there any more (scripts\/sources > sources.am)/p' \
            -e 's/^[>] *\(.*\)/sources.am: \1 is missing (scripts\/sources > sources.am)/p'
    for target in "$1"/tests/fuzz/fuzz_*.c; do
        [ -f "$target" ] || continue
        target=${target##*/}
        grep -q "^tests_fuzz_${target%.c}_SOURCES" "$1/Makefile.am" || echo "Makefile.am does not build tests/fuzz/$target"
    done
}

SAMPLES=5
sample() {
    mkdir -p "$1/scripts" "$1/schema" "$1/tests/fuzz"
    cp "$root/scripts/sources" "$1/scripts/"
    : > "$1/schema/a.c"
    (cd "$1" && sh scripts/sources) > "$1/sources.am"
    : > "$1/schema/forgotten.c"
    : > "$1/tests/fuzz/fuzz_new.c"
    : > "$1/Makefile.am"
    # one line in SCHEMA_SOURCES changes (a continuation), which diff shows as old and new
    sed -i 's|^    schema/a.c$|    schema/a.c \\|' "$1/sources.am"
}
run_lint
