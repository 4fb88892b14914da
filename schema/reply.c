/* Gathering and checking of reply.h. */
#include "schema/reply.h"

#include <assert.h>

void reply_whole_init(struct reply_whole *w)
{
    memset(w, 0, sizeof(*w));
    w->reasoning_tok = -1;
    dialog_init(&w->memory);
    buf_init(&w->piece, DIALOG_MEMORY_MAX);
}

void reply_whole_done(struct reply_whole *w)
{
    dialog_done(&w->memory);
    buf_done(&w->piece);
    reply_whole_init(w);
}

static struct span keep(struct reply_whole *w, struct span s)
{
    return dialog_copy(&w->memory, s);
}

static void gather_start(struct reply_whole *w, const struct reply *r)
{
    w->started = true;
    w->id = keep(w, r->id);
    w->model = keep(w, r->model);
    w->created_s = r->created_s;
}

static void gather_open(struct reply_whole *w, const struct reply *r)
{
    static const enum dialog_kind kinds[] = {
        [REPLY_TEXT] = BLOCK_TEXT,         [REPLY_THINKING] = BLOCK_THINKING,
        [REPLY_REDACTED] = BLOCK_REDACTED, [REPLY_TOOL_CALL] = BLOCK_TOOL_CALL,
        [REPLY_REFUSAL] = BLOCK_REFUSAL,   [REPLY_IMAGE] = BLOCK_IMAGE,
        [REPLY_RAW] = BLOCK_RAW,
    };
    buf_reset(&w->piece);
    struct dialog_block *b = dialog_add(&w->memory, &w->content, kinds[r->block]);
    if (b == NULL)
        return;
    b->id = keep(w, r->id);
    b->name = keep(w, r->name);
    b->signature = keep(w, r->signature);
    b->json = keep(w, r->json);
    b->raw_of = r->citation.json_of;
    b->media.from = r->media.from;
    b->media.type = keep(w, r->media.type);
    b->media.data = keep(w, r->media.data);
}

static void gather_citation(struct reply_whole *w, const struct reply_citation *c)
{
    struct reply_cited *cited = dialog_alloc(&w->memory, sizeof(*cited));
    if (cited == NULL)
        return;
    cited->block = w->content.last;
    cited->citation = (struct reply_citation){
        .url = keep(w, c->url),
        .title = keep(w, c->title),
        .quoted = keep(w, c->quoted),
        .json = keep(w, c->json),
        .json_of = c->json_of,
    };
    if (w->citations.last != NULL)
        w->citations.last->next = cited;
    else
        w->citations.first = cited;
    w->citations.last = cited;
}

static void gather_delta(struct reply_whole *w, const struct reply *r)
{
    struct dialog_block *b = w->content.last;
    if (b == NULL)
        return;
    if (r->delta == DELTA_CITATION)
        gather_citation(w, &r->citation);
    else if (r->delta == DELTA_SIGNATURE)
        b->signature = keep(w, r->text);
    else
        buf_add_span(&w->piece, r->text);
}

static void gather_close(struct reply_whole *w, const struct reply *r)
{
    struct dialog_block *b = w->content.last;
    if (b == NULL)
        return;
    if (b->kind == BLOCK_TOOL_CALL)
        b->json = w->piece.len > 0 ? keep(w, buf_span(&w->piece)) : SPAN("{}");
    else
        b->text = keep(w, buf_span(&w->piece));
    if (r->signature.len > 0)
        b->signature = keep(w, r->signature);
}

static void gather_stop(struct reply_whole *w, const struct reply *r)
{
    w->stopped = true;
    w->stop = r->stop;
    w->stop_sequence = keep(w, r->stop_sequence);
}

static void gather_usage(struct reply_whole *w, const struct reply *r)
{
    w->usage = r->usage;
    if (r->reasoning_tok >= 0)
        w->reasoning_tok = r->reasoning_tok;
}

static void gather_error(struct reply_whole *w, const struct reply *r)
{
    w->errored = true;
    w->error.http_status = r->error.http_status;
    w->error.type = keep(w, r->error.type);
    w->error.message = keep(w, r->error.message);
}

bool reply_gather(struct reply_whole *w, const struct reply *r)
{
    switch (r->kind) {
    case REPLY_START:
        gather_start(w, r);
        break;
    case REPLY_OPEN:
        gather_open(w, r);
        break;
    case REPLY_DELTA:
        gather_delta(w, r);
        break;
    case REPLY_CLOSE:
        gather_close(w, r);
        break;
    case REPLY_USAGE:
        gather_usage(w, r);
        break;
    case REPLY_STOP:
        gather_stop(w, r);
        break;
    case REPLY_END:
        w->ended = true;
        break;
    case REPLY_ERROR:
        gather_error(w, r);
        break;
    }
    return !w->memory.failed && !w->piece.failed;
}

/* ---- grammar ---- */

static bool fits(enum reply_block block, enum reply_delta delta)
{
    switch (delta) {
    case DELTA_TEXT:
        return block == REPLY_TEXT || block == REPLY_THINKING || block == REPLY_REFUSAL;
    case DELTA_ARGUMENTS:
        return block == REPLY_TOOL_CALL;
    case DELTA_SIGNATURE:
        return block == REPLY_THINKING;
    case DELTA_CITATION:
        return block == REPLY_TEXT;
    }
    return false;
}

static const char *check_order(const struct reply_grammar *g, const struct reply *r)
{
    if (g->over)
        return "something after the end";
    if (r->kind == REPLY_ERROR)
        return NULL;
    if (g->started == (r->kind == REPLY_START))
        return g->started ? "a second start" : "something before the start";
    if (g->open && r->kind != REPLY_DELTA && r->kind != REPLY_CLOSE && r->kind != REPLY_USAGE)
        return "a block is still open";
    if (g->stopped && r->kind != REPLY_USAGE && r->kind != REPLY_END)
        return "something after the stop";
    return NULL;
}

static const char *check_block(const struct reply_grammar *g, const struct reply *r)
{
    bool of_block = r->kind == REPLY_DELTA || r->kind == REPLY_CLOSE;
    if (of_block && !g->open)
        return "no block is open";
    if (of_block && r->block != g->block)
        return "not the block that is open";
    if (r->kind == REPLY_DELTA && !fits(r->block, r->delta))
        return "a delta of another kind of block";
    if (r->kind == REPLY_OPEN && r->block == REPLY_TOOL_CALL &&
        (r->id.len == 0 || r->name.len == 0))
        return "a tool call without id or name";
    if (r->kind == REPLY_END && !g->stopped)
        return "an end without a stop";
    return NULL;
}

const char *reply_check(struct reply_grammar *g, const struct reply *r)
{
    const char *wrong = check_order(g, r);
    if (wrong == NULL)
        wrong = check_block(g, r);
    g->started |= r->kind == REPLY_START;
    g->stopped |= r->kind == REPLY_STOP;
    g->over |= r->kind == REPLY_END || r->kind == REPLY_ERROR;
    if (r->kind == REPLY_OPEN) {
        g->open = true;
        g->block = r->block;
    }
    if (r->kind == REPLY_CLOSE)
        g->open = false;
    return wrong;
}

const char *reply_stop_name(enum reply_stop s)
{
    static const char *const names[] = {
        [STOPPED_END] = "end",           [STOPPED_LENGTH] = "length",
        [STOPPED_SEQUENCE] = "sequence", [STOPPED_TOOL] = "tool",
        [STOPPED_REFUSAL] = "refusal",   [STOPPED_PAUSE] = "pause",
        [STOPPED_CONTEXT] = "context",
    };
    assert(s < sizeof(names) / sizeof(names[0]));
    return names[s];
}
