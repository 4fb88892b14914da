#!/bin/sh
# Include directions: server -> router -> providers -> schema, sim -> schema; and which file
# may include which library.
. "${top_srcdir:-.}/tests/lint/lint.sh"

# includes ROOT FILE: "NAME" of each #include, system ones with <.
includes() {
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*["<]\([^">]*\)[">].*/\1/p' "$1/$2"
}

# may_include FILE NAME: is a header of ours allowed there?
may_include() {
    case $1:$2 in
        schema/*:schema/*) ;;
        providers/*:schema/* | providers/*:providers/*) ;;
        router/*:schema/* | router/*:providers/* | router/*:router/*) ;;
        router/db.c:migrations/*) ;;
        server/*:schema/* | server/*:router/* | server/*:server/*) ;;
        server/admin*.c:dashboard/*) ;;
        # An independent second implementation: what translates in the product must not judge itself.
        sim/*:schema/dialog.h | sim/*:schema/reply.h | sim/*:schema/eventstream.h | sim/*:schema/sigv4.h) return 1 ;;
        sim/*:schema/* | sim/*:sim/*) ;;
        *) return 1 ;;
    esac
}

# may_use FILE NAME: is a library's header allowed there?
may_use() {
    case $2 in
        sqlite3.h)
            case $1 in router/db.[ch] | router/*_db.c) ;; *) return 1 ;; esac
            ;;
        microhttpd.h)
            case $1 in server/http.[ch] | server/stream.c | server/loop.c | server/admin.c) ;; *) return 1 ;; esac
            ;;
        curl/*)
            case $1 in server/uplink.c | server/webhook.c | server/token.c | server/admin_client.c | server/serve.c) ;; *) return 1 ;; esac
            ;;
        gnutls/*)
            case $1 in server/tls.[ch]) ;; *) return 1 ;; esac
            ;;
        uv.h)
            case $1 in server/* | sim/*) ;; *) return 1 ;; esac
            ;;
        json-c/*)
            # Built JSON: not on the request's way, so not in schema/ (but *_json.c) or providers/.
            case $1 in schema/*_json.c | router/* | server/* | sim/*) ;; *) return 1 ;; esac
            ;;
        openssl/*)
            case $1 in schema/sigv4.c | router/* | server/*) ;; *) return 1 ;; esac
            ;;
    esac
}

check() {
    for file in $(rooms "$1" schema providers router server sim); do
        for name in $(includes "$1" "$file"); do
            case $name in
                schema/* | providers/* | router/* | server/* | sim/* | migrations/* | dashboard/* | tests/* | catalog/*)
                    may_include "$file" "$name" || echo "$file may not include $name"
                    ;;
                *) may_use "$file" "$name" || echo "$file may not use $name" ;;
            esac
        done
    done
}

SAMPLES=10
sample() {
    mkdir "$1/schema" "$1/providers" "$1/router" "$1/server" "$1/sim"
    printf '#include "router/plan.h"\n#include <json-c/json.h>\n#include "schema/buf.h"\n' > "$1/schema/a.c"
    printf '#include "server/http.h"\n#include <uv.h>\n' > "$1/providers/a.c"
    printf '#include <sqlite3.h>\n#  include "tests/x.h"\n' > "$1/router/plan.c"
    printf '#include <sqlite3.h>\n' > "$1/router/x_db.c"
    printf '#include "providers/provider.h"\n#include <curl/curl.h>\n#include <uv.h>\n' > "$1/server/a.c"
    printf '#include "router/plan.h"\n#include "schema/reply.h"\n#include <json-c/json.h>\n' > "$1/sim/a.c"
}
run_lint
