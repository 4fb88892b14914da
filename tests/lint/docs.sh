#!/bin/sh
# The tables of the documents against the code: routing fields (README.md, docs/api.md), errors
# and routes of the admin listener, members of the catalog file (docs/api.md), commands (docs/wayfare.1), warnings and errors of the log (docs/operations.md).
. "${top_srcdir:-.}/tests/lint/lint.sh"

# compare WHAT WHERE CODE DOC: both sorted lists; prints what only one has.
compare() {
    comm -23 "$3" "$4" | sed "s|^|$2 lacks $1 |"
    comm -13 "$3" "$4" | sed "s|^|$2 has $1 that the code lacks: |"
}

fields_of_code() {
    grep -o 'FIELD("provider_[a-z_]*"' "$1/schema/prefs_spec.h" | cut -d '"' -f 2 | sort -u
}

# The first cell of the tables' rows may name several fields.
fields_of_doc() {
    sed -n 's/^| *\(`[^|]*`\) *|.*/\1/p' "$1" | grep -o '`provider_[a-z_]*`' | tr -d '`' | sort -u
}

errors_of_code() {
    sed -n 's/^ERR(\([a-z_]*\), *\([0-9]*\), *"\([a-z_]*\)".*/\1 \2 \3/p' "$1/schema/errors.def" | sort
}

errors_of_doc() {
    sed -n 's/^| `\([a-z_]*\)` | \([0-9]*\) | `\([a-z_]*\)` |.*/\1 \2 \3/p' "$1/docs/api.md" | sort
}

routes_of_code() {
    sed -n 's|^    {"\([A-Z]*\)", "\(/admin/v1/[^"]*\)", .*|\1 \2|p' "$1/server/admin_route.c" | sort
}

# ID and NAME stand for what code writes as *.
routes_of_doc() {
    sed -n 's/^| `\([A-Z]* \/admin\/v1\/[^`]*\)` |.*/\1/p' "$1/docs/api.md" | sed 's#/[A-Z][A-Z]*#/*#' | sort
}

# Rows of the table of commands begin with {"words", "summary".
commands_of_code() {
    sed -n '/cli_commands\[\] = {/,/^    {0}};/s/^    {"\([a-z ]*\)", .*/\1/p' "$1/server/cli_table.c" | sort
}

commands_of_manual() {
    sed -n 's/^\.B wayfare \([a-z][a-z ]*[a-z]\)$/\1/p; s/^\.BI "wayfare \([a-z][a-z ]*[a-z]\) *".*/\1/p' "$1/docs/wayfare.1" | sort -u
}

# What the server logs as a warning or an error must say what to do; the message up to its first format.
log_lines_lack() {
    for file in "$1"/server/*.c; do
        tr '\n' ' ' < "$file" | grep -o -e 'log_line(LOG_\(ERROR\|WARN\), *"msg=\\"[^\\%:;]*' \
            -e 'log_fault(LOG_\(ERROR\|WARN\), *"[^"\\%:;]*' -e 'log_crowd([^"]*"[^"\\%:;]*' |
            sed 's/.*"//'
    done | sort -u | while read -r message; do
        grep -qF "$message" "$1/docs/operations.md" || echo "docs/operations.md lacks the log line \"$message\""
    done
}

# Rows of the tables of members are {"name", reader, required}; each must be told in its section.
members_lack() {
    sed -n '/^## The catalog file/,/^## /p' "$1/docs/api.md" > "$work/section"
    grep -o '{"[a-z_]*", [a-zA-Z_]*, \(true\|false\)}' "$1/router/catalog_wayfare.c" | cut -d '"' -f 2 | sort -u | while read -r member; do
        grep -q -e "\"$member\":" -e "\`$member\`" "$work/section" || echo "docs/api.md lacks the catalog's member \"$member\""
    done
}

check() {
    work=$(mktemp -d) || exit 1
    members_lack "$1"
    log_lines_lack "$1"
    fields_of_code "$1" > "$work/code"
    for doc in README.md docs/api.md; do
        fields_of_doc "$1/$doc" > "$work/doc"
        compare field $doc "$work/code" "$work/doc"
    done
    errors_of_code "$1" > "$work/code"
    errors_of_doc "$1" > "$work/doc"
    compare error docs/api.md "$work/code" "$work/doc"
    routes_of_code "$1" > "$work/code"
    routes_of_doc "$1" > "$work/doc"
    compare route docs/api.md "$work/code" "$work/doc"
    commands_of_code "$1" > "$work/code"
    commands_of_manual "$1" > "$work/doc"
    compare command docs/wayfare.1 "$work/code" "$work/doc"
    rm -rf "$work"
}

SAMPLES=11
sample() {
    mkdir "$1/schema" "$1/docs" "$1/server" "$1/router"
    printf 'FIELD("provider_a", X)\nFIELD("provider_b", X)\n' > "$1/schema/prefs_spec.h"
    printf '| `provider_a`, `provider_b` | text |\n' > "$1/README.md"
    printf 'ERR(bad, 400, "x_error", "y", NULL, CALLER, "text")\n' > "$1/schema/errors.def"
    printf '| `provider_a` | text `provider_b` |\n| `bad` | 401 | `x_error` | text |\n' > "$1/docs/api.md"
    printf 'static const struct member members[] = {{"told", t, true},\n    {"auth", p_auth, false},\n' > "$1/router/catalog_wayfare.c"
    printf '`auth`\n## The catalog file\n`told`\n' >> "$1/docs/api.md"
    printf '    {"GET", "/admin/v1/teams", X},\n    {"PATCH", "/admin/v1/teams/*", X},\n' > "$1/server/admin_route.c"
    printf '| `GET /admin/v1/keys` | x |\n| `PATCH /admin/v1/teams/NAME` | x |\n' >> "$1/docs/api.md"
    printf 'const struct cli_command cli_commands[] = {\n    {"team create", "s", 0},\n    {"usage", "s", 0},\n    {0}};\n' > "$1/server/cli_table.c"
    printf 'void f(void)\n{\n    log_line(LOG_WARN,\n             "msg=\\"it broke\\"");\n    log_line(LOG_ERROR, "msg=\\"told %%s\\"");\n    log_fault(LOG_WARN,\n              "it went", f.text, "%%s", "");\n    log_crowd(&p, now(w),\n              "they came");\n}\n' > "$1/server/a.c"
    printf '| `told` | x |\n' > "$1/docs/operations.md"
    printf '.B wayfare usage\n.BI "wayfare team list " [options]\n' > "$1/docs/wayfare.1"
}
run_lint
