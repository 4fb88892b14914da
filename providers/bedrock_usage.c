/* Converse's usage object: bedrock_usage.h. */
#include "providers/bedrock_usage.h"

/* Larger numbers are nonsense and ignored, like negative and fractional ones. */
static const int64_t figure_max = INT64_C(1000000000000);

static bool figure(const struct json_doc *doc, json_ref object, const char *name, int64_t *ret)
{
    return json_int64(doc, json_get(doc, object, name), ret) && *ret >= 0 && *ret <= figure_max;
}

/* cacheDetails: [{ttl: "1h", inputTokens: n}], how long the written part is kept. */
static int64_t written_for_an_hour(const struct json_doc *doc, json_ref details)
{
    int64_t sum = 0, n;
    if (details == JSON_NONE || json_kind(doc, details) != JSON_ARRAY)
        return 0;
    for (json_ref i = json_first(doc, details); i != JSON_NONE; i = json_next(doc, i)) {
        json_ref ttl = json_kind(doc, i) == JSON_OBJECT ? json_get(doc, i, "ttl") : JSON_NONE;
        if (ttl != JSON_NONE && json_text_is(doc, ttl, "1h") && figure(doc, i, "inputTokens", &n))
            sum += n;
    }
    return sum;
}

static void read_cache_writes(struct usage *u, const struct json_doc *doc, json_ref usage)
{
    int64_t written;
    if (!figure(doc, usage, "cacheWriteInputTokens", &written))
        return;
    json_ref details = json_get(doc, usage, "cacheDetails");
    int64_t hour = written_for_an_hour(doc, details);
    if (hour > written)
        hour = written;
    /* What the details do not explain was written for the default time. */
    usage_set(u, USAGE_cache_write_5m_tok, written - hour);
    if (hour > 0)
        usage_set(u, USAGE_cache_write_1h_tok, hour);
}

void bedrock_read_usage(struct usage *u, const struct json_doc *doc, json_ref usage)
{
    int64_t n;
    if (usage == JSON_NONE || json_kind(doc, usage) != JSON_OBJECT)
        return;
    if (figure(doc, usage, "inputTokens", &n))
        usage_set(u, USAGE_input_tok, n);
    if (figure(doc, usage, "outputTokens", &n))
        usage_set(u, USAGE_output_tok, n);
    if (figure(doc, usage, "cacheReadInputTokens", &n))
        usage_set(u, USAGE_cache_read_tok, n);
    read_cache_writes(u, doc, usage);
}
