/* Sums of what a request can become at most. */
#include "router/bound.h"

#include <string.h>

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- what stands in the request ---- */

/* What is told of tools that the provider runs belongs to the calls of the model (below). */
int64_t bound_around_tok(const struct chat *chat)
{
    const uint32_t formats = PARAM_BIT(PARAM_structured_outputs) | PARAM_BIT(PARAM_response_format);
    const struct chat_parts *p = &chat->parts;
    int64_t tok = BOUND_FRAME_TOK + (int64_t)p->n_messages * BOUND_MESSAGE_TOK;
    tok += (int64_t)p->n_blocks * BOUND_BLOCK_TOK + (int64_t)p->n_calls * BOUND_CALL_TOK;
    tok += chat->needs & NEED_TOOLS ? BOUND_TOOLS_TOK : 0;
    tok += (int64_t)p->n_tools * BOUND_TOOL_TOK + p->n_values * BOUND_VALUE_TOK;
    tok += (int64_t)p->n_known_tools * BOUND_KNOWN_TOOL_TOK;
    tok += chat->params & formats ? BOUND_FORMAT_TOK : 0;
    return tok + (int64_t)p->n_cited * BOUND_CITED_TOK + p->cited_bytes;
}

/* A chat that was not read from a body has no text but its prompt. */
static int64_t text_tok(const struct chat *chat)
{
    const struct chat_parts *p = &chat->parts;
    return max64(chat->prompt_bytes, p->text_bytes) + p->n_arguments * BOUND_ARGUMENT_TOK +
           bound_around_tok(chat);
}

static bool continues_thread(const struct chat *chat)
{
    return chat->pinned_field != NULL && strstr(chat->pinned_field, "previous_message") != NULL;
}

/* gpt-4o-mini bills 33 times the tokens that its images are, so that they cost what gpt-4o's do:
 * nor does a context limit them. */
static bool is_mini(const char *name)
{
    return name != NULL && strstr(name, "4o-mini") != NULL;
}

static bool inflates_images(const struct endpoint *e)
{
    return is_mini(e->upstream_model) || (e->model != NULL && is_mini(e->model->slug));
}

/* Azure has OpenAI's models under another protocol's word. */
static bool has_openai_images(const struct endpoint *e)
{
    const char *protocol = e->provider != NULL ? e->provider->protocol : "";
    return strcmp(protocol, "openai") == 0 || strcmp(protocol, "azure-openai") == 0;
}

static int64_t media_tok(const struct chat *chat, const struct endpoint *e)
{
    int64_t image = has_openai_images(e) ? BOUND_IMAGE_OPENAI_TOK : BOUND_IMAGE_TOK;
    int64_t document = inflates_images(e) ? BOUND_PAGES_OPENAI * image : BOUND_DOCUMENT_TOK;
    return chat->n_images * image + chat->n_documents * document + chat->document_bytes;
}

static int64_t other_tok(const struct chat *chat)
{
    const struct chat_parts *p = &chat->parts;
    int64_t tok = (int64_t)p->n_hosted * BOUND_HOSTED_TOOL_TOK;
    tok += (int64_t)p->n_toolsets * BOUND_TOOLSET_TOK + (int64_t)p->n_sounds * BOUND_SOUND_TOK;
    return tok + (continues_thread(chat) ? BOUND_THREAD_TOK : 0);
}

/* ---- what the provider's own tools find ---- */

static int64_t uses_of(const struct chat *chat, int64_t searches)
{
    int64_t named = min64(chat->parts.hosted_uses, BOUND_USES_MAX);
    int64_t free = (int64_t)chat->parts.n_hosted_free * BOUND_USES;
    return min64(min64(searches, BOUND_USES_MAX) + named + free, BOUND_USES_MAX);
}

static bool is_of(const char *type, const char *family)
{
    return strncmp(type, family, strlen(family)) == 0;
}

/* What a search for tools finds are definitions that the request holds; of pages the request may
 * say how much is read, about. */
static int64_t result_tok(const struct chat *chat)
{
    int64_t fetch = min64(chat->parts.fetch_tok, INT32_MAX);
    int64_t tok = fetch < 0 ? BOUND_PAGE_TOK : fetch + fetch / 4;
    for (int i = 0; i < chat->n_server_tools; i++) {
        const char *type = chat->server_tools[i];
        if (!is_of(type, "tool_search_") && !is_of(type, "web_fetch_"))
            tok = max64(tok, BOUND_RESULT_TOK);
    }
    return tok;
}

/* ---- rounds ---- */

int64_t bound_compacted_tok(const struct chat *chat, int64_t tok)
{
    return chat->parts.compacts && tok >= BOUND_COMPACT_MIN_TOK ? 2 * tok : tok;
}

/* One call of the model.  What is not text has no provable size but the endpoint's own: a prompt
 * over its context is refused by it.  The text itself is not cut to that: catalogs state contexts
 * that a beta header enlarges. */
static int64_t round_tok(const struct chat *chat, const struct endpoint *e, int64_t other)
{
    int64_t media = media_tok(chat, e), beyond = inflates_images(e) ? media : 0;
    int64_t read = other + media - beyond;
    read = e->context_length > 0 ? min64(read, e->context_length) : read;
    return bound_compacted_tok(chat, text_tok(chat) + read + beyond);
}

/* Dearest is that all results are there early: what is left over after one for each round comes in
 * the first. */
int64_t bound_prompt_tok(const struct chat *chat, const struct endpoint *e, int64_t searches,
                         int64_t completion_tok)
{
    int64_t uses = uses_of(chat, searches), rounds = min64(uses, BOUND_ROUNDS);
    int64_t other = other_tok(chat), result = result_tok(chat);
    int64_t answer = min64(completion_tok, INT32_MAX);
    int64_t tok = round_tok(chat, e, other);
    for (int64_t i = 1; i <= rounds; i++)
        tok += round_tok(chat, e, other + answer + (uses - rounds + i) * result);
    return tok;
}

int64_t bound_unlimited_tok(const struct chat *chat, int64_t searches)
{
    int64_t rounds = 1 + min64(uses_of(chat, searches), BOUND_ROUNDS);
    return chat->parts.predicted_bytes + (chat->parts.compacts ? rounds * BOUND_SUMMARY_TOK : 0);
}
