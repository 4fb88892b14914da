#include "tests/unit/recordings.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_LEN = 1024 };

typedef bool use_fn(const char *path, struct json_object *exchange);

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);
    return len > n && strcmp(name + len - n, end) == 0;
}

static int replay_file(const char *path, use_fn *use)
{
    struct json_object *exchange = json_object_from_file(path);
    ck_assert_msg(exchange != NULL, "cannot read %s", path);
    int n = use(path, exchange) ? 1 : 0;
    json_object_put(exchange);
    return n;
}

static int replay_folder(const char *folder, use_fn *use)
{
    char path[PATH_LEN];
    int n = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        int len = snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        ck_assert_int_lt(len, (int)sizeof(path));
        if (ends_in(e->d_name, ".json"))
            n += replay_file(path, use);
        else if (strchr(e->d_name, '.') == NULL)
            n += replay_folder(path, use);
    }
    closedir(dir);
    return n;
}

int recordings_replay(const char *suite, const char *folder, int at_least, use_fn *use)
{
    const char *shared = getenv("WAYFARE_SHARED");
    char path[PATH_LEN];
    snprintf(path, sizeof(path), "%s/recordings", shared != NULL ? shared : "../shared");
    DIR *dir = opendir(path);
    if (dir == NULL) {
        printf("skip %s: no %s (set WAYFARE_SHARED)\n", suite, path);
        return 0;
    }
    closedir(dir);
    if (folder != NULL)
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", folder);
    int n = replay_folder(path, use);
    ck_assert_msg(n >= at_least, "%s: only %d recordings in %s", suite, n, path);
    return n;
}

struct json_object *recording_member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (json_object_is_type(object, json_type_object))
        json_object_object_get_ex(object, key, &value);
    return value;
}

size_t recording_length(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

struct json_object *recording_item(struct json_object *array, size_t i)
{
    return i < recording_length(array) ? json_object_array_get_idx(array, i) : NULL;
}

const char *recording_word(struct json_object *object, const char *key)
{
    struct json_object *value = recording_member(object, key);
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t recording_number(struct json_object *object, const char *key)
{
    struct json_object *value = recording_member(object, key);
    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

char *recording_base64(const char *text, size_t *ret_len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = malloc(strlen(text) + 1);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    ck_assert_ptr_nonnull(to);
    for (; *text != '\0' && *text != '='; text++) {
        ck_assert_ptr_nonnull(strchr(digits, *text));
        bits = bits << 6 | (uint32_t)(strchr(digits, *text) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (char)(bits >> have);
        }
    }
    *ret_len = n;
    return to;
}

static char *copy(const char *text, size_t len)
{
    char *to = malloc(len + 1);
    ck_assert_ptr_nonnull(to);
    memcpy(to, text, len);
    to[len] = '\0';
    return to;
}

char *recording_bytes(struct json_object *response, size_t *ret_len)
{
    struct json_object *text = recording_member(response, "body_text");
    struct json_object *body = recording_member(response, "body");
    struct json_object *base64 = recording_member(response, "body_base64");
    if (base64 != NULL)
        return recording_base64(json_object_get_string(base64), ret_len);
    if (text != NULL) {
        *ret_len = (size_t)json_object_get_string_len(text);
        return copy(json_object_get_string(text), *ret_len);
    }
    const char *json = json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE);
    *ret_len = body != NULL ? strlen(json) : 0;
    return copy(json, *ret_len);
}

/* ---- answers ---- */

/* InvokeModel is used for Anthropic's models alone. */
static const struct {
    const char *api, *provider, *model; /* a piece of it; NULL: any */
    const char *protocol, *prefix;      /* before the model's name */
} readers[] = {
    {"anthropic.messages", NULL, NULL, "anthropic", ""},
    {"vertex.rawPredict", NULL, NULL, "vertex", "claude-"},
    {"vertex.streamRawPredict", NULL, NULL, "vertex", "claude-"},
    {"openai.chat", "azure", NULL, "azure-openai", ""},
    {"openai.chat", NULL, NULL, "openai", ""},
    {"gemini.generateContent", "vertex", NULL, "vertex", ""},
    {"gemini.streamGenerateContent", "vertex", NULL, "vertex", ""},
    {"gemini.generateContent", NULL, NULL, "gemini", ""},
    {"gemini.streamGenerateContent", NULL, NULL, "gemini", ""},
    {"bedrock.converse", NULL, NULL, "bedrock", "converse/"},
    {"bedrock.converse-stream", NULL, NULL, "bedrock", "converse/"},
    {"bedrock.invoke", NULL, "anthropic.", "bedrock", "invoke/"},
    {"bedrock.invoke-stream", NULL, "anthropic.", "bedrock", "invoke/"},
    {"cohere.chat-v2", NULL, NULL, "cohere", ""},
};

const struct provider *recording_reader(struct json_object *exchange, struct provider_target *ret)
{
    static char base_url[PATH_LEN], model[PATH_LEN];
    const char *name = recording_word(exchange, "model");
    const char *provider = recording_word(exchange, "provider");
    const char *url = recording_word(recording_member(exchange, "request"), "url");
    const char *path = strstr(url, "/chat/completions");
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (strcmp(recording_word(exchange, "api"), readers[i].api) != 0 ||
            (readers[i].provider != NULL && strcmp(provider, readers[i].provider) != 0) ||
            (readers[i].model != NULL && strstr(name, readers[i].model) == NULL))
            continue;
        snprintf(base_url, sizeof(base_url), "%.*s", (int)(path != NULL ? path - url : 0), url);
        snprintf(model, sizeof(model), "%s%s", readers[i].prefix, name);
        *ret = (struct provider_target){.slug = provider,
                                        .base_url =
                                            base_url[0] != '\0' ? base_url : "https://api.example",
                                        .upstream_model = model};
        return provider_find(readers[i].protocol);
    }
    return NULL;
}

static void ignore_event(void *ctx, const struct event *ev)
{
    (void)ctx, (void)ev;
}

static enum verdict read_answer(const struct provider *p, const struct provider_reading *reading,
                                struct json_object *response)
{
    static struct usage_report report;
    int64_t content_bytes;
    size_t len;
    char *body = recording_bytes(response, &len);
    const struct span bytes = {body, len};
    enum verdict verdict;
    if (recording_member(response, "body") != NULL) {
        verdict = p->read_body(reading, bytes, &report);
    } else {
        void *stream = p->stream_open(reading);
        ck_assert(p->stream_feed(stream, bytes, ignore_event, NULL));
        if (p->stream_finish != NULL)
            p->stream_finish(stream);
        verdict = p->stream_state(stream, &report, &content_bytes);
        p->stream_close(stream);
    }
    free(body);
    return verdict;
}

static void on_reply(void *ctx, const struct reply *r)
{
    struct recording_told *t = ctx;
    struct reply timely = *r;
    const char *wrong = reply_check(&t->grammar, r);
    ck_assert_msg(wrong == NULL, "%s: %s", t->file, wrong);
    if (r->kind == REPLY_CLOSE)
        timely.signature = (struct span){"", 0};
    ck_assert(reply_gather(&t->told, r));
    ck_assert(reply_gather(&t->told_in_time, &timely));
    ck_assert(t->door->write(t->streaming, r, &t->stream));
    ck_assert(t->door->write(t->whole, r, &t->body));
}

void recording_tell(struct recording_told *ret, const char *file, const struct provider *p,
                    const struct provider_target *target, struct json_object *response,
                    const struct door *door)
{
    static const struct door_answer answers[] = {
        {.generation_id = RECORDING_GENERATION, .model = "maker/model"},
        {.generation_id = RECORDING_GENERATION,
         .model = "maker/model",
         .stream = true,
         .include_usage = true}};
    struct reply_sink sink = {on_reply, ret};
    struct provider_reading reading = {.target = target, .sink = &sink};
    *ret = (struct recording_told){.file = file, .door = door};
    ret->whole = door->open(&answers[0]);
    ret->streaming = door->open(&answers[1]);
    reply_whole_init(&ret->told);
    reply_whole_init(&ret->told_in_time);
    buf_init(&ret->stream, PROVIDER_BODY_MAX);
    buf_init(&ret->body, PROVIDER_BODY_MAX);
    enum verdict verdict = read_answer(p, &reading, response);
    ck_assert_msg((verdict == VERDICT_COMPLETE) == ret->told.ended, "%s: verdict %d", file,
                  verdict);
    ck_assert(buf_reserve(&ret->stream, 1) && buf_reserve(&ret->body, 1)); /* for the NUL */
    door->close(ret->whole);
    door->close(ret->streaming);
}

void recording_told_done(struct recording_told *t)
{
    reply_whole_done(&t->told);
    reply_whole_done(&t->told_in_time);
    buf_done(&t->stream);
    buf_done(&t->body);
}
