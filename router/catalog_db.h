/* The catalog's tables: loading a snapshot, merging an imported description. */
#ifndef ROUTER_CATALOG_DB_H
#define ROUTER_CATALOG_DB_H

#include "router/catalog.h"
#include "router/catalog_file.h"
#include "router/db.h"

/* NULL with reterr. */
struct catalog *catalog_db_load(struct db *db, secret_lookup lookup, void *ctx,
                                struct fail *reterr);
/* Grows with each change; a loop over it is how a server knows to reload. */
int64_t catalog_db_version(struct db *db);

/* A price version, in force or not.  ERR_not_found when there is none. */
int catalog_db_price(struct db *db, int64_t price_version, struct price *ret, struct fail *reterr);

/* Price versions that were looked up, for who looks many up: zeroed, then kept by the caller. */
enum { PRICE_PINS = 256 };
struct price_pins {
    struct {
        int64_t version; /* 0 = free */
        struct price price;
    } at[PRICE_PINS];
};
/* NULL: there is no such version (*ret_rc 0), or reterr (-1).  Valid until the next call. */
const struct price *catalog_db_pinned(struct db *db, struct price_pins *pins, int64_t version,
                                      int *ret_rc, struct fail *reterr);

struct catalog_changes {
    int added, changed, unchanged; /* endpoints */
    int providers_added, providers_changed, models_added, models_changed;
    int prices_added; /* new price versions */
};
/* Merges a description into the tables inside the caller's transaction: what the file names is
 * added or updated, what it does not name stays.  A changed price becomes a new version;
 * importing the same file twice changes nothing.  change(ctx, line) gets one line per
 * addition and change for people. */
int catalog_db_merge(struct db *db, const struct catalog *incoming,
                     void (*change)(void *ctx, const char *line), void *ctx,
                     struct catalog_changes *ret, struct fail *reterr);

/* Takes an endpoint out of the catalog, inside the caller's transaction: it has no price in force
 * any more (endpoint.price_id is NULL), and no snapshot that is loaded later contains it.  Its row
 * stays, and its price versions: the books refer to them.  The import of a file that someone wrote
 * brings it back, under the same id; a foreign list does not. */
int catalog_db_remove(struct db *db, int64_t endpoint_id, struct fail *reterr);

#endif
