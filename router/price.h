/* Prices and the arithmetic of one attempt.  Pico-USD per token or unit; a tier
 * applies to the whole request when the whole prompt is above its threshold, and
 * inherits what it does not name (docs/api.md "The catalog file"). Pure. */
#ifndef ROUTER_PRICE_H
#define ROUTER_PRICE_H

#include "schema/usage.h"

#define PRICE_ITEMS(I)                                                                             \
    I(prompt, MTOK)                                                                                \
    I(completion, MTOK)                                                                            \
    I(cache_read, MTOK)                                                                            \
    I(cache_write_5m, MTOK)                                                                        \
    I(cache_write_1h, MTOK)                                                                        \
    I(request, UNIT)                                                                               \
    I(image, UNIT)                                                                                 \
    I(web_search, UNIT)                                                                            \
    I(audio, MTOK) /* of the prompt */                                                             \
    I(audio_cache_read, MTOK)                                                                      \
    I(audio_completion, MTOK)

enum price_item {
#define I(name, scale) PRICE_##name,
    PRICE_ITEMS(I)
#undef I
        PRICE_ITEM_COUNT
};

enum { PRICE_TIERS_MAX = 8 };

/* -1 = not stated. */
struct rates {
    int64_t pusd[PRICE_ITEM_COUNT];
};

struct price {
    struct rates base;
    int n_tiers;
    struct {
        int64_t above_prompt_tok; /* applies when the prompt is strictly larger */
        struct rates rates;   /* only what differs; -1 = from the tier below, at last the base */
    } tiers[PRICE_TIERS_MAX]; /* ascending thresholds */
};

const char *price_item_name(enum price_item i);
int price_item_scale(enum price_item i); /* MONEY_SCALE_MTOK or MONEY_SCALE_UNIT */

/* True when prompt and completion are stated. */
bool price_is_routable(const struct price *p);
/* True when it is known what sound costs, in the prompt or in the answer (spoken): a price for it
 * is stated, or everything is free. */
bool price_covers_sound(const struct price *p, bool spoken);
/* The rates in force for a prompt of this size, fallbacks resolved: a missing cache
 * price is the prompt price, a missing request, image or search price is 0, and sound
 * without a price of its own costs what text does. */
struct rates price_at(const struct price *p, int64_t prompt_tok);
/* The threshold of the highest tier that such a prompt is in; 0 = the base price. */
int64_t price_tier(const struct price *p, int64_t prompt_tok);
/* The dearest value of each rate over all tiers a prompt of up to prompt_tok can reach. */
struct rates price_dearest(const struct price *p, int64_t prompt_tok);

/* Cost in pico-USD of one usage at its own tier.  n_images: images in the request
 * (0 when unknown); with_request_fee: add the request fee.  false on overflow. */
bool price_usage(const struct price *p, const struct usage *u, int n_images, bool with_request_fee,
                 int64_t *ret_pusd);

/* Looks up the price of an inner model by the provider's name for it; NULL = unknown,
 * then the endpoint's own price is used and *unknown_model is set. */
typedef const struct price *(*price_lookup)(void *ctx, const char *upstream_model);
/* Cost of a whole report: iterations each at their own model, else the total; request
 * fee and images once; searches from the total.  false on overflow. */
bool price_report(const struct price *p, const struct usage_report *r, int n_images,
                  price_lookup lookup, void *ctx, int64_t *ret_pusd, bool *ret_unknown_model);

#endif
