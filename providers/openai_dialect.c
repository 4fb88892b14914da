/* The rows of openai_dialect.h.  Where a row says nothing else, its facts come from the provider's
 * API reference and from recorded exchanges (each has golden answers under
 * tests/golden/openai/<name>). */
#include "providers/openai_dialect.h"

#include <strings.h>

#define N(member) (UINT32_C(1) << NUMBER_##member)

enum { ANY_NUMBER = -1 };

#define NUMBERS_BASIC (N(temperature) | N(top_p))
#define NUMBERS_PENALTIES (N(frequency_penalty) | N(presence_penalty))
#define NUMBERS_OPENAI (NUMBERS_BASIC | NUMBERS_PENALTIES | N(seed) | N(top_logprobs))
#define NUMBERS_OPEN (N(top_k) | N(min_p) | N(repetition_penalty))

/* What nearly every server has. */
#define TRAITS_USUAL (TRAIT_SENDS_DONE | TRAIT_STREAM_OPTIONS | TRAIT_TOOLS)
#define TRAITS_OPENAI                                                                              \
    (TRAITS_USUAL | TRAIT_PARTS | TRAIT_LOGPROBS | TRAIT_LOGIT_BIAS | TRAIT_PARALLEL |             \
     TRAIT_VERBOSITY | TRAIT_TIERS | TRAIT_NAMES | TRAIT_REFUSAL | TRAIT_SCHEMA)

/* learn.microsoft.com/azure/ai-foundry/openai/reference.  Models of other makers are deployed
 * there too: Grok's reasoning tokens come on top, and only the total tells. */
const struct openai_dialect openai_dialect_azure = {
    .name = "azure-openai",
    .hosts = "openai.azure.com cognitiveservices.azure.com services.ai.azure.com",
    .slugs = "azure azure-openai",
    .traits = TRAITS_OPENAI,
    .numbers = NUMBERS_OPENAI,
    .max_tokens = "max_completion_tokens",
    .user = "user",
    .any_tool = "required",
    .efforts = "minimal low medium high",
    .stops_max = 4,
    .output = OUTPUT_BY_TOTAL,
    .documents = DOCUMENTS_FILE,
    .ids = IDS_SHORT,
};

static const struct openai_dialect dialects[] = {
    /* platform.openai.com/docs/api-reference/chat/create.  Efforts above "high" and "none" are
     * known to some models only, and an effort that a model does not know is a 400: they are not
     * made from another protocol's words. */
    {
        .name = "openai",
        .hosts = "api.openai.com",
        .slugs = "openai",
        .traits = TRAITS_OPENAI,
        .numbers = NUMBERS_OPENAI,
        .max_tokens = "max_completion_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "minimal low medium high",
        .stops_max = 4,
        .documents = DOCUMENTS_FILE,
        .ids = IDS_SHORT,
    },
    /* openrouter.ai/docs: reasoning-tokens (reasoning, reasoning_details), prompt-caching
     * (cache_control), multimodal/pdfs (file_data may be an address). */
    {
        .name = "openrouter",
        .hosts = "openrouter.ai",
        .slugs = "openrouter",
        .traits = TRAITS_OPENAI | TRAIT_CACHE_MARKS,
        .numbers = NUMBERS_OPENAI | NUMBERS_OPEN | N(top_a),
        .max_tokens = "max_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "none minimal low medium high xhigh",
        .stops_max = ANY_NUMBER,
        .thinking = THINK_BY_OBJECT,
        .history = HISTORY_DETAILS,
        .documents = DOCUMENTS_FILE_URL,
    },
    /* vercel.com/docs/ai-gateway/openai-compat.  Two recordings: the price they state is that of
     * completion_tokens and reasoning_tokens together, though the total leaves the latter out. */
    {
        .name = "vercel",
        .hosts = "ai-gateway.vercel.sh",
        .slugs = "vercel",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_CACHE_MARKS | TRAIT_SCHEMA | TRAIT_PARALLEL,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(seed),
        .max_tokens = "max_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "none minimal low medium high xhigh",
        .stops_max = ANY_NUMBER,
        .output = OUTPUT_REASONING_APART,
        .thinking = THINK_BY_OBJECT,
        .history = HISTORY_DETAILS,
        .documents = DOCUMENTS_FILE,
    },
    /* console.groq.com/docs/api-reference#chat-create and /docs/openai: logprobs, logit_bias,
     * top_logprobs are a 400; the penalties are supported by no model. */
    {
        .name = "groq",
        .hosts = "api.groq.com",
        .slugs = "groq",
        .traits =
            TRAITS_USUAL | TRAIT_PARTS | TRAIT_PARALLEL | TRAIT_NAMES | TRAIT_SCHEMA | TRAIT_TIERS,
        .numbers = NUMBERS_BASIC | N(seed),
        .max_tokens = "max_completion_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "low medium high",
        .stops_max = 4,
    },
    /* docs.mistral.ai/api/#tag/chat.  Any member it does not know is a 422 (extra_forbidden):
     * stream_options, max_completion_tokens, user, name.  Usage comes without asking. */
    {
        .name = "mistral",
        .hosts = "api.mistral.ai codestral.mistral.ai",
        .slugs = "mistral",
        .traits = TRAIT_SENDS_DONE | TRAIT_TOOLS | TRAIT_PARTS | TRAIT_PARALLEL | TRAIT_SCHEMA |
                  TRAIT_TOOL_NAME | TRAIT_PREFIX,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(seed),
        .renamed = {{NUMBER_seed, "random_seed"}},
        .max_tokens = "max_tokens",
        .any_tool = "any",
        .efforts = "none high",
        .stops_max = ANY_NUMBER,
        .history = HISTORY_PARTS,
        .documents = DOCUMENTS_URL,
        .ids = IDS_NINE,
    },
    /* api-docs.deepseek.com/guides/thinking_mode: every word of effort is taken and mapped there;
     * without reasoning_content in messages that call tools, a 400.  /guides/json_mode: json_object
     * only. */
    {
        .name = "deepseek",
        .hosts = "api.deepseek.com",
        .slugs = "deepseek",
        .traits = TRAITS_USUAL | TRAIT_LOGPROBS | TRAIT_NAMES,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(top_logprobs),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "low medium high max",
        .stops_max = 16,
        .thinking = THINK_BY_TYPE,
        .history = HISTORY_WITH_TOOLS,
    },
    /* docs.x.ai/docs/api-reference#chat-completions.  Four of seven recordings: total_tokens is
     * prompt, completion and reasoning tokens. */
    {
        .name = "xai",
        .hosts = "api.x.ai",
        .slugs = "xai x-ai",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_LOGPROBS | TRAIT_PARALLEL | TRAIT_NAMES |
                  TRAIT_SCHEMA,
        .numbers = NUMBERS_OPENAI,
        .max_tokens = "max_completion_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "none low medium high",
        .stops_max = 4,
        .output = OUTPUT_REASONING_APART,
    },
    /* docs.together.ai/reference/chat-completions-1: logprobs is a number there, not a switch. */
    {
        .name = "together",
        .hosts = "api.together.xyz api.together.ai",
        .slugs = "together",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_LOGIT_BIAS | TRAIT_NAMES | TRAIT_SCHEMA,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | NUMBERS_OPEN | N(seed),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "low medium high",
        .stops_max = ANY_NUMBER,
    },
    /* docs.fireworks.ai/api-reference/post-chatcompletions, /guides/reasoning. */
    {
        .name = "fireworks",
        .hosts = "api.fireworks.ai",
        .slugs = "fireworks",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_LOGPROBS | TRAIT_LOGIT_BIAS | TRAIT_NAMES |
                  TRAIT_SCHEMA | TRAIT_PARALLEL,
        .numbers = NUMBERS_OPENAI | NUMBERS_OPEN,
        .max_tokens = "max_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "none low medium high",
        .stops_max = 4,
    },
    /* inference-docs.cerebras.ai/resources/openai: frequency_penalty, presence_penalty, logit_bias,
     * parallel_tool_calls and service_tier are a 400.  Never [DONE] in 16 of 16 streams. */
    {
        .name = "cerebras",
        .hosts = "api.cerebras.ai",
        .slugs = "cerebras",
        .traits = TRAIT_STREAM_OPTIONS | TRAIT_TOOLS | TRAIT_LOGPROBS | TRAIT_SCHEMA,
        .numbers = NUMBERS_BASIC | N(seed) | N(top_logprobs),
        .max_tokens = "max_completion_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "none low medium high",
        .stops_max = 4,
    },
    /* docs.perplexity.ai/api-reference/chat-completions-post: no tools, no stop; after the system
     * messages the roles must alternate.  Never [DONE].  docs.perplexity.ai/guides/pricing: each
     * answer is searched for, for a fee; what Deep Research reads and thinks is billed apart. */
    {
        .name = "perplexity",
        .hosts = "api.perplexity.ai",
        .slugs = "perplexity",
        .traits = TRAIT_STREAM_OPTIONS | TRAIT_SYSTEM_FIRST | TRAIT_SCHEMA | TRAIT_SEARCHES,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(top_k),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "minimal low medium high",
        .output = OUTPUT_REASONING_APART,
    },
    /* docs.z.ai/api-reference/llm/chat-completion, /guides/capabilities/thinking-mode: thinking
     * goes back with tools; one stop sequence; json_object only; tool_choice "auto" only. */
    {
        .name = "zai",
        .hosts = "api.z.ai open.bigmodel.cn",
        .slugs = "zai z-ai",
        .traits = TRAITS_USUAL | TRAIT_PARTS,
        .numbers = NUMBERS_BASIC,
        .max_tokens = "max_tokens",
        .user = "user_id",
        .any_tool = "required",
        .efforts = "none minimal low medium high xhigh max",
        .stops_max = 1,
        .thinking = THINK_BY_TYPE,
        .history = HISTORY_WITH_TOOLS,
        .choice = CHOICE_FORM_AUTO_NONE,
    },
    /* docs.ollama.com/api/openai-compatibility: tool_choice and logit_bias are not supported; a
     * list of parts becomes a message for each. */
    {
        .name = "ollama",
        .hosts = "ollama.com",
        .slugs = "ollama",
        .traits = TRAITS_USUAL | TRAIT_SCHEMA,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(seed),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "none low medium high",
        .stops_max = ANY_NUMBER,
        .choice = CHOICE_FORM_AUTO_NONE,
    },
    /* docs.vllm.ai/en/latest/serving/openai_compatible_server.  Chat templates of many models
     * refuse instructions behind the first message. */
    {
        .name = "vllm",
        .hosts = "",
        .slugs = "vllm",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_SYSTEM_FIRST | TRAIT_LOGPROBS |
                  TRAIT_LOGIT_BIAS | TRAIT_PARALLEL | TRAIT_NAMES | TRAIT_SCHEMA,
        .numbers = NUMBERS_OPENAI | NUMBERS_OPEN,
        .max_tokens = "max_tokens",
        .user = "user",
        .any_tool = "required",
        .efforts = "low medium high",
        .stops_max = ANY_NUMBER,
    },
    /* github.com/ggml-org/llama.cpp tools/server/README.md: tool_choice is a word. */
    {
        .name = "llama.cpp",
        .hosts = "",
        .slugs = "llama.cpp llamacpp llama-cpp",
        .traits = TRAITS_USUAL | TRAIT_SYSTEM_FIRST | TRAIT_LOGPROBS | TRAIT_LOGIT_BIAS |
                  TRAIT_PARALLEL | TRAIT_SCHEMA,
        .numbers = NUMBERS_OPENAI | NUMBERS_OPEN,
        .renamed = {{NUMBER_repetition_penalty, "repeat_penalty"}},
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "low medium high",
        .stops_max = ANY_NUMBER,
        .choice = CHOICE_FORM_WORDS,
    },
    /* ai.google.dev/gemini-api/docs/openai: thinking is only in the total; calls are signed. */
    {
        .name = "google",
        .hosts = "generativelanguage.googleapis.com",
        .slugs = "",
        .traits =
            TRAITS_USUAL | TRAIT_PARTS | TRAIT_SCHEMA | TRAIT_TOOL_NAME | TRAIT_GOOGLE_SIGNATURE,
        .numbers = NUMBERS_BASIC | NUMBERS_PENALTIES | N(seed),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .efforts = "none minimal low medium high",
        .stops_max = 4,
        .output = OUTPUT_BY_TOTAL,
    },
    /* alibabacloud.com/help/en/model-studio: qwen-api-via-openai-chat-completions, context-cache
     * (cache_control), deep-thinking (enable_thinking). */
    {
        .name = "alibaba",
        .hosts = "dashscope.aliyuncs.com dashscope-intl.aliyuncs.com dashscope-us.aliyuncs.com",
        .slugs = "alibaba",
        .traits = TRAITS_USUAL | TRAIT_PARTS | TRAIT_CACHE_MARKS | TRAIT_LOGPROBS | TRAIT_PARALLEL |
                  TRAIT_SCHEMA,
        .numbers = NUMBERS_BASIC | N(presence_penalty) | N(seed) | N(top_k) | N(top_logprobs),
        .max_tokens = "max_tokens",
        .any_tool = "required",
        .stops_max = ANY_NUMBER,
        .thinking = THINK_BY_ENABLE,
    },
};

/* A server nobody described: OpenAI's older form, which all of them take, and the settings that the
 * catalog states. */
static const struct openai_dialect dialect_generic = {
    .name = "generic",
    .traits = TRAIT_STREAM_OPTIONS | TRAIT_TOOLS | TRAIT_PARTS | TRAIT_LOGPROBS | TRAIT_LOGIT_BIAS |
              TRAIT_PARALLEL | TRAIT_NAMES | TRAIT_SCHEMA | TRAIT_STATED_PARAMS,
    .numbers = NUMBERS_OPENAI,
    .max_tokens = "max_tokens",
    .user = "user",
    .any_tool = "required",
    .efforts = "low medium high",
    .stops_max = 4,
    .output = OUTPUT_BY_TOTAL,
    .documents = DOCUMENTS_FILE,
};

/* Takes the next of some words off *list; false: none is left. */
static bool next_word(const char **list, struct span *ret)
{
    const char *at = *list;
    while (*at == ' ')
        at++;
    *ret = (struct span){at, strcspn(at, " ")};
    *list = at + ret->len;
    return ret->len > 0;
}

/* The host of scheme://user@host:port/path. */
static struct span host_of(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *at = scheme != NULL ? scheme + 3 : url;
    struct span authority = {at, strcspn(at, "/?#")};
    const char *user = memchr(authority.ptr, '@', authority.len);
    if (user != NULL) {
        authority.len -= (size_t)(user + 1 - authority.ptr);
        authority.ptr = user + 1;
    }
    const char *port = memchr(authority.ptr, ':', authority.len);
    if (port != NULL)
        authority.len = (size_t)(port - authority.ptr);
    return authority;
}

static bool ends_in(struct span host, struct span suffix)
{
    if (host.len < suffix.len)
        return false;
    const char *tail = host.ptr + host.len - suffix.len;
    return strncasecmp(tail, suffix.ptr, suffix.len) == 0 && (tail == host.ptr || tail[-1] == '.');
}

static bool has_host(const struct openai_dialect *d, struct span host)
{
    const char *list = d->hosts;
    struct span word;
    while (next_word(&list, &word)) {
        if (ends_in(host, word))
            return true;
    }
    return false;
}

static bool has_slug(const struct openai_dialect *d, struct span slug)
{
    const char *list = d->slugs;
    struct span word;
    while (next_word(&list, &word)) {
        if (span_eq(word, slug))
            return true;
    }
    return false;
}

const struct openai_dialect *openai_dialect_of(const struct provider_target *target)
{
    const size_t n = sizeof(dialects) / sizeof(dialects[0]);
    struct span host = host_of(target->base_url != NULL ? target->base_url : "");
    const char *slug = target->slug != NULL ? target->slug : "";
    struct span base = {slug, strcspn(slug, "/")}; /* without the variant */
    if (has_host(&openai_dialect_azure, host))
        return &openai_dialect_azure;
    for (size_t i = 0; i < n; i++) {
        if (has_host(&dialects[i], host))
            return &dialects[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (has_slug(&dialects[i], base))
            return &dialects[i];
    }
    return &dialect_generic;
}

bool provider_searches(const struct provider_target *target)
{
    return openai_has(openai_dialect_of(target), TRAIT_SEARCHES);
}

/* From least to most. */
static const char *const effort_words[] = {"none", "minimal", "low", "medium",
                                           "high", "xhigh",   "max"};

enum { EFFORT_COUNT = sizeof(effort_words) / sizeof(effort_words[0]) };

static int effort_rank(struct span word)
{
    for (int i = 0; i < EFFORT_COUNT; i++) {
        if (span_is(word, effort_words[i]))
            return i;
    }
    return -1;
}

const char *openai_effort(const struct openai_dialect *d, struct span word)
{
    int wanted = effort_rank(word), best = -1;
    const char *list = d->efforts != NULL ? d->efforts : "";
    struct span known;
    while (wanted >= 0 && next_word(&list, &known)) {
        int rank = effort_rank(known);
        bool off = rank == 0;
        if (off != (wanted == 0))
            continue;
        if (best < 0 || rank <= wanted)
            best = rank;
    }
    return best >= 0 ? effort_words[best] : NULL;
}
