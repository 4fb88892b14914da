#!/bin/sh
# clang-format agrees with every C file.
. "${top_srcdir:-.}/tests/lint/lint.sh"

if ! command -v clang-format > /dev/null 2>&1; then
    echo "skip format: clang-format is not installed"
    exit 77
fi

check() {
    cp "$root/.clang-format" "$1/.clang-format" 2> /dev/null
    # One process for all files; each thing it would change is a line, FILE:LINE:...
    (cd "$1" && rooms . schema providers router server sim tests bench migrations dashboard |
        xargs clang-format --style=file --dry-run -Werror 2>&1) |
        sed -n 's/^\([^: ]*\.[ch]\):[0-9].*error:.*/\1: run clang-format -i/p' | sort -u
}

SAMPLES=1
sample() {
    mkdir "$1/schema"
    printf 'int a;\n' > "$1/schema/good.c"
    printf 'int   a ;\n' > "$1/schema/bad.c"
}
run_lint
