/* Providers that foreign price lists name only by a slug: where they are, what they speak.
 * Base URLs: each provider's API documentation (August 2026).  Who stops billing when a
 * stream is cancelled: openrouter.ai/docs/api-reference/streaming. */
#define _GNU_SOURCE
#include <strings.h>

#include "router/catalog_reader.h"

static const struct known_provider known[] = {
    {"anthropic", "Anthropic", "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY",
     AUTH_API_KEY, true, true},
    {"openrouter", "OpenRouter", "anthropic", "https://openrouter.ai/api", "OPENROUTER_API_KEY",
     AUTH_BEARER, false, false},
    {"deepseek", "DeepSeek", "anthropic", "https://api.deepseek.com/anthropic", "DEEPSEEK_API_KEY",
     AUTH_API_KEY, true, true},
    {"moonshot", "Moonshot AI", "anthropic", "https://api.moonshot.ai/anthropic",
     "MOONSHOT_API_KEY", AUTH_API_KEY, true, false},
    {"moonshotai", "Moonshot AI", "anthropic", "https://api.moonshot.ai/anthropic",
     "MOONSHOT_API_KEY", AUTH_API_KEY, true, false},
    {"zai", "Z.ai", "anthropic", "https://api.z.ai/api/anthropic", "ZAI_API_KEY", AUTH_API_KEY,
     true, false},
    {"minimax", "MiniMax", "anthropic", "https://api.minimax.io/anthropic", "MINIMAX_API_KEY",
     AUTH_BEARER, true, false},
    {"openai", "OpenAI", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", AUTH_BEARER, true,
     true},
    {"gemini", "Google Gemini", "gemini", "https://generativelanguage.googleapis.com",
     "GEMINI_API_KEY", AUTH_API_KEY, true, false},
    {"google", "Google Gemini", "gemini", "https://generativelanguage.googleapis.com",
     "GEMINI_API_KEY", AUTH_API_KEY, true, false},
    {"groq", "Groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", AUTH_BEARER, false,
     false},
    {"mistral", "Mistral", "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", AUTH_BEARER,
     true, false},
    {"xai", "xAI", "openai", "https://api.x.ai/v1", "XAI_API_KEY", AUTH_BEARER, true, true},
    {"together_ai", "Together", "openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY",
     AUTH_BEARER, false, true},
    {"togetherai", "Together", "openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY",
     AUTH_BEARER, false, true},
    {"fireworks_ai", "Fireworks", "openai", "https://api.fireworks.ai/inference/v1",
     "FIREWORKS_API_KEY", AUTH_BEARER, false, true},
    {"fireworks-ai", "Fireworks", "openai", "https://api.fireworks.ai/inference/v1",
     "FIREWORKS_API_KEY", AUTH_BEARER, false, true},
    {"cerebras", "Cerebras", "openai", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY",
     AUTH_BEARER, false, true},
    {"perplexity", "Perplexity", "openai", "https://api.perplexity.ai", "PERPLEXITY_API_KEY",
     AUTH_BEARER, true, false},
    {"deepinfra", "DeepInfra", "openai", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY",
     AUTH_BEARER, false, true},
    {"nebius", "Nebius", "openai", "https://api.studio.nebius.com/v1", "NEBIUS_API_KEY",
     AUTH_BEARER, false, false},
    {"cohere", "Cohere", "openai", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY",
     AUTH_BEARER, true, true},
    {"bedrock", "Amazon Bedrock", "bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com",
     "AWS_BEARER_TOKEN_BEDROCK", AUTH_BEARER, false, false},
    {"amazon-bedrock", "Amazon Bedrock", "bedrock",
     "https://bedrock-runtime.us-east-1.amazonaws.com", "AWS_BEARER_TOKEN_BEDROCK", AUTH_BEARER,
     false, false},
    {"ollama", "Ollama", "openai", "http://127.0.0.1:11434/v1", NULL, AUTH_BEARER, false, true},
};

const struct known_provider *catalog_known_provider(struct span slug)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (span_is(slug, known[i].slug)) {
            return &known[i];
        }
    }
    return NULL;
}

struct provider_spec catalog_provider_spec(const char *slug, const char *name)
{
    const struct known_provider *k = catalog_known_provider(span_of(slug));
    struct provider_spec s = {.slug = slug,
                              .name = name != NULL ? name : slug,
                              .protocol = "openai",
                              .base_url = "",
                              .auth_type = AUTH_BEARER,
                              .collects = true,
                              .timeouts = TIMEOUTS_DEFAULT};
    if (k != NULL) {
        s.name = k->name;
        s.protocol = k->protocol;
        s.base_url = k->base_url;
        s.auth_type = k->auth_type;
        s.cancel_stops_billing = k->cancel_stops_billing;
        s.n_credentials = 1;
        s.credentials[0].kind = k->env != NULL ? CREDENTIAL_ENV : CREDENTIAL_NONE;
        s.credentials[0].ref = k->env != NULL ? k->env : "";
        if (strcmp(k->protocol, "bedrock") == 0) /* an API key, or the keys that AWS's tools know */
            s.credentials[s.n_credentials++] = (struct credential){
                .kind = CREDENTIAL_ENV,
                .ref = "AWS_ACCESS_KEY_ID:AWS_SECRET_ACCESS_KEY:AWS_SESSION_TOKEN"};
    }
    return s;
}
