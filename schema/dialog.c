/* Memory, lists and comparison of dialog.h. */
#include "schema/dialog.h"

#include <assert.h>
#include <stdlib.h>

enum { CHUNK_SIZE = 16 * 1024, ALIGN = 16 };

struct dialog_chunk {
    struct dialog_chunk *next;
    size_t used, size;
    _Alignas(ALIGN) char bytes[];
};

void dialog_init(struct dialog *d)
{
    *d = (struct dialog){.max_tokens = -1};
}

void dialog_done(struct dialog *d)
{
    while (d->chunks != NULL) {
        struct dialog_chunk *next = d->chunks->next;
        free(d->chunks);
        d->chunks = next;
    }
    dialog_init(d);
}

static struct dialog_chunk *add_chunk(struct dialog *d, size_t size)
{
    size_t bytes = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    if (bytes > DIALOG_MEMORY_MAX - d->memory)
        return NULL;
    struct dialog_chunk *chunk = calloc(1, sizeof(*chunk) + bytes);
    if (chunk == NULL)
        return NULL;
    chunk->size = bytes;
    d->memory += bytes;
    /* A large piece of its own leaves the room of the chunk in use for what follows. */
    if (d->chunks != NULL && size > CHUNK_SIZE) {
        chunk->next = d->chunks->next;
        d->chunks->next = chunk;
    } else {
        chunk->next = d->chunks;
        d->chunks = chunk;
    }
    return chunk;
}

void *dialog_alloc(struct dialog *d, size_t size)
{
    if (size > DIALOG_MEMORY_MAX) {
        d->failed = true;
        return NULL;
    }
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    struct dialog_chunk *chunk = d->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size)
        chunk = add_chunk(d, size);
    if (chunk == NULL) {
        d->failed = true;
        return NULL;
    }
    void *at = chunk->bytes + chunk->used;
    chunk->used += size;
    return at;
}

struct span dialog_copy(struct dialog *d, struct span bytes)
{
    char *at = bytes.len > 0 ? dialog_alloc(d, bytes.len) : NULL;
    if (at == NULL)
        return (struct span){"", 0};
    memcpy(at, bytes.ptr, bytes.len);
    return (struct span){at, bytes.len};
}

struct span dialog_string(struct dialog *d, const struct json_doc *doc, json_ref string)
{
    const struct span none = {"", 0};
    if (string == JSON_NONE || json_kind(doc, string) != JSON_STRING)
        return none;
    struct span written = json_inner(doc, string);
    if (!json_at(doc, string)->escaped || written.len == 0)
        return written;
    /* Resolved, a string is never longer than written. */
    char *at = dialog_alloc(d, written.len);
    if (at == NULL)
        return none;
    struct span value = {at, 0};
    return json_resolve(written, at, &value.len) ? value : none;
}

struct dialog_message *dialog_turn(struct dialog *d, enum dialog_role role, struct span name)
{
    struct dialog_message *last = d->last_message;
    if (last != NULL && last->role == role && span_eq(last->name, name))
        return last;
    struct dialog_message *m = dialog_alloc(d, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->role = role;
    m->name = name;
    if (last != NULL)
        last->next = m;
    else
        d->first_message = m;
    d->last_message = m;
    d->n_messages++;
    return m;
}

struct dialog_block *dialog_add(struct dialog *d, struct dialog_blocks *list, enum dialog_kind kind)
{
    struct dialog_block *b = dialog_alloc(d, sizeof(*b));
    if (b == NULL)
        return NULL;
    b->kind = kind;
    if (list->last != NULL)
        list->last->next = b;
    else
        list->first = b;
    list->last = b;
    list->n++;
    return b;
}

struct dialog_tool *dialog_add_tool(struct dialog *d)
{
    struct dialog_tool *t = dialog_alloc(d, sizeof(*t));
    if (t == NULL)
        return NULL;
    if (d->last_tool != NULL)
        d->last_tool->next = t;
    else
        d->first_tool = t;
    d->last_tool = t;
    d->n_tools++;
    return t;
}

bool dialog_add_stop(struct dialog *d, struct span text)
{
    if (d->n_stops == DIALOG_STOPS_MAX)
        return false;
    d->stops[d->n_stops++] = text;
    return true;
}

/* ---- calls by their ids ---- */

struct dialog_call_at {
    const struct dialog_block *block;
    size_t position;
};

static int compare_spans(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_calls(const void *a, const void *b)
{
    const struct dialog_call_at *x = a, *y = b;
    int order = compare_spans(x->block->id, y->block->id);
    return order != 0 ? order : (x->position > y->position) - (x->position < y->position);
}

/* calls NULL: only counts. */
static size_t list_calls(const struct dialog *d, struct dialog_call_at *calls)
{
    size_t n = 0;
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            if (b->kind != BLOCK_TOOL_CALL)
                continue;
            if (calls != NULL)
                calls[n] = (struct dialog_call_at){b, n};
            n++;
        }
    }
    return n;
}

void dialog_index_calls(struct dialog *d)
{
    d->n_calls = list_calls(d, NULL);
    d->calls = d->n_calls > 0 ? dialog_alloc(d, d->n_calls * sizeof(*d->calls)) : NULL;
    if (d->calls == NULL)
        return;
    list_calls(d, d->calls);
    qsort(d->calls, d->n_calls, sizeof(*d->calls), compare_calls);
}

static const struct dialog_block *find_indexed(const struct dialog *d, struct span id)
{
    size_t low = 0, high = d->n_calls; /* the first that is above id is in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_spans(d->calls[middle].block->id, id) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    bool found = low > 0 && span_eq(d->calls[low - 1].block->id, id);
    return found ? d->calls[low - 1].block : NULL;
}

const struct dialog_block *dialog_find_call(const struct dialog *d, struct span id)
{
    const struct dialog_block *found = NULL;
    if (d->calls != NULL)
        return find_indexed(d, id);
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            if (b->kind == BLOCK_TOOL_CALL && span_eq(b->id, id))
                found = b;
        }
    }
    return found;
}

const char *dialog_number_name(enum dialog_number n)
{
    static const char *const names[NUMBER_COUNT] = {
#define SETTING(member, name) name,
        DIALOG_NUMBERS(SETTING)
#undef SETTING
    };
    assert(n < NUMBER_COUNT);
    return names[n];
}

const char *dialog_kind_name(enum dialog_kind k)
{
    static const char *const names[] = {
        [BLOCK_TEXT] = "text",           [BLOCK_IMAGE] = "image",
        [BLOCK_DOCUMENT] = "document",   [BLOCK_AUDIO] = "audio",
        [BLOCK_TOOL_CALL] = "tool_call", [BLOCK_TOOL_RESULT] = "tool_result",
        [BLOCK_THINKING] = "thinking",   [BLOCK_REDACTED] = "redacted_thinking",
        [BLOCK_REFUSAL] = "refusal",     [BLOCK_RAW] = "raw",
    };
    assert(k < sizeof(names) / sizeof(names[0]));
    return names[k];
}

/* ---- comparison ---- */

/* Each check names what it looks at, so that a failing test says where. */
#define SAME(what, condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            *where = (what);                                                                       \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool same_word(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_media(const struct dialog_media *a, const struct dialog_media *b,
                       const char **where)
{
    SAME("media.from", a->from == b->from);
    SAME("media.type", span_eq(a->type, b->type));
    SAME("media.data", span_eq(a->data, b->data));
    SAME("media.title", span_eq(a->title, b->title));
    SAME("media.context", span_eq(a->context, b->context));
    SAME("media.detail", span_eq(a->detail, b->detail));
    SAME("media.citations_enabled", a->citations_enabled == b->citations_enabled);
    return true;
}

static bool same_block(const struct dialog_block *a, const struct dialog_block *b,
                       const char **where)
{
    SAME("block.kind", a->kind == b->kind);
    SAME("block.cache", a->cache == b->cache);
    SAME("block.is_error", a->is_error == b->is_error);
    SAME("block.text", span_eq(a->text, b->text));
    SAME("block.id", span_eq(a->id, b->id));
    SAME("block.name", span_eq(a->name, b->name));
    SAME("block.json", span_eq(a->json, b->json));
    SAME("block.signature", span_eq(a->signature, b->signature));
    SAME("block.citations", span_eq(a->citations_json, b->citations_json));
    SAME("block.raw_of", same_word(a->raw_of, b->raw_of));
    return same_media(&a->media, &b->media, where);
}

/* Without the children of the blocks. */
static bool same_list(const struct dialog_blocks *a, const struct dialog_blocks *b,
                      const char **where)
{
    SAME("number of blocks", a->n == b->n);
    const struct dialog_block *y = b->first;
    for (const struct dialog_block *x = a->first; x != NULL; x = x->next, y = y->next) {
        if (!same_block(x, y, where))
            return false;
    }
    return true;
}

static bool same_blocks(const struct dialog_blocks *a, const struct dialog_blocks *b,
                        const char **where)
{
    if (!same_list(a, b, where))
        return false;
    const struct dialog_block *y = b->first;
    for (const struct dialog_block *x = a->first; x != NULL; x = x->next, y = y->next) {
        if (!same_list(&x->children, &y->children, where))
            return false;
    }
    return true;
}

static bool same_messages(const struct dialog *a, const struct dialog *b, const char **where)
{
    SAME("number of messages", a->n_messages == b->n_messages);
    const struct dialog_message *y = b->first_message;
    for (const struct dialog_message *x = a->first_message; x != NULL; x = x->next, y = y->next) {
        SAME("message.role", x->role == y->role);
        SAME("message.name", span_eq(x->name, y->name));
        if (!same_blocks(&x->blocks, &y->blocks, where))
            return false;
    }
    return true;
}

static bool same_tools(const struct dialog *a, const struct dialog *b, const char **where)
{
    SAME("number of tools", a->n_tools == b->n_tools);
    const struct dialog_tool *y = b->first_tool;
    for (const struct dialog_tool *x = a->first_tool; x != NULL; x = x->next, y = y->next) {
        SAME("tool.name", span_eq(x->name, y->name));
        SAME("tool.description", span_eq(x->description, y->description));
        SAME("tool.schema", span_eq(x->schema_json, y->schema_json));
        SAME("tool.strict", x->strict == y->strict);
        SAME("tool.cache", x->cache == y->cache);
        SAME("tool.raw", span_eq(x->raw_json, y->raw_json));
        SAME("tool.raw_of", same_word(x->raw_of, y->raw_of));
    }
    SAME("tool_choice", a->choice == b->choice);
    SAME("tool_choice.name", span_eq(a->choice_name, b->choice_name));
    SAME("parallel", a->parallel == b->parallel);
    return true;
}

static bool same_format(const struct dialog_format *a, const struct dialog_format *b,
                        const char **where)
{
    SAME("format.kind", a->kind == b->kind);
    SAME("format.name", span_eq(a->name, b->name));
    SAME("format.description", span_eq(a->description, b->description));
    SAME("format.schema", span_eq(a->schema_json, b->schema_json));
    SAME("format.strict", a->strict == b->strict);
    return true;
}

static bool same_settings(const struct dialog *a, const struct dialog *b, const char **where)
{
    for (int i = 0; i < NUMBER_COUNT; i++)
        SAME(dialog_number_name((enum dialog_number)i), span_eq(a->numbers[i], b->numbers[i]));
    SAME("max_tokens", a->max_tokens == b->max_tokens);
    SAME("number of stops", a->n_stops == b->n_stops);
    for (int i = 0; i < a->n_stops; i++)
        SAME("stop", span_eq(a->stops[i], b->stops[i]));
    SAME("reasoning.mode", a->reasoning.mode == b->reasoning.mode);
    SAME("reasoning.budget_tok", a->reasoning.budget_tok == b->reasoning.budget_tok);
    SAME("reasoning.effort", span_eq(a->reasoning.effort, b->reasoning.effort));
    SAME("reasoning.hidden", a->reasoning.hidden == b->reasoning.hidden);
    SAME("logprobs", a->logprobs == b->logprobs);
    SAME("logit_bias", span_eq(a->logit_bias_json, b->logit_bias_json));
    SAME("verbosity", span_eq(a->verbosity, b->verbosity));
    SAME("service_tier", span_eq(a->service_tier, b->service_tier));
    SAME("user", span_eq(a->user, b->user));
    SAME("cache", a->cache == b->cache);
    SAME("stream", a->stream == b->stream);
    return same_format(&a->format, &b->format, where);
}

bool dialog_equal(const struct dialog *a, const struct dialog *b, const char **ret_where)
{
    const char *where = NULL;
    bool same = same_settings(a, b, &where) && same_tools(a, b, &where) &&
                same_blocks(&a->system, &b->system, &where) && same_messages(a, b, &where);
    if (!same && ret_where != NULL)
        *ret_where = where;
    return same;
}

/* ---- what was dropped ---- */

void drops_add(struct drops *s, const char *name)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->names[i], name) == 0)
            return;
    }
    if (s->n < DROPS_MAX)
        s->names[s->n++] = name;
}

void drops_add_all(struct drops *s, const struct drops *more)
{
    for (int i = 0; i < more->n; i++)
        drops_add(s, more->names[i]);
}

/* The name is the client's and goes into a header. */
static bool is_plain_name(struct span name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    char text[DROPS_NAME_MAX + 1];
    if (name.len == 0 || name.len > DROPS_NAME_MAX)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return strspn(text, plain) == name.len;
}

/* It asks for nothing; an empty object may (web_search_options). */
static bool is_void(const struct json_doc *doc, json_ref v)
{
    enum json_kind kind = json_kind(doc, v);
    return kind == JSON_NULL || (kind == JSON_ARRAY && json_first(doc, v) == JSON_NONE);
}

void dialog_note_other(struct dialog *d, const struct json_doc *doc, json_ref member)
{
    if (is_void(doc, member))
        return;
    const struct json_node *node = json_at(doc, member);
    struct span key = {doc->text.ptr + node->key_begin + 1, node->key_len};
    char *name = is_plain_name(key) && d->others.n < DROPS_OTHERS_MAX
                     ? dialog_alloc(d, DROPS_NAME_MAX + 1)
                     : NULL;
    if (name != NULL)
        memcpy(name, key.ptr, key.len);
    drops_add(&d->others, name != NULL ? name : "other");
}

void drops_print(const struct drops *s, struct buf *out)
{
    for (int i = 0; i < s->n; i++) {
        buf_adds(out, i > 0 ? ", " : "");
        buf_adds(out, s->names[i]);
    }
}
