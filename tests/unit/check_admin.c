#define _GNU_SOURCE
/* Unit tests of the admin listener's pure parts: who may speak, which request runs what. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/admin_auth.h"
#include "server/admin_path.h"
#include "server/admin_route.h"
#include "server/ops.h"

/* ---- site ---- */

static const struct {
    const char *listen, *host, *origin;
    bool good;
} sites[] = {
    {"127.0.0.1", "127.0.0.1:8081", "", true},
    {"127.0.0.1", "localhost:8081", "", true},
    {"127.0.0.1", "LOCALHOST", "", true},
    {"127.0.0.1", "[::1]:8081", "", true},
    {"10.0.0.5", "10.0.0.5:8081", "", true},
    {"admin.internal", "Admin.Internal:8081", "", true},
    {"127.0.0.1", "evil.example:8081", "", false},
    {"127.0.0.1", "localhost.evil.example", "", false},
    {"127.0.0.1", "10.0.0.5", "", false},
    {"127.0.0.1", "", "", false},
    {"127.0.0.1", ":8081", "", false},
    {"127.0.0.1", "[::1", "", false},
    {"0.0.0.0", "10.0.0.5:8081", "", true},
    {"::", "[fd00::5]:8081", "", true},
    {"0.0.0.0", "evil.example", "", false},
    {"127.0.0.1", "127.0.0.1:8081", "http://127.0.0.1:8081", true},
    {"127.0.0.1", "127.0.0.1:8081", "https://127.0.0.1:8081", true},
    {"127.0.0.1", "127.0.0.1:8081", "http://127.0.0.1:8080", false},
    {"127.0.0.1", "127.0.0.1:8081", "http://evil.example", false},
    {"127.0.0.1", "127.0.0.1:8081", "null", false},
    {"127.0.0.1", "127.0.0.1:8081", "file://", false},
};

START_TEST(site)
{
    struct admin_auth a = {.host = sites[_i].listen};
    struct admin_claims c = {.host = span_of(sites[_i].host), .origin = span_of(sites[_i].origin)};
    struct fail fail = {0};
    int rc = admin_auth_check_site(&a, &c, &fail);
    ck_assert_msg((rc == 0) == sites[_i].good, "%s %s", sites[_i].host, sites[_i].origin);
    if (rc != 0)
        ck_assert_int_eq(fail.code, ERR_forbidden);
}
END_TEST

/* ---- token ---- */

static const struct {
    const char *authorization, *x_api_key;
    bool good;
} tokens[] = {
    {"Bearer sesame-sesame-sesame", "", true},
    {"bearer  sesame-sesame-sesame", "", true},
    {"", "sesame-sesame-sesame", true},
    {"", "", false},
    {"Bearer ", "", false},
    {"Basic sesame-sesame-sesame", "", false},
    {"sesame-sesame-sesame", "", false},
    {"Bearer sesame-sesame-sesamE", "", false},
    {"Bearer sesame-sesame-sesame1", "", false},
    {"", "sesame", false},
};

START_TEST(token)
{
    struct admin_auth a;
    struct fail fail = {0};
    setenv("WAYFARE_ADMIN_TOKEN", "sesame-sesame-sesame", 1);
    ck_assert_int_eq(admin_auth_init(&a, "127.0.0.1", "/nonexistent/db", &fail), 0);
    unsetenv("WAYFARE_ADMIN_TOKEN");
    struct admin_claims c = {.authorization = span_of(tokens[_i].authorization),
                             .x_api_key = span_of(tokens[_i].x_api_key)};
    ck_assert_int_eq(admin_auth_check_token(&a, &c, &fail) == 0, tokens[_i].good);
    if (!tokens[_i].good)
        ck_assert_int_eq(fail.code, ERR_unauthenticated);
}
END_TEST

/* An empty secret would be one that everybody knows. */
START_TEST(empty_token_is_refused)
{
    struct admin_auth a;
    struct fail fail = {0};
    setenv("WAYFARE_ADMIN_TOKEN", "", 1);
    ck_assert_int_eq(admin_auth_init(&a, "127.0.0.1", "/nonexistent/db", &fail), -1);
    ck_assert_ptr_nonnull(strstr(fail.text, "WAYFARE_ADMIN_TOKEN is set but empty"));
    setenv("WAYFARE_ADMIN_TOKEN", "short", 1); /* the operator's choice: told, taken */
    ck_assert_int_eq(admin_auth_init(&a, "127.0.0.1", "/nonexistent/db", &fail), 0);
    unsetenv("WAYFARE_ADMIN_TOKEN");
}
END_TEST

static void read_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    out[fread(out, 1, cap - 1, f)] = '\0';
    fclose(f);
}

START_TEST(token_file_is_made_once)
{
    char dir[] = "/tmp/wayfare-check-XXXXXX", db[64], file[128], text[128] = "", again[128] = "";
    struct admin_auth a, b;
    struct fail fail = {0};
    struct stat st;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(db, sizeof(db), "%s/x.db", dir);
    snprintf(file, sizeof(file), "%s.admin-token", db);
    ck_assert_msg(admin_auth_init(&a, "127.0.0.1", db, &fail) == 0, "%s", fail.text);
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
    read_file(file, text, sizeof(text));
    ck_assert_int_eq(chmod(file, 0644), 0);
    ck_assert_msg(admin_auth_init(&b, "127.0.0.1", db, &fail) == 0, "%s", fail.text);
    read_file(file, again, sizeof(again));
    ck_assert_str_eq(text, again);
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
    text[strcspn(text, "\n")] = '\0';
    struct admin_claims c = {.x_api_key = span_of(text)};
    ck_assert_int_eq(admin_auth_check_token(&a, &c, &fail), 0);
    ck_assert_int_eq(admin_auth_check_token(&b, &c, &fail), 0);
    ck_assert_int_eq(truncate(file, 5), 0);
    ck_assert_int_eq(admin_auth_init(&b, "127.0.0.1", db, &fail), -1);
    ck_assert_ptr_nonnull(strstr(fail.text, "delete it, a new one is made"));
    ck_assert_int_eq(truncate(file, 0), 0); /* as good as none */
    ck_assert_msg(admin_auth_init(&b, "127.0.0.1", db, &fail) == 0, "%s", fail.text);
    read_file(file, again, sizeof(again));
    ck_assert_uint_eq(strlen(again), strlen(text) + 1);
    ck_assert_int_ne(memcmp(text, again, strlen(text)), 0);
    unlink(file);
    rmdir(dir);
}
END_TEST

/* ---- paths ---- */

START_TEST(long_socket_paths_go_through_the_directory)
{
    char dir[] = "/tmp/wayfare-check-XXXXXX", deep[256], db[300], path[ADMIN_SOCKET_MAX];
    int fd = -1;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(db, sizeof(db), "%s/x.db", dir);
    ck_assert(admin_path_socket(db, path, &fd));
    ck_assert_int_eq(fd, -1);
    ck_assert_ptr_nonnull(strstr(path, "/x.db.sock"));
    snprintf(deep, sizeof(deep), "%s/%0100d", dir, 0);
    ck_assert_int_eq(mkdir(deep, 0700), 0);
    snprintf(db, sizeof(db), "%s/x.db", deep);
    ck_assert(admin_path_socket(db, path, &fd));
    ck_assert_int_ge(fd, 0);
    int probe = open(path, O_CREAT | O_WRONLY, 0600); /* the name leads where it should */
    ck_assert_int_ge(probe, 0);
    close(probe);
    close(fd);
    snprintf(db, sizeof(db), "%s/x.db.sock", deep);
    ck_assert_int_eq(unlink(db), 0);
    rmdir(deep);
    rmdir(dir);
    ck_assert(!admin_path_socket("/nonexistent/dir/x.db", path, &fd));
}
END_TEST

/* ---- routes ---- */

static const struct {
    const char *method, *path, *op, *body, *args;
} routed[] = {
    {"GET", "/admin/v1/teams", "team list", "", "{}"},
    {"HEAD", "/admin/v1/teams", "team list", "", "{}"},
    {"POST", "/admin/v1/teams", "team create", "{\"name\":\"a\"}", "{\"name\":\"a\"}"},
    {"PATCH", "/admin/v1/teams/b c", "team set", "{\"budget\":\"1\",\"window\":\"day\"}",
     "{\"budget\":\"1\",\"window\":\"day\",\"name\":\"b c\"}"},
    {"GET", "/admin/v1/keys", "key list", "", "{}"},
    {"POST", "/admin/v1/keys", "key create", "{\"team\":\"a\"}", "{\"team\":\"a\"}"},
    {"DELETE", "/admin/v1/keys/key_1", "key revoke", "", "{\"id\":\"key_1\"}"},
    {"PATCH", "/admin/v1/keys/key_1", "key set", "{}", "{\"id\":\"key_1\"}"},
    {"POST", "/admin/v1/keys/key_1/rotate", "key rotate", "", "{\"id\":\"key_1\"}"},
    {"POST", "/admin/v1/keys/key_1/rotate", "key rotate", "{\"grace\":\"1h\"}",
     "{\"grace\":\"1h\",\"id\":\"key_1\"}"},
    {"GET", "/admin/v1/usage", "usage", "", "{}"},
    {"GET", "/admin/v1/generations", "generation list", "", "{}"},
    {"GET", "/admin/v1/generations/gen_1", "generation get", "", "{\"id\":\"gen_1\"}"},
    {"GET", "/admin/v1/catalog", "catalog export", "", "{}"},
    {"POST", "/admin/v1/catalog", "catalog import", "{ }", "{\"text\":\"{ }\"}"},
    {"POST", "/admin/v1/route", "route", "not json", "{\"body\":\"not json\"}"},
    {"GET", "/admin/v1/experiments", "experiment list", "", "{}"},
    {"POST", "/admin/v1/experiments", "experiment create", "{\"name\":\"a\"}", "{\"name\":\"a\"}"},
    {"GET", "/admin/v1/experiments/a", "experiment show", "", "{\"name\":\"a\"}"},
    {"PATCH", "/admin/v1/experiments/a", "experiment set", "{\"ramp\":5}",
     "{\"ramp\":5,\"name\":\"a\"}"},
    {"POST", "/admin/v1/experiments/a/stop", "experiment stop", "{}", "{\"name\":\"a\"}"},
    {"GET", "/admin/v1/ledger/verify", "ledger verify", "", "{}"},
    {"POST", "/admin/v1/backup", "backup", "{\"dest\":\"/x\"}", "{\"dest\":\"\\/x\"}"},
};

START_TEST(routes)
{
    struct span segment = {NULL, 0};
    struct buf allow;
    struct fail fail = {0};
    struct json_object *args = NULL;
    buf_init(&allow, 64);
    const struct admin_route *r =
        admin_route_find(routed[_i].method, routed[_i].path, &segment, &allow, &fail);
    ck_assert_msg(r != NULL, "%s", fail.text);
    ck_assert_str_eq(r->op, routed[_i].op);
    ck_assert_ptr_nonnull(ops_find(r->op));
    ck_assert_int_eq(admin_route_args(r, segment, span_of(routed[_i].body), &args, &fail), 0);
    ck_assert_str_eq(json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN), routed[_i].args);
    json_object_put(args);
    buf_done(&allow);
}
END_TEST

static const struct {
    const char *method, *path;
    enum err code;
    const char *allow;
} unrouted[] = {
    {"GET", "/admin/v1/frob", ERR_not_found, ""},
    {"GET", "/v1/messages", ERR_not_found, ""},
    {"GET", "/admin/v1/teams/", ERR_not_found, ""},
    {"GET", "/admin/v1/teams/a/b", ERR_not_found, ""},
    {"GET", "/admin/v1/keys/a/rotate/", ERR_not_found, ""},
    {"PUT", "/admin/v1/teams", ERR_method_not_allowed, "GET, HEAD, POST"},
    {"get", "/admin/v1/teams", ERR_method_not_allowed, "GET, HEAD, POST"},
    {"GET", "/admin/v1/keys/a", ERR_method_not_allowed, "PATCH, DELETE"},
    {"HEAD", "/admin/v1/keys/a", ERR_method_not_allowed, "PATCH, DELETE"},
    {"POST", "/metrics", ERR_method_not_allowed, "GET, HEAD"},
    {"GET", "/admin/v1/op", ERR_method_not_allowed, "POST"},
};

START_TEST(refuses_paths_and_methods)
{
    struct span segment = {NULL, 0};
    struct buf allow;
    struct fail fail = {0};
    buf_init(&allow, 64);
    ck_assert_ptr_null(
        admin_route_find(unrouted[_i].method, unrouted[_i].path, &segment, &allow, &fail));
    ck_assert_int_eq(fail.code, unrouted[_i].code);
    ck_assert_str_eq(allow.len > 0 ? allow.ptr : "", unrouted[_i].allow);
    buf_done(&allow);
}
END_TEST

static const char *const bad_bodies[] = {"[1]", "1", "{", "{} x", "{\"a\":}", "null"};

START_TEST(refuses_bodies)
{
    struct span segment = {NULL, 0};
    struct buf allow;
    struct fail fail = {0};
    struct json_object *args = NULL;
    buf_init(&allow, 64);
    const struct admin_route *r =
        admin_route_find("POST", "/admin/v1/teams", &segment, &allow, &fail);
    ck_assert_int_eq(admin_route_args(r, segment, span_of(bad_bodies[_i]), &args, &fail), -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_ptr_null(args);
    buf_done(&allow);
}
END_TEST

START_TEST(refuses_in_the_body_what_is_in_the_path)
{
    struct span segment = {NULL, 0};
    struct buf allow;
    struct fail fail = {0};
    struct json_object *args = NULL;
    buf_init(&allow, 64);
    const struct admin_route *r =
        admin_route_find("PATCH", "/admin/v1/teams/b", &segment, &allow, &fail);
    ck_assert_int_eq(admin_route_args(r, segment, span_of("{\"name\":\"other\"}"), &args, &fail),
                     -1);
    ck_assert_int_eq(fail.code, ERR_bad_request);
    ck_assert_str_eq(fail.field, "name");
    buf_done(&allow);
}
END_TEST

START_TEST(query_arguments)
{
    struct span segment = {NULL, 0};
    struct buf allow;
    struct fail fail = {0};
    struct json_object *args = json_object_new_object();
    buf_init(&allow, 64);
    const struct admin_route *list =
        admin_route_find("GET", "/admin/v1/generations", &segment, &allow, &fail);
    ck_assert_int_eq(admin_route_query(list, "limit", "5", args, &fail), 0);
    ck_assert_int_eq(admin_route_query(list, "team", "12", args, &fail), 0);
    ck_assert_str_eq(json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN),
                     "{\"limit\":5,\"team\":\"12\"}");
    ck_assert_int_eq(admin_route_query(list, "limit", "6", args, &fail), -1);
    ck_assert_int_eq(admin_route_query(list, "color", "red", args, &fail), -1);
    ck_assert_str_eq(fail.field, "color");
    json_object_put(args);
    args = json_object_new_object();
    ck_assert_int_eq(admin_route_query(list, "limit", "x", args, &fail), -1);
    ck_assert_int_eq(admin_route_query(list, "limit", NULL, args, &fail), -1);
    const struct admin_route *import =
        admin_route_find("POST", "/admin/v1/catalog", &segment, &allow, &fail);
    ck_assert_int_eq(admin_route_query(import, "dry_run", "yes", args, &fail), -1);
    ck_assert_int_eq(admin_route_query(import, "dry_run", "true", args, &fail), 0);
    ck_assert_str_eq(json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN),
                     "{\"dry_run\":true}");
    json_object_put(args);
    buf_done(&allow);
}
END_TEST

Suite *admin_suite(void);

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *admin_suite(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("auth");
    tcase_add_loop_test(t, site, 0, ROWS(sites));
    tcase_add_loop_test(t, token, 0, ROWS(tokens));
    tcase_add_test(t, empty_token_is_refused);
    tcase_add_test(t, token_file_is_made_once);
    tcase_add_test(t, long_socket_paths_go_through_the_directory);
    suite_add_tcase(s, t);
    TCase *r = tcase_create("routes");
    tcase_add_loop_test(r, routes, 0, ROWS(routed));
    tcase_add_loop_test(r, refuses_paths_and_methods, 0, ROWS(unrouted));
    tcase_add_loop_test(r, refuses_bodies, 0, ROWS(bad_bodies));
    tcase_add_test(r, refuses_in_the_body_what_is_in_the_path);
    tcase_add_test(r, query_arguments);
    suite_add_tcase(s, r);
    return s;
}
