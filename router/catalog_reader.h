/* What the readers of the four catalog formats share.  Not for others. */
#ifndef ROUTER_CATALOG_READER_H
#define ROUTER_CATALOG_READER_H

#include "router/catalog_file.h"
#include "router/price.h"
#include "schema/json.h"

struct catalog_reader {
    const struct json_doc *doc;
    struct catalog_builder *builder;
    catalog_note_fn note;
    void *ctx;
    struct fail *reterr;
    struct buf text; /* strings of the entry being read; reset between entries */
};

/* Strings of one entry, NUL-terminated, in r->text: pointers are valid until the reader's
 * next entry (the buffer is reserved once and never moves). NULL when it does not fit. */
const char *reader_text(struct catalog_reader *r, json_ref string);
const char *reader_span(struct catalog_reader *r, struct span s);
void reader_next_entry(struct catalog_reader *r);

/* Why a name of a model is refused that ends as requests say how to choose. */
#define CATALOG_SUFFIXED                                                                           \
    "ends in :floor or :nitro, which requests put behind a name: it could never be asked for"

/* -1 with "<path>: <reason>" (a wayfare file is all or nothing). */
int reader_refuse(struct catalog_reader *r, json_ref at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An integer in these limits, or -1 as reader_refuse. */
int reader_count(struct catalog_reader *r, json_ref v, int64_t least, int64_t most, int64_t *ret);
/* Tells about a foreign entry; refused: it is left out. */
void reader_note(struct catalog_reader *r, const char *path, bool refused, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A foreign price: the JSON number or numeric string at `v`, in USD of 10^-shift units (0: USD per
 * token or unit; 6: USD per million).  Pico-USD, rounded to the nearest when the source carries
 * more digits than a price has (binary noise of a float).  CATALOG_PRICE_NONE for null or none. */
enum catalog_price {
    CATALOG_PRICE_OK,
    CATALOG_PRICE_NONE,
    CATALOG_PRICE_NEGATIVE,
    CATALOG_PRICE_BAD
};
enum catalog_price reader_price(struct catalog_reader *r, json_ref v, int scale, int64_t *ret_pusd,
                                bool *ret_rounded);

enum { CATALOG_TOK_MAX = 1000000000 }; /* of limits and thresholds */

/* Adds a tier, keeping thresholds ascending. false when there is no room, or the threshold is
 * not from 1 to CATALOG_TOK_MAX. */
bool price_add_tier(struct price *p, int64_t above_prompt_tok, const struct rates *rates);
struct rates rates_none(void);

/* "pricing" of our own format: 0, or -1 as reader_refuse.  Then remarks on what looks wrong. */
int reader_pricing(struct catalog_reader *r, json_ref v, struct price *p);
void reader_note_prices(struct catalog_reader *r, json_ref endpoint, const struct price *p);

int catalog_read_wayfare(struct catalog_reader *r);
int catalog_read_litellm(struct catalog_reader *r);
int catalog_read_models_dev(struct catalog_reader *r);
int catalog_read_openrouter(struct catalog_reader *r);

/* What is known of a provider that a foreign list names only by its slug. */
struct known_provider {
    const char *slug, *name, *protocol, *base_url, *env;
    enum auth_type auth_type;
    bool author;               /* makes models: their bare names mean its own endpoints */
    bool cancel_stops_billing; /* openrouter.ai/docs/api-reference/streaming lists who stops */
};
/* NULL when it is not known. */
const struct known_provider *catalog_known_provider(struct span slug);
/* A spec for it, or for an unknown one (protocol openai, no base_url). slug must be kept by r. */
struct provider_spec catalog_provider_spec(const char *slug, const char *name);

#endif
