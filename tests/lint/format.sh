#!/bin/sh
# clang-format agrees with every C file.
. "${top_srcdir:-.}/tests/lint/lint.sh"

if ! command -v clang-format > /dev/null 2>&1; then
    echo "skip format: clang-format is not installed"
    exit 77
fi

check() {
    cp "$root/.clang-format" "$1/.clang-format" 2> /dev/null
    rooms "$1" schema providers router server sim tests bench migrations dashboard | while read -r file; do
        (cd "$1" && clang-format --style=file "$file") | cmp -s - "$1/$file" || echo "$file: run clang-format -i"
    done
}

SAMPLES=1
sample() {
    mkdir "$1/schema"
    printf 'int a;\n' > "$1/schema/good.c"
    printf 'int   a ;\n' > "$1/schema/bad.c"
}
run_lint
