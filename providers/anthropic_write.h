/* What the files share that write an Anthropic request from a dialog. */
#ifndef PROVIDERS_ANTHROPIC_WRITE_H
#define PROVIDERS_ANTHROPIC_WRITE_H

#include "providers/anthropic.h"
#include "schema/json_out.h"

enum anthropic_thinking { THINK_ABSENT, THINK_OFF, THINK_ADAPTIVE, THINK_BUDGET };

struct anthropic_writing {
    const struct provider_ask *ask;
    const struct anthropic_cloud *cloud; /* NULL: Anthropic itself */
    const struct dialog *d;
    struct json_out o;
    bool ours;   /* the client speaks this protocol too: nothing is put right for it but what
                    the model's rules demand */
    bool counts; /* for count_tokens */
    int64_t max_tokens;
    /* anthropic_thinking.c decides */
    enum anthropic_thinking thinking;
    int64_t budget_tok;
    struct span effort;
    /* anthropic_write_blocks.c */
    int skip_marks; /* cache marks over the maximum are left out, the first ones first */
    int open_role;  /* of the message that is being written; -1 = none */
    bool any_message;
    bool id_too_long;
    struct buf id; /* a tool id in letters that Anthropic takes */
};

/* Notes what cannot be told: under the name that the client knows it by. */
void anthropic_drop(struct anthropic_writing *w, const char *anthropic_name,
                    const char *openai_name);
static inline bool anthropic_rule(const struct anthropic_writing *w, enum model_rule rule)
{
    return (w->ask->target->rules & RULE_BIT(rule)) != 0;
}
/* The endpoint's list of parameters has it, or there is no such list. */
static inline bool anthropic_supports(const struct anthropic_writing *w, enum param param)
{
    return w->ask->target->params == 0 || (w->ask->target->params & PARAM_BIT(param)) != 0;
}

void anthropic_decide_thinking(struct anthropic_writing *w);

void anthropic_put_cache(struct anthropic_writing *w, enum cache_mark mark);
bool anthropic_is_blank(struct span text);
/* system, when the dialog has one, and messages. */
void anthropic_put_prompt(struct anthropic_writing *w);
/* Marks in the whole dialog, over those that Anthropic takes. */
int anthropic_marks_too_many(const struct dialog *d);

#endif
