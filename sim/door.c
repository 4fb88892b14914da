#define _GNU_SOURCE
/* Paths, and the book-keeping around each exchange. */
#include "sim/door.h"

#include "sim/anthropic.h"
#include "sim/ask.h"
#include "sim/control.h"

/* A path is SITE root ... [model_at MODEL] end.  root names where the site ends; without model_at
 * and end the path ends with root; with only model_at what follows is the rest. */
struct route {
    const char *root;
    const char *model_at;
    const char *end;
    const struct wire *wire;
    bool stream, count_only, event_stream;
};

#define CHAT "/chat/completions"
#define DEPLOYMENTS "/openai/deployments/"
#define GEMINI "/v1beta/models/"
#define VERTEX "/v1/projects/"
#define GOOGLE "/publishers/google/models/"
#define CLAUDE "/publishers/anthropic/models/"
#define GENERATE ":generateContent"
#define STREAM ":streamGenerateContent"
#define COUNT ":countTokens"
#define BEDROCK "/model/"

static const struct route routes[] = {
    {.root = "/v1/messages/count_tokens", .wire = &wire_anthropic, .count_only = true},
    {.root = "/v1/messages", .wire = &wire_anthropic},
    {.root = DEPLOYMENTS, .model_at = DEPLOYMENTS, .end = CHAT, .wire = &wire_azure},
    {.root = "/v1" CHAT, .wire = &wire_openai},
    {.root = CHAT, .wire = &wire_openai},
    {.root = GEMINI, .model_at = GEMINI, .end = GENERATE, .wire = &wire_gemini},
    {.root = GEMINI, .model_at = GEMINI, .end = STREAM, .wire = &wire_gemini, .stream = true},
    {.root = GEMINI, .model_at = GEMINI, .end = COUNT, .wire = &wire_gemini, .count_only = true},
    {.root = VERTEX, .model_at = GOOGLE, .end = GENERATE, .wire = &wire_vertex},
    {.root = VERTEX, .model_at = GOOGLE, .end = STREAM, .wire = &wire_vertex, .stream = true},
    {.root = VERTEX, .model_at = GOOGLE, .end = COUNT, .wire = &wire_vertex, .count_only = true},
    {.root = VERTEX, .model_at = CLAUDE, .end = ":rawPredict", .wire = &wire_vertex_claude},
    {.root = VERTEX,
     .model_at = CLAUDE,
     .end = ":streamRawPredict",
     .wire = &wire_vertex_claude,
     .stream = true},
    {.root = BEDROCK, .model_at = BEDROCK, .end = "/converse", .wire = &wire_converse},
    {.root = BEDROCK,
     .model_at = BEDROCK,
     .end = "/converse-stream",
     .wire = &wire_converse,
     .stream = true,
     .event_stream = true},
    {.root = BEDROCK, .model_at = BEDROCK, .end = "/invoke", .wire = &wire_invoke},
    {.root = BEDROCK,
     .model_at = BEDROCK,
     .end = "/invoke-with-response-stream",
     .wire = &wire_invoke,
     .stream = true,
     .event_stream = true},
};

static void copy(char *out, size_t cap, struct span s)
{
    size_t n = s.len < cap ? s.len : cap - 1;
    if (n > 0)
        memcpy(out, s.ptr, n);
    out[n] = '\0';
}

static void set_site(struct conn *c, struct span prefix)
{
    while (prefix.len > 0 && prefix.ptr[0] == '/') {
        prefix.ptr++;
        prefix.len--;
    }
    if (prefix.len == 0)
        prefix = span_of(c->listener->name);
    copy(c->exchange.site, sizeof(c->exchange.site), prefix);
}

static bool ends_with(struct span path, const char *end)
{
    size_t len = strlen(end);
    return path.len >= len && memcmp(path.ptr + path.len - len, end, len) == 0;
}

static const char *find_text(struct span path, const char *text)
{
    return memmem(path.ptr, path.len, text, strlen(text));
}

/* Where the site ends, or NULL; *ret_model: the model in the path, as written. */
static const char *match(const struct route *row, struct span path, struct span *ret_model)
{
    *ret_model = (struct span){NULL, 0};
    if (row->model_at == NULL)
        return ends_with(path, row->root) ? path.ptr + path.len - strlen(row->root) : NULL;
    const char *root = find_text(path, row->root);
    if (root == NULL || !ends_with(path, row->end))
        return NULL;
    struct span rest = {root, path.len - (size_t)(root - path.ptr)};
    const char *at = find_text(rest, row->model_at);
    if (at == NULL)
        return NULL;
    at += strlen(row->model_at);
    const char *end = path.ptr + path.len - strlen(row->end);
    if (end <= at || memchr(at, '/', (size_t)(end - at)) != NULL)
        return NULL;
    *ret_model = (struct span){at, (size_t)(end - at)};
    return root;
}

static bool answer_model(struct conn *c, const struct http_request *r, struct span path,
                         struct span query)
{
    struct span model;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *row = &routes[i];
        const char *site_end = match(row, path, &model);
        if (site_end == NULL)
            continue;
        set_site(c, (struct span){path.ptr, (size_t)(site_end - path.ptr)});
        copy(c->exchange.protocol, sizeof(c->exchange.protocol), span_of(row->wire->name));
        if (!span_is(r->method, "POST")) {
            ask_error(c, row->wire, 405, "Method not allowed");
            return true;
        }
        struct call call = {.wire = row->wire,
                            .model = model,
                            .query = query,
                            .stream = row->stream,
                            .count_only = row->count_only,
                            .event_stream = row->event_stream};
        ask_answer(c, r, &call);
        return true;
    }
    return false;
}

/* Lists of models, and the simulator's own paths: open ends. */
static bool answer_other(struct conn *c, const struct http_request *r, struct span path)
{
    static const struct {
        const char *path;
        bool control;
    } rows[] = {{"/_sim/", true}, {"/v1/models/", false}, {"/v1/models", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = find_text(path, rows[i].path);
        if (at == NULL)
            continue;
        set_site(c, (struct span){path.ptr, (size_t)(at - path.ptr)});
        at += strlen(rows[i].path);
        struct span rest = {at, path.len - (size_t)(at - path.ptr)};
        if (rows[i].control)
            control_answer(c, r, rest);
        else if (span_is(r->method, "GET"))
            anthropic_models(c, rest);
        else
            ask_error(c, &wire_anthropic, 405, "Method not allowed");
        return true;
    }
    return false;
}

static void dispatch(struct conn *c, const struct http_request *r)
{
    const char *mark = memchr(r->target.ptr, '?', r->target.len);
    struct span path = r->target;
    struct span query = {NULL, 0};
    if (mark != NULL) {
        path.len = (size_t)(mark - r->target.ptr);
        query = (struct span){mark + 1, r->target.len - path.len - 1};
    }
    if (answer_model(c, r, path, query) || answer_other(c, r, path))
        return;
    if (span_is(path, "/") && (span_is(r->method, "GET") || span_is(r->method, "HEAD")))
        answer_begin(&c->answer, 200, NULL);
    else
        ask_error(c, &wire_anthropic, 404, "Not found");
}

static void begin(struct conn *c, const struct http_request *r)
{
    struct exchange *x = &c->exchange;
    *x = (struct exchange){.seq = ++c->sim->n_requests, .body_len = r->body.len};
    copy(x->method, sizeof(x->method), r->method);
    copy(x->path, sizeof(x->path), r->target);
    if (c->heard.cap > ANSWER_KEEP)
        buf_done(&c->heard);
    buf_reset(&c->heard);
    copy(x->request_id, sizeof(x->request_id), http_header(r, "x-request-id"));
    copy(x->site, sizeof(x->site), span_of(c->listener->name));
    if (c->sim->witness.fd >= 0) {
        x->begin_ms = sim_unix_ms();
        witness_begin(&c->sim->witness, c, r);
    }
}

void door_answer(struct conn *c, struct http_request *r)
{
    begin(c, r);
    dispatch(c, r);
    c->answer.bodiless = span_is(r->method, "HEAD");
    if (r->minor == 0)
        c->keep_alive = false;
    answer_seal(&c->answer, r->minor, c->keep_alive);
}

void door_refuse(struct conn *c, const struct http_request *r, int status)
{
    begin(c, r);
    ask_error(c, &wire_anthropic, status, http_reason(status));
    answer_seal(&c->answer, 1, false);
}

void door_count(struct conn *c, struct roster_model *m, struct span model)
{
    copy(c->exchange.model, sizeof(c->exchange.model), model);
    if (m == NULL)
        return;
    m->n_requests++;
    m->n_in_flight++;
    c->exchange.in_flight = m;
}

void door_ended(struct conn *c, const char *how)
{
    struct roster_model *m = c->exchange.in_flight;
    if (m != NULL) {
        bool good = strcmp(how, "complete") == 0 && c->answer.status == 200;
        m->n_in_flight--;
        m->n_complete += good;
        m->n_failed += !good;
        m->output_tok += door_bill(c).output_tok;
        c->exchange.in_flight = NULL;
    }
    witness_end(&c->sim->witness, c, how);
}

struct bill door_bill(const struct conn *c)
{
    const struct answer *a = &c->answer;
    struct bill bill = a->bill;
    if (!a->billed || !c->play.head_sent)
        return (struct bill){0};
    if (c->play.pos < a->body.len || a->partial)
        bill.output_tok = play_tokens(c);
    return bill;
}

bool door_has_key(const struct http_request *r, struct span key)
{
    static const char *const names[] = {"x-api-key", "api-key", "x-goog-api-key"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct span plain = http_header(r, names[i]);
        if (plain.ptr != NULL && span_eq(plain, key))
            return true;
    }
    static const struct span scheme = SPAN("AWS4-HMAC-SHA256 Credential=");
    struct span value = http_header(r, "authorization");
    if (value.len > scheme.len + key.len && memcmp(value.ptr, scheme.ptr, scheme.len) == 0)
        return memcmp(value.ptr + scheme.len, key.ptr, key.len) == 0 &&
               value.ptr[scheme.len + key.len] == '/';
    return span_eq(http_bearer(r), key);
}
