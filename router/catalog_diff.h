/* What an import changes of an entry, in words: "zdr true -> false, cache_read $0.03 -> none".  An
 * entry is replaced whole, so that what a file forgot to say is lost: whoever imports it must see
 * that.  Members are named as in the catalog file; of credentials only the references are told,
 * of headers only the names.  Pure. */
#ifndef ROUTER_CATALOG_DIFF_H
#define ROUTER_CATALOG_DIFF_H

#include "router/catalog.h"
#include "schema/money.h"

enum {
    DIFF_TEXT_MAX = 6 * 1024, /* for the buffer: what is longer is cut */
    DIFF_PRICE_MAX = 2 * MONEY_TEXT_MAX + 32
};

/* Append the changed members, with ", " between them; nothing when none changed. */
void diff_provider(const struct provider_row *was, const struct provider_row *is, struct buf *out);
/* Without the aliases that go away: each is news of its own. */
void diff_model(const struct model *was, const struct model *is, struct buf *out);
void diff_endpoint(const struct endpoint *was, const struct endpoint *is, struct buf *out);
/* Whether the model has this alias. */
bool diff_has_name(const struct model *m, const char *alias);

/* "$1 / $2 per million", or "unpriced". */
void diff_price_words(const struct price *p, char out[DIFF_PRICE_MAX]);

#endif
