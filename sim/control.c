#define _GNU_SOURCE
/* POST script, POST reset, GET stats. */
#include "sim/control.h"

#include "sim/ask.h"

static void say(struct conn *c, int status, const char *message)
{
    ask_error(c, &wire_anthropic, status, message);
}

static void say_ok(struct conn *c)
{
    answer_begin(&c->answer, 200, "application/json");
    buf_adds(&c->answer.body, "{\"ok\":true}");
}

/* One member of the posted object as a pair of the stored script. */
static bool add_pair(struct sim *sim, json_ref member, struct buf *script)
{
    const struct json_doc *doc = &sim->doc;
    struct buf text;
    buf_init(&text, SCRIPT_TEXT_MAX);
    bool ok = json_key_text(doc, member, &text);
    size_t key_len = text.len;
    if (json_kind(doc, member) == JSON_STRING)
        ok = ok && json_text(doc, member, &text);
    else
        ok = ok && buf_add_span(&text, json_raw(doc, member));
    struct span key = {text.ptr, key_len};
    struct span value = {text.ptr + key_len, text.len - key_len};
    if (ok)
        script_write_pair(script, key, value);
    buf_done(&text);
    return ok && !script->failed;
}

/* Reads the object; the script must be one that requests can apply. */
static bool read_script(struct conn *c, struct buf *script, struct buf *model, struct buf *site)
{
    struct sim *sim = c->sim;
    for (json_ref m = json_first(&sim->doc, 0); m != JSON_NONE; m = json_next(&sim->doc, m)) {
        struct buf *name = json_key_is(&sim->doc, m, "model")  ? model
                           : json_key_is(&sim->doc, m, "site") ? site
                                                               : NULL;
        bool ok = true;
        if (name == NULL)
            ok = add_pair(sim, m, script);
        else
            ok = json_kind(&sim->doc, m) == JSON_STRING && json_text(&sim->doc, m, name);
        if (!ok) {
            say(c, 400, "not a script");
            return false;
        }
    }
    struct script tried;
    struct span bad;
    script_init(&tried, &sim->arena);
    if (script->len > 0 && !script_apply(&tried, buf_span(script), "&", &bad)) {
        buf_add_span(&sim->scratch, bad);
        buf_adds(&sim->scratch, ": not a key or value of the simulator");
        say(c, 400, sim->scratch.ptr);
        return false;
    }
    return true;
}

static void post_script(struct conn *c, const struct http_request *r)
{
    struct sim *sim = c->sim;
    struct fail fail;
    struct buf script, model, site;
    if (json_parse(&sim->doc, r->body, &fail) != 0 || json_kind(&sim->doc, 0) != JSON_OBJECT) {
        say(c, 400, "a JSON object is wanted");
        return;
    }
    buf_reset(&sim->scratch);
    buf_init(&script, SCRIPT_TEXT_MAX);
    buf_init(&model, ROSTER_NAME_MAX);
    buf_init(&site, ROSTER_NAME_MAX);
    if (read_script(c, &script, &model, &site)) {
        struct span where = site.len > 0 ? buf_span(&site) : span_of(c->exchange.site);
        struct span what = model.len > 0 ? buf_span(&model) : SPAN("*");
        struct roster_model *m = roster_get(&sim->roster, where, what);
        if (m == NULL || !roster_set_script(&sim->roster, m, buf_span(&script)))
            say(c, 500, "the roster is full");
        else
            say_ok(c);
    }
    buf_done(&script);
    buf_done(&model);
    buf_done(&site);
}

static void post_reset(struct conn *c)
{
    roster_reset(&c->sim->roster);
    cache_reset(&c->sim->cache);
    say_ok(c);
}

static void add_count(struct buf *out, const char *key, int64_t n)
{
    buf_addf(out, ",\"%s\":", key);
    buf_add_int(out, n);
}

static void get_stats(struct conn *c)
{
    const struct roster *roster = &c->sim->roster;
    struct buf *out = &c->answer.body;
    answer_begin(&c->answer, 200, "application/json");
    int64_t in_flight = 0;
    int64_t requests = 0;
    for (int i = 0; i < roster->n_models; i++) {
        in_flight += roster->all[i]->n_in_flight;
        requests += roster->all[i]->n_requests;
    }
    buf_adds(out, "{\"requests\":");
    buf_add_int(out, requests);
    add_count(out, "in_flight", in_flight);
    add_count(out, "connections", c->sim->n_conns);
    buf_adds(out, ",\"models\":[");
    bool first = true;
    for (int i = 0; i < roster->n_models; i++) {
        const struct roster_model *m = roster->all[i];
        if (m->n_requests == 0 && m->script == NULL)
            continue;
        buf_adds(out, first ? "{\"site\":" : ",{\"site\":");
        first = false;
        json_write_string(out, span_of(m->site));
        buf_adds(out, ",\"model\":");
        json_write_string(out, span_of(m->model));
        add_count(out, "requests", m->n_requests);
        add_count(out, "in_flight", m->n_in_flight);
        add_count(out, "complete", m->n_complete);
        add_count(out, "failed", m->n_failed);
        add_count(out, "output_tokens", m->output_tok);
        buf_adds(out, "}");
    }
    buf_adds(out, "]}");
}

void control_answer(struct conn *c, const struct http_request *r, struct span path)
{
    if (span_is(path, "script") && span_is(r->method, "POST"))
        post_script(c, r);
    else if (span_is(path, "reset") && span_is(r->method, "POST"))
        post_reset(c);
    else if (span_is(path, "stats") && span_is(r->method, "GET"))
        get_stats(c);
    else
        say(c, 404, "the simulator has POST script, POST reset and GET stats here");
}
