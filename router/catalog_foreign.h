/* One entry of a foreign price list, on its way into the builder: what the three foreign
 * readers share. Not for others. */
#ifndef ROUTER_CATALOG_FOREIGN_H
#define ROUTER_CATALOG_FOREIGN_H

#include "router/catalog_reader.h"

struct foreign {
    const char *path;          /* for notes */
    const char *provider;      /* slug */
    const char *provider_name; /* NULL = as known */
    const char *model_id;      /* unique in the catalog */
    const char *name;          /* NULL = model_id */
    const char *alias;         /* added when no other model has it; NULL = none */
    int64_t created_ms;
    bool rounded;       /* a price carried float noise */
    bool negative, bad; /* a price that cannot be taken */
    bool free;          /* a zero price is meant */
    struct endpoint_spec endpoint;
};

/* Reads one price member into rates; notes what is wrong in the entry's flags. */
void foreign_rate(struct catalog_reader *r, struct foreign *f, json_ref v, int scale,
                  enum price_item item, struct rates *rates);
/* Adds a tier; one that does not fit is noted. */
void foreign_tier(struct catalog_reader *r, struct foreign *f, int64_t above_prompt_tok,
                  const struct rates *rates);
/* Zero prices that mean unknown become missing; says so.  Adds provider (once), model and
 * endpoint. Nothing is added when the entry has to be refused. 0, or -1 on no memory. */
int foreign_add(struct catalog_reader *r, struct foreign *f);
/* Takes prices that cannot be meant out again (zero without a word of "free", far too high), makes
 * whole those that are only a surcharge, and says so. */
void foreign_judge_price(struct catalog_reader *r, struct foreign *f);
/* Adds the provider once: that it is there already is no error. 0, or -1 on no memory. */
int foreign_add_provider(struct catalog_reader *r, const struct foreign *f);
/* Adds the model, whose id is stronger than an alias of the same name.  1: refused, and said so;
 * -1: no memory. */
int foreign_add_model(struct catalog_reader *r, const char *path, const struct model_spec *m);
/* What our own format takes as a name: printable ASCII without spaces, shorter than size. */
bool foreign_name_ok(const char *name, size_t size);
/* Ends with ":free" or "-free". */
bool foreign_says_free(const char *id);
int64_t foreign_count(struct catalog_reader *r, json_ref object, const char *name);
bool foreign_true(struct catalog_reader *r, json_ref object, const char *name);

#endif
