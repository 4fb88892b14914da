/* The order of openai_pieces.h. */
#include "providers/openai_pieces.h"

#include <stdlib.h>

#include "providers/openai.h"

/* How far the arguments of a call have come. */
enum arguments_state {
    ARGUMENTS_BEFORE, /* nothing but blanks */
    ARGUMENTS_BRACE,  /* "{" and blanks, held back */
    ARGUMENTS_EMPTY,  /* "{}", held back: it may be a placeholder */
    ARGUMENTS_INSIDE,
    ARGUMENTS_WHOLE,
    ARGUMENTS_OTHER /* no object: collected and wrapped at the end */
};

struct piece {
    struct piece *next;
    enum reply_block block;
    bool opened;
    struct buf text; /* waits to be given out */
    struct buf sign; /* of thinking or of a call */
    bool sign_final;
    int64_t key;        /* of thinking: which entry of reasoning_details; -1: none */
    struct reply whole; /* of a block that came whole; its spans point into text */

    /* Of a call. */
    int number;
    bool has_index;
    int64_t index;
    struct buf id, name;
    enum arguments_state state;
    struct buf held; /* "{" and blanks, or what is no object */
    int64_t depth;
    bool in_string, escaped;
};

/* A citation whose text has not begun.  What its spans say stands in text. */
struct piece_source {
    struct piece_source *next;
    struct reply_citation citation;
    struct buf text;
};

static size_t memory_of(size_t text_bytes)
{
    return sizeof(struct piece_source) + text_bytes;
}

void pieces_init(struct pieces *q, const struct reply_sink *sink)
{
    *q = (struct pieces){.sink = sink};
}

static void free_piece(struct piece *p)
{
    buf_done(&p->text);
    buf_done(&p->sign);
    buf_done(&p->id);
    buf_done(&p->name);
    buf_done(&p->held);
    free(p);
}

static void free_list(struct piece *p)
{
    while (p != NULL) {
        struct piece *next = p->next;
        free_piece(p);
        p = next;
    }
}

static void free_sources(struct pieces *q)
{
    while (q->sources != NULL) {
        struct piece_source *s = q->sources;
        q->sources = s->next;
        q->waiting -= memory_of(s->text.len);
        buf_done(&s->text);
        free(s);
    }
    q->last_source = NULL;
}

void pieces_done(struct pieces *q)
{
    free_sources(q);
    free_list(q->first);
    free_list(q->closed);
    pieces_init(q, q->sink);
}

static struct piece *add(struct pieces *q, enum reply_block block)
{
    struct piece *p = q->failed ? NULL : calloc(1, sizeof(*p));
    if (p == NULL) {
        q->failed = true;
        return NULL;
    }
    p->block = block;
    p->key = -1;
    buf_init(&p->text, PIECES_WAITING_MAX);
    buf_init(&p->sign, PIECES_WAITING_MAX);
    buf_init(&p->id, PIECES_NAME_MAX);
    buf_init(&p->name, PIECES_NAME_MAX);
    buf_init(&p->held, PIECES_WAITING_MAX);
    if (q->last != NULL)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
    return p;
}

/* ---- giving out ---- */

static void emit(struct pieces *q, struct reply r)
{
    if (!q->failed)
        q->sink->on_reply(q->sink->ctx, &r);
}

static bool is_call(const struct piece *p)
{
    return p->block == REPLY_TOOL_CALL;
}

static bool is_whole(const struct piece *p)
{
    return !is_call(p) || p->state == ARGUMENTS_WHOLE || p->state == ARGUMENTS_EMPTY;
}

static void give_citation(struct pieces *q, const struct reply_citation *c)
{
    emit(q, (struct reply){
                .kind = REPLY_DELTA, .block = REPLY_TEXT, .delta = DELTA_CITATION, .citation = *c});
}

/* The same answer always gets the same id, and two calls never the same. */
static void make_id(const struct pieces *q, struct piece *p)
{
    if (p->id.len == 0)
        buf_addf(&p->id, "call_%016llx_%d", (unsigned long long)q->seed, p->number);
}

static void open_piece(struct pieces *q, struct piece *p)
{
    struct reply r = p->whole;
    r.kind = REPLY_OPEN;
    r.block = p->block;
    r.id = buf_span(&p->id);
    r.name = buf_span(&p->name);
    p->opened = true;
    emit(q, r);
    if (p->block != REPLY_TEXT)
        return;
    for (struct piece_source *s = q->sources; s != NULL; s = s->next)
        give_citation(q, &s->citation);
    free_sources(q);
}

static void give_text(struct pieces *q, struct piece *p)
{
    bool carried = p->block == REPLY_IMAGE || p->block == REPLY_REDACTED;
    if (p->text.len == 0 || carried)
        return;
    emit(q, (struct reply){.kind = REPLY_DELTA,
                           .block = p->block,
                           .delta = is_call(p) ? DELTA_ARGUMENTS : DELTA_TEXT,
                           .text = buf_span(&p->text)});
    q->waiting -= p->text.len;
    buf_reset(&p->text);
}

/* What is no object is not lost: it becomes the value of "arguments". */
static void wrap_other(struct piece *p)
{
    struct json_out out = {.buf = &p->text};
    json_open_object(&out, NULL);
    if (!span_is(buf_span(&p->held), "null"))
        json_put_string(&out, "arguments", buf_span(&p->held));
    json_close_object(&out);
}

/* The arguments cannot come any further. */
static void end_arguments(struct pieces *q, struct piece *p)
{
    size_t before = p->text.len;
    if (p->state == ARGUMENTS_BEFORE || p->state == ARGUMENTS_EMPTY)
        buf_adds(&p->text, "{}");
    else if (p->state == ARGUMENTS_BRACE)
        buf_add_span(&p->text, buf_span(&p->held)); /* cut off; passed as it is */
    else if (p->state == ARGUMENTS_OTHER)
        wrap_other(p);
    q->failed |= p->text.failed;
    q->waiting += p->text.len - before;
    p->state = ARGUMENTS_WHOLE;
}

static void give_signature(struct pieces *q, struct piece *p)
{
    struct buf text;
    buf_init(&text, PIECES_WAITING_MAX + PIECES_NAME_MAX);
    buf_adds(&text, OPENAI_SIGNATURE);
    buf_add_span(&text, buf_span(&p->sign));
    emit(q, (struct reply){.kind = REPLY_DELTA,
                           .block = p->block,
                           .delta = DELTA_SIGNATURE,
                           .text = buf_span(&text)});
    buf_done(&text);
}

static void close_piece(struct pieces *q, struct piece *p)
{
    if (is_call(p))
        end_arguments(q, p);
    give_text(q, p);
    if (p->block == REPLY_THINKING)
        give_signature(q, p);
    struct span signature = is_call(p) ? buf_span(&p->sign) : (struct span){"", 0};
    emit(q, (struct reply){.kind = REPLY_CLOSE, .block = p->block, .signature = signature});
}

/* Takes the first piece off; calls are remembered for what may still arrive for them. */
static void retire_first(struct pieces *q)
{
    struct piece *p = q->first;
    q->first = p->next;
    if (q->first == NULL)
        q->last = NULL;
    if (!is_call(p)) {
        q->waiting -= p->text.len;
        free_piece(p);
        return;
    }
    buf_done(&p->text);
    buf_done(&p->held);
    p->next = q->closed;
    q->closed = p;
}

/* Gives out what can be given out. */
static void pump(struct pieces *q, bool end)
{
    while (q->first != NULL && !q->failed) {
        struct piece *p = q->first;
        bool named = !is_call(p) || p->name.len > 0;
        if (!p->opened && !named && !end)
            return; /* the name is still to come */
        if (!named)
            buf_adds(&p->name, "unknown");
        if (is_call(p))
            make_id(q, p);
        if (!p->opened)
            open_piece(q, p);
        give_text(q, p);
        if (!end && (p->next == NULL || !is_whole(p)))
            return;
        close_piece(q, p);
        retire_first(q);
    }
}

static void append(struct pieces *q, struct piece *p, struct span text)
{
    if (text.len > PIECES_WAITING_MAX - q->waiting || !buf_add_span(&p->text, text))
        q->failed = true;
    else
        q->waiting += text.len;
}

void pieces_text(struct pieces *q, enum reply_block block, struct span text)
{
    if (text.len == 0 || q->failed)
        return;
    struct piece *p = q->last;
    if (p == NULL || p->block != block || p->key >= 0)
        p = add(q, block);
    q->refused |= block == REPLY_REFUSAL;
    if (p != NULL)
        append(q, p, text);
    pump(q, false);
}

void pieces_thinking(struct pieces *q, struct span text, int64_t key, struct span sign, bool final)
{
    struct piece *p = q->last;
    if (p == NULL || p->block != REPLY_THINKING || p->key != key)
        p = add(q, REPLY_THINKING);
    if (p == NULL)
        return;
    p->key = key;
    if (final || !p->sign_final) {
        buf_reset(&p->sign);
        q->failed |= !buf_add_span(&p->sign, sign);
        p->sign_final = final;
    }
    append(q, p, text);
    pump(q, false);
}

/* There is room already, so that what was kept before stays where it is. */
static struct span keep(struct pieces *q, struct piece *p, struct span s)
{
    size_t at = p->text.len;
    append(q, p, s);
    return (struct span){s.len > 0 && !q->failed ? p->text.ptr + at : "", q->failed ? 0 : s.len};
}

void pieces_whole(struct pieces *q, const struct reply *open)
{
    size_t room = open->signature.len + open->media.type.len + open->media.data.len;
    struct piece *p = add(q, open->block);
    if (p == NULL || !buf_reserve(&p->text, room)) {
        q->failed = true;
        return;
    }
    p->whole.signature = keep(q, p, open->signature);
    p->whole.media.from = open->media.from;
    p->whole.media.type = keep(q, p, open->media.type);
    p->whole.media.data = keep(q, p, open->media.data);
    pump(q, false);
}

/* There is room already, so that what was kept before stays where it is. */
static struct span keep_source(struct piece_source *s, struct span of)
{
    size_t at = s->text.len;
    buf_add_span(&s->text, of);
    return (struct span){of.len > 0 ? s->text.ptr + at : "", of.len};
}

static void wait_for_text(struct pieces *q, const struct reply_citation *c)
{
    size_t room = c->url.len + c->title.len + c->quoted.len + c->json.len + 1;
    bool fits_in = memory_of(room) < PIECES_WAITING_MAX - q->waiting;
    struct piece_source *s = fits_in ? calloc(1, sizeof(*s)) : NULL;
    if (s != NULL)
        buf_init(&s->text, PIECES_WAITING_MAX);
    if (s == NULL || !buf_reserve(&s->text, room)) {
        free(s);
        q->failed = true;
        return;
    }
    *(q->last_source != NULL ? &q->last_source->next : &q->sources) = s;
    q->last_source = s;
    s->citation.json_of = c->json_of;
    s->citation.url = keep_source(s, c->url);
    s->citation.title = keep_source(s, c->title);
    s->citation.quoted = keep_source(s, c->quoted);
    s->citation.json = keep_source(s, c->json);
    q->waiting += memory_of(s->text.len);
}

void pieces_cite(struct pieces *q, const struct reply_citation *c)
{
    struct piece *p = q->first;
    if (q->failed)
        return;
    if (p != NULL && p == q->last && p->block == REPLY_TEXT && p->opened)
        give_citation(q, c);
    else
        wait_for_text(q, c);
}

/* ---- calls ---- */

/* The latest call that fits; by index, by id, or any. */
static bool fits(const struct piece *p, const struct piece_key *key)
{
    if (!is_call(p))
        return false;
    if (key->has_index)
        return p->has_index && p->index == key->index;
    return key->id.len == 0 || span_eq(buf_span(&p->id), key->id);
}

static struct piece *latest(struct pieces *q, const struct piece_key *key)
{
    struct piece *found = NULL;
    for (struct piece *p = q->first; p != NULL; p = p->next) {
        if (fits(p, key))
            found = p;
    }
    for (struct piece *p = q->closed; p != NULL && found == NULL; p = p->next) {
        if (fits(p, key))
            found = p;
    }
    return found;
}

/* Does the delta begin another call at the place of this one?  Servers that number all calls 0, or
 * do not number them, tell them apart by id; those without ids send each call whole. */
static bool is_another(const struct piece *p, const struct piece_key *key)
{
    if (key->name.len == 0)
        return false;
    if (key->id.len > 0 && p->id.len > 0)
        return !span_eq(buf_span(&p->id), key->id);
    if (p->name.len > 0 && !span_eq(buf_span(&p->name), key->name))
        return true;
    return is_whole(p) && key->has_arguments;
}

static struct piece *new_call(struct pieces *q, const struct piece_key *key)
{
    struct piece *p = q->n_calls < PIECES_CALLS_MAX ? add(q, REPLY_TOOL_CALL) : NULL;
    if (p == NULL) {
        q->failed = true;
        return NULL;
    }
    p->has_index = key->has_index;
    p->index = key->index;
    p->number = q->n_calls++;
    return p;
}

struct piece *pieces_call(struct pieces *q, const struct piece_key *key)
{
    struct piece *p = latest(q, key);
    if (p == NULL || is_another(p, key))
        p = new_call(q, key);
    if (p == NULL)
        return NULL;
    if (p->name.len == 0)
        q->failed |= !buf_add_span(&p->name, key->name) && key->name.len > 0;
    if (p->id.len == 0)
        q->failed |= !buf_add_span(&p->id, key->id) && key->id.len > 0;
    pump(q, false);
    return p;
}

/* One byte of an object that has begun; it goes out. */
static void step_inside(struct piece *p, char c)
{
    if (p->in_string) {
        p->in_string = p->escaped || c != '"';
        p->escaped = !p->escaped && c == '\\';
        return;
    }
    p->in_string = c == '"';
    p->depth += c == '{' || c == '[';
    p->depth -= c == '}' || c == ']';
    if (p->depth == 0)
        p->state = ARGUMENTS_WHOLE;
}

/* One byte before the object's first member. */
static void step_outside(struct pieces *q, struct piece *p, char c)
{
    bool blank = json_is_blank(c);
    if (p->state == ARGUMENTS_BRACE) {
        if (c == '}') {
            p->state = ARGUMENTS_EMPTY;
        } else if (!blank) {
            append(q, p, buf_span(&p->held));
            p->state = ARGUMENTS_INSIDE;
            p->depth = 1;
        }
    } else if (c == '{') {
        buf_reset(&p->held);
        p->state = ARGUMENTS_BRACE;
    } else if (p->state == ARGUMENTS_BEFORE && !blank) {
        p->state = ARGUMENTS_OTHER;
    }
    if (p->state == ARGUMENTS_BRACE || p->state == ARGUMENTS_OTHER)
        q->failed |= !buf_addc(&p->held, c);
}

/* Takes the stretch of the object at the beginning of json; returns its length. */
static size_t take_inside(struct pieces *q, struct piece *p, struct span json)
{
    size_t n = 0;
    while (n < json.len && p->state == ARGUMENTS_INSIDE)
        step_inside(p, json.ptr[n++]);
    append(q, p, (struct span){json.ptr, n});
    return n;
}

void pieces_arguments(struct pieces *q, struct piece *call, struct span json)
{
    struct piece *p = call;
    if (p->state == ARGUMENTS_OTHER)
        q->failed |= !buf_add_span(&p->held, json) && json.len > 0;
    for (size_t i = 0; i < json.len && p->state < ARGUMENTS_WHOLE && !q->failed;) {
        if (p->state != ARGUMENTS_INSIDE)
            step_outside(q, p, json.ptr[i]);
        if (p->state == ARGUMENTS_OTHER) {
            buf_add_span(&p->held, (struct span){json.ptr + i + 1, json.len - i - 1});
            break;
        }
        i += p->state == ARGUMENTS_INSIDE
                 ? take_inside(q, p, (struct span){json.ptr + i, json.len - i})
                 : 1;
    }
    q->failed |= p->held.failed;
    pump(q, false);
}

void pieces_call_sign(struct pieces *q, struct piece *call, struct span signature)
{
    if (call->sign.len == 0 && signature.len > 0)
        q->failed |= !buf_add_span(&call->sign, signature);
}

void pieces_end(struct pieces *q)
{
    pump(q, true);
}
