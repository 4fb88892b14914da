#!/bin/sh
# What clang-format cannot see: banned calls, comments, sizes, floating point near money, SQL
# put together from pieces.
. "${top_srcdir:-.}/tests/lint/lint.sh"

# Longer than 80 lines, with the reason:
#   none so far
LONG_FUNCTIONS=' '
# Files in which an amount of money or a count of tokens passes.
MONEY='schema/money|schema/usage|router/price|router/hold|router/ledger|router/budget|router/usage_db|router/rollup|router/reconcile|router/replay|router/audit_db|router/generation_db|router/team_db|router/key_db|router/window|providers/.*_usage|server/call_money'

check() {
    for file in $(rooms "$1" schema providers router server sim tests bench); do
        code "$1" "$file" | awk -v file="$file" '
        /(^|[^a-zA-Z0-9_])(strcpy|strcat|sprintf|vsprintf|atoi|atol|atoll|atof|strtok|gets|alloca|system|popen|tmpnam|mktemp)[ ]*\(/ {
            print file ":" NR ": banned call: " $0
        }
        /\/\// { print file ":" NR ": // comment: " $0 }
        '
        awk -v file="$file" -v allowed="$LONG_FUNCTIONS" '
        /(TODO|FIXME|[^X]XXX[^X])/ && !/#[0-9]+/ { print file ":" NR ": no issue named: " $0 }
        /^\{/ { start = NR }
        /^\}/ {
            if (start && NR - start - 1 > 80 && !index(allowed, " " file ":" name " "))
                print file ":" start ": function of " NR - start - 1 " lines (80): " head
            start = 0
        }
        /^[a-zA-Z]/ { head = $0 }
        END { if (NR > 800) print file ": " NR " lines (800)" }
        ' "$1/$file"
    done
    for file in $(rooms "$1" schema providers router server | grep -E "^($MONEY)[a-z_]*\.[ch]\$"); do
        code "$1" "$file" | awk -v file="$file" '
        /(^|[^a-zA-Z0-9_])(double|float)([^a-zA-Z0-9_]|$)/ { print file ":" NR ": floating point near money: " $0 }'
    done
    for file in $(rooms "$1" router server); do
        # A format that begins or goes on with SQL; statements are constants with parameters.
        code "$1" "$file" strings=1 | awk -v file="$file" '
        /(printf|addf|mprintf)[ ]*\(/ { open = 3 }
        open > 0 {
            if ($0 ~ /"[^"]*(SELECT |INSERT |UPDATE |DELETE |REPLACE INTO |PRAGMA |CREATE |VACUUM|ATTACH )/)
                print file ":" NR ": SQL built from pieces: " $0
            open = $0 ~ /;[ ]*$/ ? 0 : open - 1
        }'
    done
}

SAMPLES=9
sample() {
    mkdir "$1/schema" "$1/router"
    {
        echo 'char *s = "strcpy(a, b) // no"; /* sprintf( TODO(#12) */'
        echo 'void f(void)'
        echo '{'
        echo '    strcpy (a, b);'
        echo '    x = atoi(b); // here'
        echo '    /* TODO later */'
        echo '}'
        echo 'double not_money;'
        echo 'void g(void)'
        echo '{'
        awk 'BEGIN { for (i = 0; i < 81; i++) print "    x++;" }'
        echo '}'
    } > "$1/schema/a.c"
    awk 'BEGIN { for (i = 0; i < 801; i++) print "int a" i ";" }' > "$1/schema/long.c"
    {
        echo 'static double x; /* double */'
        echo 'int floats;'
        echo 'void f(float y);'
    } > "$1/schema/money.c"
    {
        echo 'int f(void)'
        echo '{'
        echo '    snprintf(sql, n,'
        echo '             "SELECT a FROM b WHERE c = %d", c);'
        echo '    prepare("SELECT a FROM b");'
        echo '}'
    } > "$1/router/x_db.c"
}
run_lint
