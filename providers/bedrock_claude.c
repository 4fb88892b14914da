/* What Claude refuses beside thinking, for Claude behind Converse (anthropic_thinking.c and
 * anthropic_write.c do the same for its own protocol, where the sources stand). */
#include "providers/bedrock.h"

#include <stdlib.h>

enum { NUMBER_LEN_MAX = 32 };

static double number_of(struct span json)
{
    char text[NUMBER_LEN_MAX];
    size_t n = json.len < sizeof(text) ? json.len : sizeof(text) - 1;
    if (n > 0)
        memcpy(text, json.ptr, n);
    text[n] = '\0';
    return strtod(text, NULL);
}

/* The model goes on with calls whose thought is another provider's, or nobody's: "Expected
 * `thinking` or `redacted_thinking`, but found `tool_use`". */
static bool continues_unthought(const struct dialog *d)
{
    const struct dialog_message *last_turn = NULL, *end = NULL;
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        last_turn = m->role == ROLE_ASSISTANT ? m : last_turn;
        end = m->role != ROLE_SYSTEM ? m : end;
    }
    bool in_loop = end != NULL && end->role == ROLE_USER && end->blocks.first != NULL &&
                   end->blocks.first->kind == BLOCK_TOOL_RESULT;
    if (!in_loop || last_turn == NULL)
        return false;
    for (const struct dialog_block *b = last_turn->blocks.first; b != NULL; b = b->next) {
        if (bedrock_is_own_thinking(b))
            return false;
    }
    return true;
}

static bool is_forced(const struct dialog *d)
{
    return d->n_tools > 0 && (d->choice == CHOICE_ANY || d->choice == CHOICE_TOOL);
}

bool bedrock_claude_may_think(const struct dialog *d)
{
    return !is_forced(d) && (d->reasoning.mode != REASONING_BUDGETED || !continues_unthought(d));
}

static bool thinks(const struct bedrock_writer *w)
{
    enum reasoning_mode mode = w->d->reasoning.mode;
    return w->family->thinking == THINK_CLAUDE &&
           (mode == REASONING_ON || mode == REASONING_BUDGETED) && bedrock_claude_may_think(w->d);
}

bool bedrock_claude_takes(const struct bedrock_writer *w, enum dialog_number n)
{
    double value = number_of(w->d->numbers[n]);
    if (!thinks(w))
        return true;
    return n == NUMBER_temperature ? value >= 1 : n == NUMBER_top_p ? value >= 0.95 : false;
}
