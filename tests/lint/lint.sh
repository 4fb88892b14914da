# What the lints share; sourced.  A lint defines check ROOT, which prints one line per
# violation, and sample ROOT, which writes a tree with SAMPLES violations.  A lint that does not
# find them all (and only them) in its own sample fails.
# shellcheck shell=sh
LC_ALL=C
export LC_ALL
root=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
lint=${0##*/}
here=$root/tests/lint

# rooms ROOT ROOM...: the C files of these rooms, relative, without generated ones.
rooms() {
    (
        cd "$1" || exit 1
        shift
        for room in "$@"; do
            [ -d "$room" ] && find "$room" -name '*.[ch]'
        done | grep -v -x -e migrations/migrations.c -e router/catalog_builtin_data.c -e dashboard/page.c | sort
    )
}

# code ROOT FILE [strings=1]: FILE without comments, and without the contents of strings
# unless strings=1; lines stay where they are.
code() {
    awk -v "${3:-strings=0}" -f "$here/strip.awk" "$1/$2"
}

run_lint() {
    tmp=$(mktemp -d) || exit 1
    trap 'rm -rf "$tmp"' EXIT
    mkdir "$tmp/sample"
    sample "$tmp/sample"
    check "$tmp/sample" > "$tmp/found"
    if [ "$(wc -l < "$tmp/found")" -ne "$SAMPLES" ]; then
        echo "$lint does not find what is wrong in its sample: expected $SAMPLES lines, got"
        cat "$tmp/found"
        exit 1
    fi
    check "$root" > "$tmp/found"
    n=$(wc -l < "$tmp/found")
    [ "$n" -eq 0 ] && exit 0
    cat "$tmp/found"
    echo "$lint: $n violations"
    exit 1
}
