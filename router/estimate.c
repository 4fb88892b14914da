/* Sizes and costs of a request before it is sent. */
#include "router/estimate.h"

#include <assert.h>
#include <string.h>

#include "schema/money.h"

const char *estimate_known_word(enum estimate_known k)
{
    static const char *const WORDS[] = {
#define KNOWN(name, word) [ESTIMATE_BY_##name] = word,
        ESTIMATE_KNOWN(KNOWN)
#undef KNOWN
    };
    assert(k >= 0 && (size_t)k < sizeof(WORDS) / sizeof(WORDS[0]));
    return WORDS[k];
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t div_up(int64_t a, int64_t by)
{
    return a / by + (a % by != 0 ? 1 : 0);
}

/* A character of three bytes has two more than an ASCII one, so half of the surplus
 * counts the wide ones.  Two-byte alphabets come out between both, as they do in the
 * tokenizers. */
static int64_t text_tok(const struct chat *chat)
{
    int64_t chars = min64(chat->prompt_chars, chat->prompt_bytes);
    int64_t wide = min64((chat->prompt_bytes - chars) / 2, chars);
    return div_up(chars - wide, ESTIMATE_NARROW_CHARS_PER_TOK) +
           div_up(wide, ESTIMATE_WIDE_CHARS) * ESTIMATE_WIDE_TOK;
}

static int64_t search_bound(const struct chat *chat)
{
    return chat->web_search_uses < 0 ? ESTIMATE_SEARCHES_BOUND : chat->web_search_uses;
}

/* Searches that nobody asked for, at most and as a rule. */
static int64_t unasked_bound(const struct endpoint *e)
{
    return e->search == SEARCH_ASKED  ? 0
           : e->search == SEARCH_DEEP ? ESTIMATE_DEEP_SEARCHES_BOUND
                                      : ESTIMATE_SEARCHES_BOUND;
}

static int64_t search_expected(const struct chat *chat, const struct endpoint *e,
                               const struct estimate_expected *known)
{
    if (known->searches > 0)
        return known->searches;
    if (e->search == SEARCH_DEEP)
        return ESTIMATE_DEEP_SEARCHES;
    return min64(max64(search_bound(chat), unasked_bound(e)), ESTIMATE_SEARCHES);
}

/* What such searches read, where that is billed; the endpoint refuses what is over its context. */
static int64_t unasked_read_tok(const struct endpoint *e)
{
    if (e->search != SEARCH_READS && e->search != SEARCH_DEEP)
        return 0;
    int64_t tok = unasked_bound(e) * BOUND_RESULT_TOK;
    return e->context_length > 0 ? min64(tok, e->context_length) : tok;
}

int64_t estimate_raw_tok(const struct chat *chat)
{
    const struct chat_parts *p = &chat->parts;
    int64_t tok = ESTIMATE_FRAME_TOK + text_tok(chat);
    tok += (int64_t)p->n_messages * ESTIMATE_MESSAGE_TOK + (int64_t)p->n_blocks;
    tok += (int64_t)p->n_calls * ESTIMATE_CALL_TOK;
    if (chat->needs & NEED_TOOLS)
        tok += ESTIMATE_TOOLS_TOK;
    tok += (int64_t)p->n_known_tools * ESTIMATE_KNOWN_TOOL_TOK;
    tok += (int64_t)p->n_cited * ESTIMATE_CITED_TOK;
    tok += (int64_t)chat->n_images * ESTIMATE_IMAGE_TOK;
    tok += (int64_t)chat->n_documents * ESTIMATE_DOCUMENT_TOK +
           chat->document_bytes / ESTIMATE_DOCUMENT_BYTES_PER_TOK;
    return tok;
}

/* A limit of 0 is nothing at all to Anthropic (the prompt is cached and no more), and no limit to
 * others, some of which speak its protocol: expected is nothing, held is for no limit. */
static int64_t completion_bound(const struct chat *chat, const struct endpoint *e)
{
    if (chat->max_tokens > 0)
        return chat->max_tokens;
    if (e->max_completion_tokens > 0)
        return e->max_completion_tokens;
    if (e->context_length > 0)
        return min64(e->context_length, ESTIMATE_COMPLETION_BOUND_TOK);
    return ESTIMATE_COMPLETION_BOUND_TOK;
}

static int64_t scaled(int64_t tok, int64_t num, int64_t den)
{
    return tok < INT64_MAX / (num > 0 ? num : 1) ? tok * num / den : tok;
}

static void expect_prompt(const struct estimate_expected *known, struct estimate *est)
{
    est->prompt_tok = est->prompt_raw_tok;
    est->prompt_from = (struct estimate_source){ESTIMATE_BY_DEFAULT, 0};
    if (known->ratio > 0) {
        est->prompt_tok = max64(scaled(est->prompt_raw_tok, known->ratio, ESTIMATE_RATIO_ONE), 1);
        est->prompt_from = known->ratio_from;
    }
    est->prompt_tok = min64(est->prompt_tok, est->prompt_bound_tok);
}

static void expect_completion(const struct chat *chat, const struct estimate_expected *known,
                              struct estimate *est)
{
    est->completion_tok = ESTIMATE_COMPLETION_TOK;
    est->completion_from = (struct estimate_source){ESTIMATE_BY_DEFAULT, 0};
    if (known->completion_tok > 0) {
        est->completion_tok = known->completion_tok;
        est->completion_from = known->completion_from;
    }
    est->completion_tok = min64(est->completion_tok, est->completion_bound_tok);
    if (chat->max_tokens == 0)
        est->completion_tok = 0;
}

/* ---- the cache ---- */

bool estimate_bills_writes(const struct chat *chat, const struct endpoint *e)
{
    const struct rates *r = &e->price.base;
    return (chat->cache_write_5m || chat->cache_write_1h) &&
           (r->pusd[PRICE_cache_write_5m] >= 0 || r->pusd[PRICE_cache_write_1h] >= 0);
}

bool estimate_hour_writes(const struct chat *chat, const struct endpoint *e)
{
    const struct rates r = price_at(&e->price, 0);
    return chat->cache_write_1h && r.pusd[PRICE_cache_write_1h] >= r.pusd[PRICE_cache_write_5m];
}

bool estimate_caches_by_itself(const struct endpoint *e)
{
    const struct rates *r = &e->price.base;
    return r->pusd[PRICE_cache_write_5m] < 0 && r->pusd[PRICE_cache_write_1h] < 0 &&
           r->pusd[PRICE_cache_read] >= 0 && r->pusd[PRICE_cache_read] < r->pusd[PRICE_prompt];
}

bool estimate_is_warm(const struct estimate *est)
{
    return est->read_tok > 0 && est->cache.hit_ppm >= ESTIMATE_WARM_PPM;
}

/* Up to where a request tells the endpoint to cache, in tokens: the part that is kept an hour
 * comes first (Anthropic's rule for requests with both). */
struct marked {
    int64_t hour_tok, all_tok;
};

static int64_t prefix_tok(const struct chat *chat, const struct chat_prefix *p, int64_t prompt_tok)
{
    return chat->prompt_bytes > 0
               ? scaled(prompt_tok, min64(p->bytes, chat->prompt_bytes), chat->prompt_bytes)
               : 0;
}

static struct marked marked_of(const struct chat *chat, int64_t prompt_tok)
{
    struct marked m = {0, 0};
    for (int i = 0; i < chat->n_prefixes; i++) {
        int64_t tok = prefix_tok(chat, &chat->prefixes[i], prompt_tok);
        m.all_tok = max64(m.all_tok, tok);
        if (chat->prefixes[i].one_hour)
            m.hour_tok = max64(m.hour_tok, tok);
    }
    return m.all_tok < ESTIMATE_CACHE_MIN_TOK ? (struct marked){0, 0} : m;
}

/* The mean of a hit, after which only what is new is written, and of a miss, when all is. */
static int64_t mean_written(int64_t from_tok, int64_t to_tok, const struct estimate_cache *cache)
{
    int64_t cold = max64(to_tok - from_tok, 0);
    int64_t warm = max64(to_tok - max64(from_tok, cache->tok), 0);
    return warm + scaled(cold - warm, ESTIMATE_SURE - cache->hit_ppm, ESTIMATE_SURE);
}

static void expect_cache(const struct chat *chat, const struct endpoint *e,
                         const struct estimate_cache *cache, struct estimate *est)
{
    est->cache = *cache;
    est->cache.tok = min64(max64(cache->tok, 0), est->prompt_tok);
    est->cache.hit_ppm = est->cache.tok > 0 ? min64(max64(cache->hit_ppm, 0), ESTIMATE_SURE) : 0;
    est->read_tok = scaled(est->cache.tok, est->cache.hit_ppm, ESTIMATE_SURE);
    est->write_5m_tok = est->write_1h_tok = 0;
    if (!estimate_bills_writes(chat, e))
        return;
    struct marked m = marked_of(chat, est->prompt_tok);
    if (!estimate_hour_writes(chat, e))
        m.hour_tok = 0;
    est->write_1h_tok = mean_written(0, m.hour_tok, &est->cache);
    est->write_5m_tok = mean_written(m.hour_tok, m.all_tok, &est->cache);
}

void estimate_make(const struct chat *chat, const struct endpoint *e,
                   const struct estimate_expected *expected, const struct estimate_cache *cache,
                   struct estimate *ret)
{
    static const struct estimate_cache COLD = {.tok = 0};
    static const struct estimate_expected NOTHING = {.ratio = 0};
    assert(chat->prompt_bytes >= 0 && chat->document_bytes >= 0);
    assert(chat->n_images >= 0 && chat->n_documents >= 0);
    ret->prompt_raw_tok = estimate_raw_tok(chat);
    ret->completion_bound_tok = completion_bound(chat, e);
    ret->unlimited_tok = bound_unlimited_tok(chat, search_bound(chat));
    ret->prompt_bound_tok =
        max64(bound_prompt_tok(chat, e, search_bound(chat), ret->completion_bound_tok),
              ret->prompt_raw_tok) +
        unasked_read_tok(e);
    const struct estimate_expected *known = expected != NULL ? expected : &NOTHING;
    expect_prompt(known, ret);
    expect_completion(chat, known, ret);
    ret->searches = search_expected(chat, e, known);
    expect_cache(chat, e, cache != NULL ? cache : &COLD, ret);
    ret->completion_hold_tok = ret->completion_bound_tok;
    ret->text_ratio = ESTIMATE_RATIO_ONE;
}

int64_t estimate_least_prompt_tok(const struct estimate *est)
{
    return min64(est->prompt_raw_tok, est->prompt_tok);
}

enum estimate_class estimate_class(const struct chat *chat)
{
    const uint32_t not_text = NEED_SERVER_TOOLS | NEED_AUDIO;
    if (chat->n_images > 0 || chat->n_documents > 0 || chat->sounds || chat->needs & not_text ||
        chat->pinned_state[0] != '\0')
        return ESTIMATE_CLASS_NONE;
    int64_t surplus = chat->prompt_bytes - min64(chat->prompt_chars, chat->prompt_bytes);
    return surplus > chat->prompt_bytes / ESTIMATE_WIDE_SHARE ? ESTIMATE_CLASS_WIDE
                                                              : ESTIMATE_CLASS_NARROW;
}

enum estimate_class estimate_class_at(const struct chat *chat, const struct endpoint *e)
{
    return unasked_read_tok(e) > 0 ? ESTIMATE_CLASS_NONE : estimate_class(chat);
}

int64_t estimate_ratio(int64_t prompt_tok, int64_t estimate_tok)
{
    int64_t text = max64(prompt_tok - BOUND_FRAME_TOK, 0);
    if (estimate_tok <= 0 || text >= INT64_MAX / ESTIMATE_RATIO_ONE)
        return INT64_MAX;
    return div_up(text * ESTIMATE_RATIO_ONE, estimate_tok);
}

int64_t estimate_text_tok(const struct estimate *est, int64_t bytes)
{
    if (est->text_ratio == ESTIMATE_RATIO_ONE || bytes >= INT64_MAX / ESTIMATE_RATIO_ONE)
        return bytes;
    int64_t tok = div_up(bytes * est->text_ratio, ESTIMATE_RATIO_ONE) + BOUND_FRAME_TOK;
    return min64(tok, bytes);
}

/* Anthropic's models think when they are told to, some always; those of other protocols may think
 * without being asked and without showing it (OpenAI's reasoning models), as far as the catalog
 * tells which do. */
static bool may_think_unseen(const struct chat *chat, const struct endpoint *e)
{
    const uint32_t thinking = PARAM_BIT(PARAM_reasoning) | PARAM_BIT(PARAM_reasoning_effort) |
                              PARAM_BIT(PARAM_include_reasoning);
    if ((chat->params & thinking) != 0 || (e->rules & RULE_BIT(RULE_thinking_always)) != 0)
        return true;
    bool told = strcmp(e->provider->protocol, "anthropic") == 0;
    return !told && (e->params == 0 || (e->params & thinking) != 0);
}

bool estimate_speaks(const struct chat *chat, const struct endpoint *e)
{
    return chat->speaks && (strcmp(e->provider->protocol, "openai") == 0 ||
                            strcmp(e->provider->protocol, "azure-openai") == 0);
}

/* A hold may begin small only where all that is produced is seen while it is produced and the
 * provider stops, and stops billing, when it is cut off. */
static bool hold_can_grow(const struct chat *chat, const struct endpoint *e)
{
    return chat->max_tokens <= 0 && chat->stream && e->provider->cancel_stops_billing &&
           !may_think_unseen(chat, e) && !estimate_speaks(chat, e) && e->search != SEARCH_DEEP &&
           !(chat->needs & NEED_SERVER_TOOLS);
}

static void apply_to_completion(const struct chat *chat, const struct endpoint *e,
                                const struct estimate_learned *learned, struct estimate *est)
{
    int64_t first = learned->completion_tok > 0
                        ? max64(learned->completion_tok, ESTIMATE_FIRST_MIN_TOK)
                        : ESTIMATE_FIRST_TOK;
    if (learned->text_ratio > 0)
        est->text_ratio = min64(learned->text_ratio, ESTIMATE_RATIO_ONE);
    if (hold_can_grow(chat, e))
        est->completion_hold_tok = min64(first, est->completion_bound_tok);
}

static void apply_to_prompt(const struct chat *chat, const struct endpoint *e,
                            const struct estimate_learned *learned, struct estimate *est)
{
    enum estimate_class class = estimate_class_at(chat, e);
    if (class == ESTIMATE_CLASS_NONE || learned->ratio[class] <= 0)
        return;
    int64_t ratio = learned->ratio[class];
    if (est->prompt_raw_tok >= INT64_MAX / ratio)
        return;
    int64_t bound =
        div_up(est->prompt_raw_tok * ratio, ESTIMATE_RATIO_ONE) + bound_around_tok(chat);
    int64_t expected = max64(est->prompt_raw_tok, est->prompt_tok);
    bound = bound_compacted_tok(chat, max64(bound, expected));
    est->prompt_bound_tok = min64(est->prompt_bound_tok, bound);
}

void estimate_apply(const struct chat *chat, const struct endpoint *e,
                    const struct estimate_learned *learned, struct estimate *est)
{
    apply_to_prompt(chat, e, learned, est);
    apply_to_completion(chat, e, learned, est);
}

/* Sound may be in every token of an answer that is spoken, and of a prompt that has some. */
static int64_t completion_rate(const struct chat *chat, const struct endpoint *e,
                               const struct rates *r)
{
    int64_t text = r->pusd[PRICE_completion];
    return estimate_speaks(chat, e) ? max64(text, r->pusd[PRICE_audio_completion]) : text;
}

bool estimate_cost(const struct chat *chat, const struct endpoint *e, const struct estimate *est,
                   struct estimate_cost *ret)
{
    struct rates r = price_at(&e->price, est->prompt_tok);
    int64_t plain = est->prompt_tok - est->read_tok - est->write_5m_tok - est->write_1h_tok;
    int64_t sound = min64(chat->audio_bytes / ESTIMATE_DOCUMENT_BYTES_PER_TOK, plain);
    assert(plain >= 0);
    *ret = (struct estimate_cost){.above_prompt_tok = price_tier(&e->price, est->prompt_tok)};
    return money_add_product(&ret->prompt_pusd, r.pusd[PRICE_prompt], plain - sound) &&
           money_add_product(&ret->prompt_pusd, r.pusd[PRICE_audio], sound) &&
           money_add_product(&ret->cache_read_pusd, r.pusd[PRICE_cache_read], est->read_tok) &&
           money_add_product(&ret->cache_write_pusd, r.pusd[PRICE_cache_write_5m],
                             est->write_5m_tok) &&
           money_add_product(&ret->cache_write_pusd, r.pusd[PRICE_cache_write_1h],
                             est->write_1h_tok) &&
           money_add_product(&ret->completion_pusd, completion_rate(chat, e, &r),
                             est->completion_tok) &&
           money_add_product(&ret->fee_pusd, r.pusd[PRICE_web_search], est->searches) &&
           money_add_product(&ret->fee_pusd, r.pusd[PRICE_image], chat->n_images) &&
           money_add(&ret->fee_pusd, r.pusd[PRICE_request]);
}

int64_t estimate_expected_pusd(const struct chat *chat, const struct endpoint *e,
                               const struct estimate *est)
{
    struct estimate_cost c;
    int64_t pusd = 0;
    bool fits = estimate_cost(chat, e, est, &c) && money_add(&pusd, c.prompt_pusd) &&
                money_add(&pusd, c.cache_read_pusd) && money_add(&pusd, c.cache_write_pusd) &&
                money_add(&pusd, c.completion_pusd) && money_add(&pusd, c.fee_pusd);
    return fits ? pusd : INT64_MAX;
}

int64_t estimate_ahead_pusd(const struct chat *chat, const struct endpoint *e,
                            const struct estimate *est, const struct estimate_ahead *ahead)
{
    if (ahead->turns_milli <= 0 || est->prompt_tok > INT64_MAX - est->completion_tok)
        return 0;
    struct estimate next = *est;
    bool kept = est->prompt_tok >= ESTIMATE_CACHE_MIN_TOK;
    const struct estimate_cache cache = {.tok = kept ? est->prompt_tok : 0,
                                         .hit_ppm = ahead->keep_ppm};
    next.prompt_tok += est->completion_tok;
    expect_cache(chat, e, &cache, &next);
    int64_t turn_pusd = estimate_expected_pusd(chat, e, &next);
    return turn_pusd <= INT64_MAX / ahead->turns_milli ? turn_pusd * ahead->turns_milli / 1000
                                                       : INT64_MAX;
}

/* The rate that bounds every prompt token: a provider decides by itself what it writes to
 * its cache where the request asks for caching, and what it reads from it. */
static int64_t dearest_prompt_rate(const struct chat *chat, const struct rates *r)
{
    int64_t rate = max64(r->pusd[PRICE_prompt], r->pusd[PRICE_cache_read]);
    if (chat->cache_write_5m || chat->cache_write_1h) /* what is not divided may be either */
        rate = max64(rate, r->pusd[PRICE_cache_write_5m]);
    if (chat->cache_write_1h)
        rate = max64(rate, r->pusd[PRICE_cache_write_1h]);
    if (chat->sounds)
        rate = max64(rate, max64(r->pusd[PRICE_audio], r->pusd[PRICE_audio_cache_read]));
    return rate;
}

/* Everything but the completion that max_tokens limits; false on overflow. */
static bool worst_without_completion(const struct chat *chat, const struct endpoint *e,
                                     const struct rates *r, const struct estimate *est,
                                     int64_t *ret_pusd)
{
    int64_t pusd = 0, searches = max64(search_bound(chat), unasked_bound(e));
    int64_t thought = e->search == SEARCH_DEEP ? ESTIMATE_DEEP_THOUGHT_BOUND_TOK : 0;
    if (!money_add_product(&pusd, dearest_prompt_rate(chat, r), est->prompt_bound_tok) ||
        !money_add_product(&pusd, r->pusd[PRICE_completion], est->unlimited_tok) ||
        !money_add_product(&pusd, r->pusd[PRICE_web_search], searches) ||
        !money_add_product(&pusd, r->pusd[PRICE_completion], thought) ||
        !money_add_product(&pusd, r->pusd[PRICE_image], chat->n_images) ||
        !money_add(&pusd, r->pusd[PRICE_request]))
        return false;
    *ret_pusd = pusd;
    return true;
}

int64_t estimate_worst_nusd(const struct chat *chat, const struct endpoint *e,
                            const struct estimate *est)
{
    struct rates r = price_dearest(&e->price, est->prompt_bound_tok);
    int64_t pusd = 0;
    if (!worst_without_completion(chat, e, &r, est, &pusd) ||
        !money_add_product(&pusd, completion_rate(chat, e, &r), est->completion_bound_tok))
        return INT64_MAX;
    return money_charge_nusd(pusd);
}

int64_t estimate_fit_tok(const struct chat *chat, const struct endpoint *e,
                         const struct estimate *est, int64_t room_nusd)
{
    struct rates r = price_dearest(&e->price, est->prompt_bound_tok);
    int64_t fixed_pusd, rate = completion_rate(chat, e, &r);
    if (room_nusd < 0 || !worst_without_completion(chat, e, &r, est, &fixed_pusd))
        return -1;
    int64_t room_pusd = room_nusd > INT64_MAX / 1000 ? INT64_MAX : room_nusd * 1000;
    if (fixed_pusd > room_pusd)
        return -1;
    return rate > 0 ? (room_pusd - fixed_pusd) / rate : INT64_MAX;
}
