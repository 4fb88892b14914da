/* The parts of the Amazon Bedrock adapter that its files share.
 *
 * Two of Bedrock's doors are used, by the model:
 *   Claude            InvokeModel: the body is Anthropic's own, so that signatures, cache_control,
 *                     betas and blocks that only Anthropic has stay as they are
 *   everything else   Converse: one form for all makers
 * A catalog may say which, for ids that do not tell (profiles of one's own): upstream_model
 * "invoke/ID" (Claude only) or "converse/ID".
 *
 * docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, _ConverseStream,
 * _InvokeModel, _InvokeModelWithResponseStream. */
#ifndef PROVIDERS_BEDROCK_H
#define PROVIDERS_BEDROCK_H

#include "providers/draft.h"
#include "schema/json_out.h"

enum {
    BEDROCK_NAME_MAX = 64,      /* of a tool, and of the id of its call: [a-zA-Z0-9_-]{1,64} */
    BEDROCK_DOCUMENT_MAX = 200, /* of a document's name */
    BEDROCK_BODY_MAX = DIALOG_MEMORY_MAX
};

/* The catalog word, and what thinking that came from here is marked with (schema/chat.h). */
#define BEDROCK_WORD "bedrock"
#define BEDROCK_THINKING THINKING_FOREIGN BEDROCK_WORD ":"

#define BEDROCK_ANTHROPIC_VERSION "bedrock-2023-05-31"

/* How a maker's models are told to think. */
enum bedrock_thinking {
    THINK_FIXED,  /* not at all */
    THINK_CLAUDE, /* thinking: {type, budget_tokens}, output_config: {effort} */
    THINK_NOVA,   /* reasoningConfig: {type, maxReasoningEffort} */
    THINK_EFFORT, /* reasoning_effort */
    THINK_NESTED  /* reasoning: {effort} */
};

/* What Converse takes for the models of one maker: the parts of its documentation that say "only
 * supported by". */
struct bedrock_family {
    const char *part;      /* of the model id */
    enum cache_mark cache; /* the longest time that can be asked for */
    bool cache_tools;      /* also behind tools */
    bool result_status;    /* toolResult.status */
    bool choice_any, choice_tool;
    bool thinks_back; /* takes its own signed thinking back */
    enum bedrock_thinking thinking;
    const char *top_k; /* its name in additionalModelRequestFields; NULL: none */
    bool top_k_inside; /* in an inferenceConfig there */
};
const struct bedrock_family *bedrock_family(struct span model);
/* Whether cache writes for an hour were asked for in Converse, where not all models have them. */
bool bedrock_asks_hour(const struct provider_reading *reading);

/* The id without the catalog's prefix, and which door is used for it. */
struct span bedrock_model(const struct provider_target *target, bool *ret_invoke);

/* A name within AWS's pattern: itself where it is, else its good characters and a hash, so that two
 * names stay two and one stays one.  out holds BEDROCK_NAME_MAX + 1. */
struct span bedrock_name(struct span name, char *out);

/* bedrock_write.c, bedrock_settings.c: a Converse body. */
struct bedrock_writer {
    struct json_out o;
    const struct provider_ask *ask;
    const struct dialog *d;
    const struct bedrock_family *family;
    struct fail *reterr;
    bool ok;
    int role;         /* of the open message; -1: none is open */
    bool any_message; /* some was opened */
    int n_documents;  /* each has a name of its own */
    bool marked;      /* the last thing written was a cache point */
    bool tool_blocks; /* calls or results were written: AWS wants toolConfig then */
};
void bedrock_write_converse(struct bedrock_writer *w);
void bedrock_write_settings(struct bedrock_writer *w);
void bedrock_write_tools(struct bedrock_writer *w);
void bedrock_write_cache(struct bedrock_writer *w, enum cache_mark mark);
/* Names what is left out, as the client knows it. */
void bedrock_drop(struct bedrock_writer *w, const char *anthropic, const char *openai);

bool bedrock_is_own_thinking(const struct dialog_block *b);

/* bedrock_claude.c: thinking rules out a forced tool, a temperature and more. */
bool bedrock_claude_may_think(const struct dialog *d);
/* Whether a setting may stand beside the thinking that is asked for; true for all other makers. */
bool bedrock_claude_takes(const struct bedrock_writer *w, enum dialog_number n);

/* bedrock_invoke.c: an Anthropic body. */
void bedrock_write_invoke(struct draft *d, const struct provider_ask *ask);

/* The provider's functions of bedrock_stream.c. */
void *bedrock_stream_open(const struct provider_reading *reading);
bool bedrock_stream_feed(void *stream, struct span bytes,
                         void (*on_event)(void *ctx, const struct event *ev), void *ctx);
bool bedrock_stream_at_boundary(const void *stream);
void bedrock_stream_finish(void *stream);
enum verdict bedrock_stream_state(const void *stream, struct usage_report *ret_usage,
                                  int64_t *ret_content_bytes);
void bedrock_stream_close(void *stream);

#endif
