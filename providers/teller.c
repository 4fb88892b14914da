/* The grammar's keeper of teller.h. */
#include "providers/teller.h"

static void tell(struct teller *t, const struct reply *r)
{
    if (t->sink != NULL && !t->over)
        t->sink->on_reply(t->sink->ctx, r);
}

void tell_start(struct teller *t, const struct reply *start)
{
    if (t->started)
        return;
    t->started = true;
    struct reply r = *start;
    r.kind = REPLY_START;
    tell(t, &r);
}

void tell_close(struct teller *t)
{
    if (!t->open)
        return;
    t->open = false;
    tell(t, &(struct reply){.kind = REPLY_CLOSE, .block = t->block, .reasoning_tok = -1});
}

void tell_block(struct teller *t, const struct reply *open)
{
    tell_start(t, &(struct reply){.reasoning_tok = -1});
    tell_close(t);
    if (t->stopped)
        return;
    t->open = true;
    t->block = open->block;
    struct reply r = *open;
    r.kind = REPLY_OPEN;
    r.reasoning_tok = -1;
    tell(t, &r);
}

void tell_open(struct teller *t, enum reply_block block, struct span id, struct span name)
{
    tell_block(t, &(struct reply){.block = block, .id = id, .name = name});
}

static void tell_delta(struct teller *t, enum reply_delta delta, struct span text)
{
    tell(t, &(struct reply){.kind = REPLY_DELTA,
                            .block = t->block,
                            .delta = delta,
                            .text = text,
                            .reasoning_tok = -1});
}

/* Opens a block of this kind where another or none is open. */
static void tell_into(struct teller *t, enum reply_block block, enum reply_delta delta,
                      struct span text)
{
    if (text.len == 0 || t->stopped)
        return;
    if (!t->open || t->block != block)
        tell_block(t, &(struct reply){.block = block});
    tell_delta(t, delta, text);
}

void tell_text(struct teller *t, enum reply_block block, struct span text)
{
    tell_into(t, block, DELTA_TEXT, text);
}

void tell_signature(struct teller *t, struct span signature)
{
    tell_into(t, REPLY_THINKING, DELTA_SIGNATURE, signature);
}

void tell_arguments(struct teller *t, struct span json)
{
    if (json.len > 0 && t->open && t->block == REPLY_TOOL_CALL)
        tell_delta(t, DELTA_ARGUMENTS, json);
}

void tell_citation(struct teller *t, const struct reply_citation *c)
{
    if (t->open && t->block == REPLY_TEXT)
        tell(t, &(struct reply){.kind = REPLY_DELTA,
                                .block = REPLY_TEXT,
                                .delta = DELTA_CITATION,
                                .citation = *c,
                                .reasoning_tok = -1});
}

void tell_usage(struct teller *t, const struct usage *u, int64_t reasoning_tok)
{
    if (t->started)
        tell(t, &(struct reply){.kind = REPLY_USAGE, .usage = *u, .reasoning_tok = reasoning_tok});
}

void tell_stop(struct teller *t, enum reply_stop stop, struct span sequence)
{
    if (!t->started || t->stopped)
        return;
    tell_close(t);
    t->stopped = true;
    tell(t, &(struct reply){
                .kind = REPLY_STOP, .stop = stop, .stop_sequence = sequence, .reasoning_tok = -1});
}

void tell_end(struct teller *t)
{
    if (!t->stopped)
        return;
    tell(t, &(struct reply){.kind = REPLY_END, .reasoning_tok = -1});
    t->over = true;
}

void tell_error(struct teller *t, const struct reply_error *e)
{
    tell(t, &(struct reply){.kind = REPLY_ERROR, .error = *e, .reasoning_tok = -1});
    t->over = true;
}
