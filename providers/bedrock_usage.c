/* Converse's usage object: bedrock_usage.h. */
#include "providers/bedrock_usage.h"

#include "providers/figure.h"

/* cacheDetails: [{ttl: "1h", inputTokens: n}], how long the written part is kept. */
static int64_t written_for(const struct json_doc *doc, json_ref details, const char *time)
{
    int64_t sum = 0;
    if (details == JSON_NONE || json_kind(doc, details) != JSON_ARRAY)
        return 0;
    for (json_ref i = json_first(doc, details); i != JSON_NONE; i = json_next(doc, i)) {
        json_ref ttl = json_kind(doc, i) == JSON_OBJECT ? json_get(doc, i, "ttl") : JSON_NONE;
        if (ttl == JSON_NONE || !json_text_is(doc, ttl, time))
            continue;
        int64_t n = figure_read(doc, json_get(doc, i, "inputTokens"));
        if (n > 0)
            sum += n;
    }
    return sum;
}

static bool read_figure(struct usage *u, enum usage_bucket bucket, const struct json_doc *doc,
                        json_ref usage, const char *name)
{
    int64_t n = figure_read(doc, json_get(doc, usage, name));
    if (n >= 0)
        usage_set(u, bucket, n);
    else if (n == FIGURE_UNCLEAR)
        usage_set_unclear(u, bucket);
    return n >= 0;
}

static void read_cache_writes(struct usage *u, bool hour_writes, const struct json_doc *doc,
                              json_ref usage)
{
    if (!read_figure(u, USAGE_cache_write_5m_tok, doc, usage, "cacheWriteInputTokens"))
        return;
    int64_t written = u->n[USAGE_cache_write_5m_tok];
    json_ref details = json_get(doc, usage, "cacheDetails");
    int64_t hour = written_for(doc, details, "1h");
    int64_t rest = written - hour - written_for(doc, details, "5m");
    /* What the details do not explain was written as it was asked for. */
    if (hour_writes && rest > 0)
        hour += rest;
    if (hour > written)
        hour = written;
    usage_set(u, USAGE_cache_write_5m_tok, written - hour);
    if (hour > 0)
        usage_set(u, USAGE_cache_write_1h_tok, hour);
}

void bedrock_read_usage(struct usage *u, bool hour_writes, const struct json_doc *doc,
                        json_ref usage)
{
    if (!json_is_object(doc, usage))
        return;
    read_figure(u, USAGE_input_tok, doc, usage, "inputTokens");
    read_figure(u, USAGE_output_tok, doc, usage, "outputTokens");
    read_figure(u, USAGE_cache_read_tok, doc, usage, "cacheReadInputTokens");
    read_cache_writes(u, hour_writes, doc, usage);
}
