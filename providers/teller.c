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

void tell_open(struct teller *t, enum reply_block block, struct span id, struct span name)
{
    tell_start(t, &(struct reply){.reasoning_tok = -1});
    tell_close(t);
    if (t->stopped)
        return;
    t->open = true;
    t->block = block;
    tell(t, &(struct reply){
                .kind = REPLY_OPEN, .block = block, .id = id, .name = name, .reasoning_tok = -1});
}

static void tell_delta(struct teller *t, enum reply_delta delta, struct span text)
{
    tell(t, &(struct reply){.kind = REPLY_DELTA,
                            .block = t->block,
                            .delta = delta,
                            .text = text,
                            .reasoning_tok = -1});
}

void tell_text(struct teller *t, enum reply_block block, struct span text)
{
    if (text.len == 0 || t->stopped)
        return;
    if (!t->open || t->block != block)
        tell_open(t, block, (struct span){"", 0}, (struct span){"", 0});
    tell_delta(t, DELTA_TEXT, text);
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
