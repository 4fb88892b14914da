/* The parts of a chat request that do not depend on the door: names of models, routing
 * fields, and the forwarded body as pieces of the received one. */
#include "schema/chat.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "schema/chat_reader.h"
#include "schema/json_path.h"

_Static_assert(CHAT_MODEL_NAME_MAX == 256, "messages say 255 bytes");
_Static_assert(CHAT_MODELS_MAX == 32, "messages say 31 models");

static void set_empty(struct chat *c)
{
    memset(c, 0, offsetof(struct chat, models));
    c->max_tokens = -1;
    c->max_tokens_name = "max_tokens";
}

void chat_init(struct chat *c)
{
    prefs_init(&c->prefs);
    set_empty(c);
}

void chat_done(struct chat *c)
{
    prefs_done(&c->prefs);
    set_empty(c);
}

void chat_begin(struct chat *c, enum chat_door door, const struct json_doc *doc)
{
    set_empty(c);
    c->door = door;
    c->doc = doc;
    c->body = doc->text;
}

bool chat_member_name(const struct json_doc *d, json_ref member, char out[CHAT_MEMBER_NAME_MAX])
{
    const struct json_node *node = json_at(d, member);
    struct span written = {d->text.ptr + node->key_begin + 1, node->key_len}, piece;
    char store[4];
    size_t n = 0;
    while (written.len > 0) {
        if (!json_stretch(&written, store, &piece) || piece.len >= CHAT_MEMBER_NAME_MAX - n)
            return false;
        memcpy(out + n, piece.ptr, piece.len);
        n += piece.len;
    }
    out[n] = '\0';
    return true;
}

static int find_row(const char *name, const struct chat_member *rows, int n)
{
    int i = 0;
    while (i < n && (name[0] != rows[i].name[0] || strcmp(name, rows[i].name) != 0))
        i++;
    return i;
}

/* In place, to lower case; the two characters beyond ASCII whose other case is an ASCII letter
 * (long s, Kelvin sign) become that.  false: there was nothing to change. */
static bool fold(char *name)
{
    bool changed = false;
    char *out = name;
    while (*name != '\0') {
        size_t used = 1;
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        if (strncmp(name, "\xc5\xbf", 2) == 0) {
            c = 's';
            used = 2;
        } else if (strncmp(name, "\xe2\x84\xaa", 3) == 0) {
            c = 'k';
            used = 3;
        }
        changed |= c != *name;
        *out++ = c;
        name += used;
    }
    *out = '\0';
    return changed;
}

static bool is_routing(const char *name)
{
    return strcmp(name, "provider") == 0 || strncmp(name, "provider_", 9) == 0;
}

/* Servers written in Go take "Max_Tokens" for max_tokens, the last one winning
 * (pkg.go.dev/encoding/json#Unmarshal): another limit than the one that is held for.  And who wrote
 * "Provider_ZDR" did not mean a member that passes. */
static int refuse_twin(struct chat_reader *r, char *name, const struct chat_member *rows, int n)
{
    if (!fold(name) || (find_row(name, rows, n) == n && !is_routing(name)))
        return 0;
    return fail_set(r->reterr, ERR_bad_request, name,
                    "a member differs from %s only in the case of letters, and some servers take "
                    "it for the same: names are written in small letters",
                    name);
}

int chat_split_members(struct chat_reader *r, const struct chat_member *rows, int n,
                       json_ref *ret_at)
{
    const struct json_doc *d = r->doc;
    uint64_t seen = 0;
    int count = 0;
    assert(n <= 64);
    for (int i = 0; i < n; i++)
        ret_at[i] = JSON_NONE;
    for (json_ref m = json_first(d, 0); m != JSON_NONE; m = json_next(d, m)) {
        char name[CHAT_MEMBER_NAME_MAX];
        if (++count > CHAT_MEMBERS_MAX)
            return fail_set(r->reterr, ERR_bad_request, NULL, "the body has more than %d members",
                            CHAT_MEMBERS_MAX);
        int i = chat_member_name(d, m, name) ? find_row(name, rows, n) : -1;
        if (i < 0)
            continue;
        if (i == n) {
            if (!prefs_is_routing_member(d, m) && refuse_twin(r, name, rows, n) != 0)
                return -1;
            continue;
        }
        if (seen >> i & 1)
            return json_refuse_twice(d, m, r->reterr);
        seen |= UINT64_C(1) << i;
        if (json_kind(d, m) == JSON_NULL)
            continue;
        if (!(rows[i].kinds & 1u << json_kind(d, m)))
            return json_refuse(d, m, rows[i].accepts, r->reterr);
        ret_at[i] = m;
    }
    return 0;
}

int chat_read_limit(struct chat_reader *r, json_ref v, int64_t *ret_tok)
{
    const int64_t largest = INT64_C(1) << 53; /* beyond it JSON readers disagree */
    int64_t n;
    *ret_tok = -1;
    if (v == JSON_NONE)
        return 0;
    if (!json_int64(r->doc, v, &n) || n < 0 || n > largest)
        return json_refuse(r->doc, v, "an integer from 0 to 9007199254740992", r->reterr);
    *ret_tok = n;
    return 0;
}

void chat_note_param(struct chat_reader *r, json_ref v, enum param param)
{
    if (v == JSON_NONE)
        return;
    if (json_kind(r->doc, v) == JSON_ARRAY && json_first(r->doc, v) == JSON_NONE)
        return;
    r->chat->params |= PARAM_BIT(param);
}

static int read_term(struct chat_reader *r, json_ref v, const char *usual, char ret[VOCAB_TERM_MAX])
{
    if (v == JSON_NONE || json_text_is(r->doc, v, usual))
        return 0;
    if (!json_text_fixed(r->doc, v, ret, VOCAB_TERM_MAX) || ret[0] == '\0')
        return json_refuse(r->doc, v, "a word of 1 to 15 bytes", r->reterr);
    return 0;
}

int chat_read_terms(struct chat_reader *r, json_ref speed, json_ref geo)
{
    _Static_assert(VOCAB_TERM_MAX == 16, "the message says 15 bytes");
    return read_term(r, speed, VOCAB_SPEED_USUAL, r->chat->speed) != 0 ||
                   read_term(r, geo, VOCAB_GEO_USUAL, r->chat->geo) != 0
               ? -1
               : 0;
}

/* ---- models ---- */

/* Only the suffixes that say how to choose; others (:free, :thinking) are part of a name. */
static const char *const suffixes[] = {
    [SUFFIX_NONE] = "", [SUFFIX_FLOOR] = ":floor", [SUFFIX_NITRO] = ":nitro"};

enum chat_suffix chat_name_suffix(struct span name)
{
    for (int i = SUFFIX_NITRO; i > SUFFIX_NONE; i--) {
        size_t n = strlen(suffixes[i]);
        if (name.len >= n && memcmp(name.ptr + name.len - n, suffixes[i], n) == 0)
            return (enum chat_suffix)i;
    }
    return SUFFIX_NONE;
}

static enum chat_suffix take_suffix(char *name)
{
    enum chat_suffix suffix = chat_name_suffix(span_of(name));
    name[strlen(name) - strlen(suffixes[suffix])] = '\0';
    return suffix;
}

const char *chat_model_text(const struct chat_model *m, char out[CHAT_MODEL_TEXT_MAX])
{
    snprintf(out, CHAT_MODEL_TEXT_MAX, "%s%s", m->name, suffixes[m->suffix]);
    return out;
}

static bool has_model(const struct chat_model *list, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0)
            return true;
    }
    return false;
}

static int add_model(const struct json_doc *d, json_ref v, struct chat_model *list, int *n,
                     struct fail *reterr)
{
    struct chat_model *m = &list[*n];
    if (!json_text_fixed(d, v, m->name, sizeof(m->name)) || m->name[0] == '\0')
        return json_refuse(d, v, "the name of a model, a string of 1 to 255 bytes", reterr);
    m->suffix = take_suffix(m->name);
    if (m->name[0] == '\0')
        return json_refuse(d, v, "the name of a model before its suffix", reterr);
    if (!has_model(list, *n, m->name))
        ++*n;
    return 0;
}

static int add_models(const struct json_doc *d, json_ref models, struct chat_model *list, int *n,
                      struct fail *reterr)
{
    static const char accepts[] = "an array of at most 31 model names";
    if (json_kind(d, models) != JSON_ARRAY)
        return json_refuse(d, models, accepts, reterr);
    int count = 0;
    for (json_ref e = json_first(d, models); e != JSON_NONE; e = json_next(d, e)) {
        if (++count > CHAT_MODELS_MAX - 1)
            return json_refuse(d, models, accepts, reterr);
        if (add_model(d, e, list, n, reterr) != 0)
            return -1;
    }
    return 0;
}

int chat_read_names(const struct json_doc *d, json_ref model, json_ref models,
                    struct chat_model *ret, int *ret_n, struct fail *reterr)
{
    *ret_n = 0;
    if (model != JSON_NONE && add_model(d, model, ret, ret_n, reterr) != 0)
        return -1;
    return models != JSON_NONE ? add_models(d, models, ret, ret_n, reterr) : 0;
}

int chat_read_models(struct chat_reader *r, json_ref model, json_ref models)
{
    struct chat *c = r->chat;
    json_ref member = model != JSON_NONE ? model : json_get(r->doc, 0, "model"); /* or a null */
    if (chat_read_names(r->doc, model, models, c->models, &c->n_models, r->reterr) != 0)
        return -1;
    if (c->n_models == 0)
        return fail_set(r->reterr, ERR_bad_request, "model",
                        "model is required: the name of a "
                        "model, a string of 1 to 255 bytes");
    c->model_added = member == JSON_NONE;
    c->model_begin =
        c->model_added ? json_at(r->doc, 0)->begin + 1 : json_at(r->doc, member)->begin;
    c->model_end = c->model_added ? c->model_begin : json_at(r->doc, member)->end;
    return 0;
}

/* ---- routing ---- */

/* "priority" and "flex" cost other prices than the endpoint's (platform.openai.com/docs/pricing); a
 * tier is chosen by its variant, "provider/flex", which has prices of its own.  Anthropic's words
 * ("auto", "standard_only") are not: its priority tier is paid for in advance. */
static bool is_priced_tier(const struct json_doc *d, json_ref member)
{
    static const char *const plain[] = {"auto", "default", "standard", "standard_only"};
    if (!json_key_is(d, member, "service_tier") || json_kind(d, member) != JSON_STRING)
        return false;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (json_text_is(d, member, plain[i]))
            return false;
    }
    return true;
}

/* What no provider is told.  OpenRouter's `usage` asks for the report that chat->report stands
 * for, and other providers refuse it. */
static bool is_ours(const struct chat_reader *r, json_ref member)
{
    return prefs_is_routing_member(r->doc, member) || is_priced_tier(r->doc, member) ||
           (r->chat->door == DOOR_OPENAI && json_key_is(r->doc, member, "usage"));
}

/* also: a member that goes too; NONE: no other. */
static int find_cuts(const struct chat_reader *r, json_ref also, struct json_cut *ret)
{
    json_ref members[CHAT_CUTS_MAX];
    size_t n = 0;
    for (json_ref m = json_first(r->doc, 0); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (m != also && !is_ours(r, m))
            continue;
        r->chat->tier_cut |= is_priced_tier(r->doc, m);
        assert(n < CHAT_CUTS_MAX); /* each name was known and there once */
        members[n++] = m;
    }
    return (int)json_cut_members(r->doc, 0, members, n, ret);
}

int chat_read_routing(struct chat_reader *r)
{
    struct chat *c = r->chat;
    json_ref tier; /* counting tokens reads none of it, but it is cut out there too */
    if (json_get_once(r->doc, 0, "service_tier", &tier, r->reterr) != 0 ||
        prefs_read(&c->prefs, r->doc, 0, r->reterr) != 0)
        return -1;
    c->n_cuts = find_cuts(r, JSON_NONE, c->cuts);
    json_ref options = c->door == DOOR_OPENAI ? json_get(r->doc, 0, "stream_options") : JSON_NONE;
    if (options != JSON_NONE)
        c->n_cuts_without_options = find_cuts(r, options, c->cuts_without_options);
    return 0;
}

int chat_pin(struct chat_reader *r, json_ref id, const char *field)
{
    struct chat *c = r->chat;
    if (c->pinned_field != NULL)
        return 0;
    if (!json_text_fixed(r->doc, id, c->pinned_state, sizeof(c->pinned_state)) ||
        c->pinned_state[0] == '\0')
        return json_refuse(r->doc, id, "an id, a string of 1 to 255 bytes", r->reterr);
    c->pinned_field = field;
    return 0;
}

/* ---- the forwarded body ---- */

struct emitter {
    const struct chat *chat;
    size_t at; /* up to here all is emitted or cut */
    void (*piece)(void *ctx, struct span bytes);
    void *ctx;
};

static void emit(struct emitter *e, struct span bytes)
{
    if (bytes.len > 0)
        e->piece(e->ctx, bytes);
}

/* The original up to begin, then on from end. */
static void emit_around(struct emitter *e, size_t begin, size_t end)
{
    assert(begin >= e->at && end >= begin && end <= e->chat->body.len);
    emit(e, (struct span){e->chat->body.ptr + e->at, begin - e->at});
    e->at = end;
}

const char chat_model_key[] = "\"model\":";

/* model and what is around it, max_tokens under two names, stream_options, service_tier */
enum { EDITS_MAX = 7 };

struct edits {
    int n;
    struct chat_edit at[EDITS_MAX];
};

/* In order of place; of two at one place the earlier one stays first. */
static void add_edit(struct edits *list, uint32_t begin, uint32_t end, struct span text)
{
    if (text.len == 0)
        return;
    assert(list->n < EDITS_MAX);
    int i = list->n++;
    for (; i > 0 && list->at[i - 1].begin > begin; i--)
        list->at[i] = list->at[i - 1];
    list->at[i] = (struct chat_edit){begin, end, text};
}

static struct edits find_edits(const struct chat *c, struct span model_json)
{
    struct edits list = {.n = 0};
    bool new_limit = c->max_tokens_end == 0;
    if (c->model_added)
        add_edit(&list, c->model_begin, c->model_end, SPAN(chat_model_key));
    add_edit(&list, c->model_begin, c->model_end, model_json);
    add_edit(&list, new_limit ? c->model_end : c->max_tokens_begin,
             new_limit ? c->model_end : c->max_tokens_end, span_of(c->sent_max_tokens));
    if (c->max_tokens_again_end > 0)
        add_edit(&list, c->max_tokens_again_begin, c->max_tokens_again_end,
                 span_of(c->sent_max_tokens));
    bool new_tier = c->tier_end == 0;
    add_edit(&list, new_tier ? c->model_end : c->tier_begin, new_tier ? c->model_end : c->tier_end,
             span_of(c->sent_tier));
    if (c->stream_options == OPTIONS_ASK_USAGE)
        add_edit(&list, c->usage_edit.begin, c->usage_edit.end, c->usage_edit.text);
    if (c->model_added) /* messages, at least, stand behind it */
        add_edit(&list, c->model_begin, c->model_end, SPAN(","));
    return list;
}

void chat_send_max_tokens(struct chat *c, int64_t tok)
{
    char *out = c->sent_max_tokens;
    size_t n = 0;
    out[0] = '\0';
    if (tok < 0)
        return;
    if (c->max_tokens_end == 0)
        n = (size_t)snprintf(out, CHAT_NUMBER_MAX, ",\"%s\":", c->max_tokens_name);
    assert(n < CHAT_NUMBER_MAX / 2); /* the names of parameters, not of the client */
    snprintf(out + n, CHAT_NUMBER_MAX - n, "%lld", (long long)tok);
}

void chat_send_tier(struct chat *c, const char *tier)
{
    c->sent_tier[0] = '\0';
    if (tier == NULL)
        return;
    snprintf(c->sent_tier, sizeof(c->sent_tier), "%s\"%s\"",
             c->tier_end == 0 ? ",\"service_tier\":" : "", tier);
}

void chat_send_stream_options(struct chat *c, enum chat_stream_options how)
{
    c->stream_options = how;
}

void chat_pieces(const struct chat *c, struct span model_json,
                 void (*piece)(void *ctx, struct span bytes), void *ctx)
{
    struct emitter e = {c, 0, piece, ctx};
    struct edits edits = find_edits(c, model_json);
    bool bare = c->stream_options == OPTIONS_LEFT_OUT && c->n_cuts_without_options > 0;
    const struct json_cut *cuts = bare ? c->cuts_without_options : c->cuts;
    int n_cuts = bare ? c->n_cuts_without_options : c->n_cuts, next = 0;
    for (int i = 0; i <= n_cuts; i++) {
        uint32_t limit = i < n_cuts ? cuts[i].begin : UINT32_MAX;
        /* A member put in where a cut begins comes before it. */
        for (; next < edits.n && edits.at[next].begin <= limit; next++) {
            emit_around(&e, edits.at[next].begin, edits.at[next].end);
            emit(&e, edits.at[next].text);
        }
        if (i < n_cuts)
            emit_around(&e, cuts[i].begin, cuts[i].end);
    }
    emit_around(&e, c->body.len, c->body.len);
}
