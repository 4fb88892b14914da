/* How a Claude model is told to think.  Its generations want it said differently:
 * platform.claude.com/docs/en/build-with-claude/extended-thinking, .../adaptive-thinking,
 * .../effort. */
#include "providers/anthropic.h"
#include "providers/anthropic_write.h"

enum { BUDGET_MIN = 1024 };

static void drop_thinking(struct anthropic_writing *w)
{
    w->thinking = THINK_ABSENT;
    anthropic_drop(w, "thinking", "reasoning");
}

/* An effort as a share of max_tokens, in per cent (openrouter.ai/docs "Reasoning tokens"). */
static int64_t budget_of(struct span effort, int64_t max_tokens)
{
    static const struct {
        const char *effort;
        int share;
    } shares[] = {{"minimal", 10}, {"low", 20}, {"high", 80}, {"xhigh", 95}, {"max", 95}};
    int share = 50;
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        if (span_is(effort, shares[i].effort))
            share = shares[i].share;
    }
    return max_tokens / 100 * share;
}

/* Models without effort think for a share of the answer instead. */
static void without_effort(struct anthropic_writing *w)
{
    bool wanted = w->thinking == THINK_ADAPTIVE ||
                  (w->thinking == THINK_ABSENT && !w->ours); /* OpenAI's effort asks to think */
    if (w->effort.len == 0 || anthropic_supports(w, PARAM_reasoning_effort))
        return;
    if (wanted && anthropic_supports(w, PARAM_reasoning) &&
        !anthropic_rule(w, RULE_no_thinking_budget)) {
        w->thinking = THINK_BUDGET;
        w->budget_tok = budget_of(w->effort, w->max_tokens);
    } else {
        anthropic_drop(w, "output_config.effort", "reasoning_effort");
    }
    w->effort = SPAN("");
}

static void obey_rules(struct anthropic_writing *w)
{
    bool high = span_is(w->effort, "xhigh") || span_is(w->effort, "max");
    if (w->thinking == THINK_ADAPTIVE && anthropic_rule(w, RULE_no_adaptive_thinking)) {
        w->thinking = THINK_BUDGET;
        w->budget_tok = budget_of(w->effort, w->max_tokens);
    } else if (w->thinking == THINK_BUDGET && anthropic_rule(w, RULE_no_thinking_budget)) {
        w->thinking = THINK_ADAPTIVE;
        anthropic_drop(w, "thinking.budget_tokens", "reasoning.max_tokens");
    } else if (w->thinking == THINK_OFF && anthropic_rule(w, RULE_thinking_always)) {
        drop_thinking(w);
    }
    if (w->thinking == THINK_OFF && high && anthropic_rule(w, RULE_effort_needs_thinking)) {
        w->effort = SPAN("high");
        anthropic_drop(w, "output_config.effort", "reasoning_effort");
    }
}

/* At least 1024, and something of max_tokens must be left for the answer. */
static void fit_budget(struct anthropic_writing *w)
{
    int64_t most = w->max_tokens / 5 * 4;
    if (w->thinking != THINK_BUDGET || (w->ours && w->budget_tok < w->max_tokens))
        return;
    if (w->budget_tok < BUDGET_MIN)
        w->budget_tok = BUDGET_MIN;
    if (w->budget_tok > most)
        w->budget_tok = most;
    if (w->budget_tok < BUDGET_MIN)
        drop_thinking(w);
}

static bool is_own_thinking(const struct dialog_block *b)
{
    return (b->kind == BLOCK_THINKING || b->kind == BLOCK_REDACTED) &&
           anthropic_is_own_signature(b->signature);
}

/* Inside a loop of tool calls that another provider began: "Expected `thinking` or
 * `redacted_thinking`, but found `tool_use`" where the budget is said. */
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
        if (is_own_thinking(b))
            return false;
    }
    return true;
}

static bool is_forced(const struct dialog *d)
{
    return d->choice == CHOICE_ANY || d->choice == CHOICE_TOOL;
}

/* What forbids thinking although the model can do it. */
static void avoid_conflicts(struct anthropic_writing *w)
{
    bool thinks = w->thinking == THINK_BUDGET || w->thinking == THINK_ADAPTIVE;
    if (!thinks)
        return;
    if (is_forced(w->d) && w->d->n_tools > 0)
        drop_thinking(w);
    else if (w->thinking == THINK_BUDGET && continues_unthought(w->d))
        drop_thinking(w);
}

void anthropic_decide_thinking(struct anthropic_writing *w)
{
    static const enum anthropic_thinking modes[] = {
        [REASONING_ABSENT] = THINK_ABSENT,
        [REASONING_OFF] = THINK_OFF,
        [REASONING_ON] = THINK_ADAPTIVE,
        [REASONING_BUDGETED] = THINK_BUDGET,
    };
    const struct dialog_reasoning *wanted = &w->d->reasoning;
    w->thinking = modes[wanted->mode];
    w->budget_tok = wanted->budget_tok;
    w->effort = wanted->effort;
    if (span_is(w->effort, "none")) { /* OpenAI's word; Anthropic's efforts begin with "low" */
        w->thinking = THINK_OFF;
        w->effort = SPAN("");
    } else if (span_is(w->effort, "minimal") && anthropic_supports(w, PARAM_reasoning_effort)) {
        w->effort = SPAN("low");
    }
    without_effort(w);
    if (w->thinking > THINK_OFF && !anthropic_supports(w, PARAM_reasoning))
        drop_thinking(w);
    obey_rules(w);
    avoid_conflicts(w);
    fit_budget(w);
    if (w->thinking == THINK_OFF && !anthropic_supports(w, PARAM_reasoning))
        w->thinking = THINK_ABSENT; /* it never thinks */
}
