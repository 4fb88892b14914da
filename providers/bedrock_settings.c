/* Tools and settings of a Converse request. */
#include "providers/bedrock.h"

/* ---- tools ---- */

static void write_tool(struct bedrock_writer *w, struct span name, const struct dialog_tool *t)
{
    char store[BEDROCK_NAME_MAX + 1];
    bool schema = t != NULL && t->schema_json.len > 0;
    bool strict = t != NULL && t->strict == TRI_TRUE;
    bool takes_strict = (w->ask->target->params & PARAM_BIT(PARAM_structured_outputs)) != 0;
    json_open_object(&w->o, NULL);
    json_open_object(&w->o, "toolSpec");
    json_put_string(&w->o, "name", bedrock_name(name, store));
    if (t != NULL) /* an empty one is refused */
        json_put_some_string(&w->o, "description", t->description);
    json_open_object(&w->o, "inputSchema");
    json_put_raw(&w->o, "json", schema ? t->schema_json : SPAN("{\"type\":\"object\"}"));
    json_close_object(&w->o);
    if (strict && takes_strict)
        json_put_bool(&w->o, "strict", true);
    json_close_object(&w->o);
    json_close_object(&w->o);
    if (strict && !takes_strict)
        bedrock_drop(w, "tools.strict", "tools.function.strict");
    if (t != NULL && (w->family->cache_tools || w->family->cache == CACHE_NONE))
        bedrock_write_cache(w, t->cache);
    else if (t != NULL && t->cache != CACHE_NONE)
        bedrock_drop(w, "tools.cache_control", "tools.cache_control");
}

static bool is_function(struct bedrock_writer *w, const struct dialog_tool *t)
{
    if (t->raw_of == NULL && t->name.len > 0)
        return true;
    bedrock_drop(w, "tools.type", "tools.type");
    return false;
}

/* Whether an earlier call of this name exists. */
static bool was_named(const struct dialog *d, const struct dialog_block *call)
{
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            if (b == call)
                return false;
            if (b->kind == BLOCK_TOOL_CALL && span_eq(b->name, call->name))
                return true;
        }
    }
    return false;
}

/* "The toolConfig field must be defined when using toolUse and toolResult content blocks": what the
 * history has called stands for tools that the request no longer offers. */
static int write_called_tools(struct bedrock_writer *w)
{
    int n = 0;
    for (const struct dialog_message *m = w->d->first_message; m != NULL; m = m->next) {
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            if (b->kind != BLOCK_TOOL_CALL || was_named(w->d, b))
                continue;
            write_tool(w, b->name, NULL);
            n++;
        }
    }
    return n;
}

static void write_choice(struct bedrock_writer *w)
{
    const struct dialog *d = w->d;
    char store[BEDROCK_NAME_MAX + 1];
    if (d->choice == CHOICE_ANY && w->family->choice_any) {
        json_put_raw(&w->o, "toolChoice", SPAN("{\"any\":{}}"));
    } else if (d->choice == CHOICE_TOOL && w->family->choice_tool) {
        json_open_object(&w->o, "toolChoice");
        json_open_object(&w->o, "tool");
        json_put_string(&w->o, "name", bedrock_name(d->choice_name, store));
        json_close_object(&w->o);
        json_close_object(&w->o);
    } else if (d->choice != CHOICE_ABSENT && d->choice != CHOICE_AUTO) {
        bedrock_drop(w, "tool_choice", "tool_choice"); /* none: there is no word for it */
    }
    if (d->parallel == TRI_FALSE)
        bedrock_drop(w, "tool_choice.disable_parallel_tool_use", "parallel_tool_calls");
}

static int n_functions(struct bedrock_writer *w)
{
    int n = 0;
    for (const struct dialog_tool *t = w->d->first_tool; t != NULL; t = t->next)
        n += is_function(w, t);
    return n;
}

void bedrock_write_tools(struct bedrock_writer *w)
{
    int n = n_functions(w);
    bool wanted = n > 0 && w->d->choice != CHOICE_NONE;
    if (!wanted && !w->tool_blocks)
        return;
    json_open_object(&w->o, "toolConfig");
    json_open_array(&w->o, "tools");
    for (const struct dialog_tool *t = w->d->first_tool; t != NULL; t = t->next) {
        if (is_function(w, t))
            write_tool(w, t->name, t);
    }
    if (n == 0 && write_called_tools(w) == 0)
        write_tool(w, SPAN("unknown"), NULL); /* a result whose call is gone */
    json_close_array(&w->o);
    if (n > 0)
        write_choice(w);
    json_close_object(&w->o);
}

/* ---- settings ---- */

/* Empty, and named as dropped, where the model would refuse it. */
static struct span sampling(struct bedrock_writer *w, enum dialog_number n)
{
    const char *name = dialog_number_name(n);
    struct span value = w->d->numbers[n];
    if (value.len == 0 || bedrock_claude_takes(w, n))
        return value;
    bedrock_drop(w, name, name);
    return (struct span){"", 0};
}

static void write_inference(struct bedrock_writer *w)
{
    const struct dialog *d = w->d;
    struct span temperature = sampling(w, NUMBER_temperature);
    struct span top_p = sampling(w, NUMBER_top_p);
    bool any = w->ask->max_tokens >= 0 || temperature.len > 0 || top_p.len > 0 || d->n_stops > 0;
    if (!any)
        return;
    json_open_object(&w->o, "inferenceConfig");
    if (w->ask->max_tokens >= 0)
        json_put_int(&w->o, "maxTokens", w->ask->max_tokens);
    json_put_some_raw(&w->o, "temperature", temperature);
    json_put_some_raw(&w->o, "topP", top_p);
    if (d->n_stops > 0) {
        json_open_array(&w->o, "stopSequences");
        for (int i = 0; i < d->n_stops; i++)
            json_put_string(&w->o, NULL, d->stops[i]);
        json_close_array(&w->o);
    }
    json_close_object(&w->o);
    /* Which of them it was stands only in the model's own answer; a field that it does not have is
     * passed over (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html). */
    if (d->n_stops > 0) {
        json_open_array(&w->o, "additionalModelResponseFieldPaths");
        json_put_string(&w->o, NULL, SPAN("/stop_sequence"));
        json_close_array(&w->o);
    }
}

static bool is_effort_off(struct span effort)
{
    return span_is(effort, "none");
}

/* The effort in the three words that everyone has; NULL: none was asked for. */
static const char *plain_effort(const struct dialog_reasoning *r)
{
    static const struct {
        const char *from, *to;
    } words[] = {{"minimal", "low"}, {"low", "low"},    {"medium", "medium"},
                 {"high", "high"},   {"xhigh", "high"}, {"max", "high"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(r->effort, words[i].from))
            return words[i].to;
    }
    if (r->mode == REASONING_BUDGETED)
        return r->budget_tok < 4096 ? "low" : r->budget_tok < 16384 ? "medium" : "high";
    return r->mode == REASONING_ON ? "medium" : NULL;
}

static void write_claude_thinking(struct bedrock_writer *w, const struct dialog_reasoning *r)
{
    static const char *const types[] = {[REASONING_OFF] = "disabled",
                                        [REASONING_ON] = "adaptive",
                                        [REASONING_BUDGETED] = "enabled"};
    bool on = r->mode == REASONING_ON || r->mode == REASONING_BUDGETED;
    if (on && !bedrock_claude_may_think(w->d)) {
        bedrock_drop(w, "thinking", "reasoning");
    } else if (r->mode != REASONING_ABSENT) {
        json_open_object(&w->o, "thinking");
        json_put_string(&w->o, "type", span_of(types[r->mode]));
        if (r->mode == REASONING_BUDGETED)
            json_put_int(&w->o, "budget_tokens", r->budget_tok);
        json_close_object(&w->o);
    }
    if (r->effort.len > 0 && !is_effort_off(r->effort)) {
        json_open_object(&w->o, "output_config");
        json_put_string(&w->o, "effort", r->effort);
        json_close_object(&w->o);
    }
}

static void write_nova_thinking(struct bedrock_writer *w, const struct dialog_reasoning *r)
{
    const char *effort = plain_effort(r);
    if (effort == NULL)
        return;
    json_open_object(&w->o, "reasoningConfig");
    json_put_string(&w->o, "type", SPAN("enabled"));
    json_put_string(&w->o, "maxReasoningEffort", span_of(effort));
    json_close_object(&w->o);
}

static void write_thinking(struct bedrock_writer *w)
{
    const struct dialog_reasoning *r = &w->d->reasoning;
    bool off = r->mode == REASONING_OFF || is_effort_off(r->effort);
    switch (off && w->family->thinking != THINK_CLAUDE ? THINK_FIXED : w->family->thinking) {
    case THINK_CLAUDE:
        write_claude_thinking(w, r);
        break;
    case THINK_NOVA:
        write_nova_thinking(w, r);
        break;
    case THINK_EFFORT:
        if (plain_effort(r) != NULL)
            json_put_string(&w->o, "reasoning_effort", span_of(plain_effort(r)));
        break;
    case THINK_NESTED:
        if (plain_effort(r) != NULL) {
            json_open_object(&w->o, "reasoning");
            json_put_string(&w->o, "effort", span_of(plain_effort(r)));
            json_close_object(&w->o);
        }
        break;
    case THINK_FIXED:
        if (!off && plain_effort(r) != NULL)
            bedrock_drop(w, r->mode != REASONING_ABSENT ? "thinking" : "output_config.effort",
                         "reasoning_effort");
        break;
    }
}

static void write_top_k(struct bedrock_writer *w)
{
    struct span top_k = sampling(w, NUMBER_top_k);
    if (top_k.len == 0)
        return;
    if (w->family->top_k == NULL) {
        bedrock_drop(w, "top_k", "top_k");
    } else if (w->family->top_k_inside) {
        json_open_object(&w->o, "inferenceConfig");
        json_put_raw(&w->o, w->family->top_k, top_k);
        json_close_object(&w->o);
    } else {
        json_put_raw(&w->o, w->family->top_k, top_k);
    }
}

/* What only this maker's models know.  Written aside first: an empty object is left out. */
static void write_additional(struct bedrock_writer *w)
{
    struct json_out o = w->o;
    struct buf fields;
    buf_init(&fields, BEDROCK_BODY_MAX);
    w->o = (struct json_out){.buf = &fields};
    json_open_object(&w->o, NULL);
    write_top_k(w);
    write_thinking(w);
    json_close_object(&w->o);
    w->o = o;
    if (fields.failed)
        w->o.buf->failed = true;
    else if (!span_is(buf_span(&fields), "{}"))
        json_put_raw(&w->o, "additionalModelRequestFields", buf_span(&fields));
    buf_done(&fields);
}

/* The schema travels as text. */
static void write_format(struct bedrock_writer *w)
{
    const struct dialog_format *f = &w->d->format;
    if (f->kind == FORMAT_ABSENT || f->kind == FORMAT_TEXT)
        return;
    bool can = (w->ask->target->params & PARAM_BIT(PARAM_structured_outputs)) != 0;
    if (f->kind != FORMAT_SCHEMA || !can) {
        bedrock_drop(w, "output_config.format", "response_format");
        return;
    }
    json_open_object(&w->o, "outputConfig");
    json_open_object(&w->o, "textFormat");
    json_put_string(&w->o, "type", SPAN("json_schema"));
    json_open_object(&w->o, "structure");
    json_open_object(&w->o, "jsonSchema");
    json_put_string(&w->o, "schema", f->schema_json);
    json_put_some_string(&w->o, "name", f->name);
    json_put_some_string(&w->o, "description", f->description);
    for (int i = 0; i < 4; i++)
        json_close_object(&w->o);
}

/* A tier with other prices than those held is never asked for. */
static void drop_tier(struct bedrock_writer *w)
{
    struct span tier = w->d->service_tier;
    if (tier.len > 0 && !span_is(tier, "auto") && !span_is(tier, "default") &&
        !span_is(tier, "standard_only"))
        drops_add(w->ask->drops, "service_tier");
}

static void drop_settings(struct bedrock_writer *w)
{
    const struct dialog *d = w->d;
    for (int i = 0; i < NUMBER_COUNT; i++) {
        bool has_place = i == NUMBER_temperature || i == NUMBER_top_p || i == NUMBER_top_k;
        if (d->numbers[i].len > 0 && !has_place)
            drops_add(w->ask->drops, dialog_number_name((enum dialog_number)i));
    }
    if (d->logprobs == TRI_TRUE)
        bedrock_drop(w, "logprobs", "logprobs");
    if (d->logit_bias_json.len > 0)
        bedrock_drop(w, "logit_bias", "logit_bias");
    if (d->verbosity.len > 0)
        bedrock_drop(w, "verbosity", "verbosity");
    if (d->user.len > 0)
        bedrock_drop(w, "metadata.user_id", "user");
}

void bedrock_write_settings(struct bedrock_writer *w)
{
    write_inference(w);
    write_format(w);
    drop_tier(w);
    write_additional(w);
    drop_settings(w);
}
