#define _GNU_SOURCE
/* One operation, sent over the admin socket. */
#include "server/admin_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "schema/buf.h"
#include "server/admin_path.h"

enum { ANSWER_MAX = 512 * 1024 * 1024, CONNECT_TIMEOUT_MS = 5000, SILENCE_S = 10 };

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    return buf_add(ctx, bytes, size * n) ? size * n : 0;
}

static enum err code_of(const char *name)
{
    for (int i = ERR_OK + 1; i < ERR_COUNT_; i++) {
        if (strcmp(err_info((enum err)i)->name, name) == 0)
            return (enum err)i;
    }
    return ERR_internal;
}

static const char *text_of(struct json_object *o, const char *member)
{
    struct json_object *v = json_object_object_get(o, member);
    return v != NULL ? json_object_get_string(v) : NULL;
}

/* {"error": {"message", "code", "field"}} of server/admin_reply.c. */
static enum client_result read_error(struct json_object *answer, long status, struct fail *reterr)
{
    struct json_object *error = json_object_object_get(answer, "error");
    const char *message = text_of(error, "message"), *code = text_of(error, "code");
    if (message == NULL)
        fail_set(reterr, ERR_internal, NULL, "the server answered %ld without a reason", status);
    else
        fail_set(reterr, code_of(code != NULL ? code : ""), text_of(error, "field"), "%s", message);
    return CLIENT_FAILED;
}

static enum client_result read_answer(CURL *easy, const struct buf *body, struct json_object **ret,
                                      struct fail *reterr)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    struct json_object *answer = body->len > 0 ? json_tokener_parse(body->ptr) : NULL;
    if (status != 200 || !json_object_is_type(answer, json_type_object)) {
        enum client_result r = read_error(answer, status, reterr);
        json_object_put(answer);
        return r;
    }
    *ret = answer;
    return CLIENT_OK;
}

/* ---- patience ---- */

struct patience {
    const char *db_path;
    time_t since;
    bool told;
};

/* From the lock file of the server; 0 when it is not known. */
static long pid_of_server(const char *db_path)
{
    char path[ADMIN_PATH_MAX], text[32] = "";
    FILE *f = admin_path(db_path, ".lock", path) ? fopen(path, "re") : NULL;
    if (f == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return strtol(text, NULL, 10);
}

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void tell_patience(const struct patience *p)
{
    long pid = pid_of_server(p->db_path);
    char who[32] = "";
    if (pid > 0)
        snprintf(who, sizeof(who), " (pid %ld)", pid);
    fprintf(stderr,
            "wayfare: the server%s has not answered for %d s; the command goes on waiting\n", who,
            SILENCE_S);
}

/* Called about once a second.  Long operations are as they should be: it is said, once, and no
 * more. */
static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct patience *p = ctx;
    (void)down_total;
    (void)up_total;
    (void)up;
    if (!p->told && down == 0 && seconds() - p->since >= SILENCE_S) {
        p->told = true;
        tell_patience(p);
    }
    return 0;
}

static void be_patient(CURL *easy, struct patience *p, const char *db_path)
{
    *p = (struct patience){.db_path = db_path, .since = seconds()};
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, p);
}

/* ---- the exchange ---- */

/* No proxy of the environment may come between, and no "Expect: 100-continue" pause. */
static struct curl_slist *set_up(CURL *easy, const char *socket_path, const char *request,
                                 struct buf *body)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/admin/v1/op");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
    return headers;
}

static enum client_result exchange(CURL *easy, struct buf *body, struct json_object **ret,
                                   struct fail *reterr)
{
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        return read_answer(easy, body, ret, reterr);
    if (code == CURLE_COULDNT_CONNECT)
        return CLIENT_ABSENT;
    fail_set(reterr, ERR_internal, NULL,
             "the server's admin socket broke off (%s); whether the command took effect is not "
             "known",
             curl_easy_strerror(code));
    return CLIENT_FAILED;
}

enum client_result admin_client_run(const char *db_path, const char *op, struct json_object *args,
                                    struct json_object **ret, struct fail *reterr)
{
    char socket_path[ADMIN_SOCKET_MAX];
    int dir_fd = -1;
    if (!admin_path_socket(db_path, socket_path, &dir_fd))
        return CLIENT_ABSENT;
    enum client_result result = CLIENT_ABSENT;
    CURL *easy = access(socket_path, F_OK) == 0 ? curl_easy_init() : NULL;
    if (easy != NULL) {
        struct json_object *call = json_object_new_object();
        struct buf body;
        struct patience patience;
        buf_init(&body, ANSWER_MAX);
        json_object_object_add(call, "op", json_object_new_string(op));
        json_object_object_add(call, "args", json_object_get(args));
        struct curl_slist *headers = set_up(
            easy, socket_path, json_object_to_json_string_ext(call, JSON_C_TO_STRING_PLAIN), &body);
        be_patient(easy, &patience, db_path);
        result = exchange(easy, &body, ret, reterr);
        curl_easy_cleanup(easy);
        curl_slist_free_all(headers);
        json_object_put(call);
        buf_done(&body);
    }
    if (dir_fd >= 0)
        close(dir_fd);
    return result;
}
