/* A call to a provider while it is put together: what the adapters share.  The first failure is
 * kept; everything after it does nothing, so that an adapter looks at `ok` once, at the end.
 *
 * Operator's headers (catalog, provider_configs) win over every header set here but the
 * transport's own. */
#ifndef PROVIDERS_DRAFT_H
#define PROVIDERS_DRAFT_H

#include "providers/provider.h"

enum { DRAFT_HEADER_MAX = 16 * 1024 };

struct draft {
    struct upreq *up;
    const struct provider_target *target;
    struct fail *reterr;
    bool ok;
};

/* The operator's own header of that name, or NULL. */
const char *draft_extra_header(const struct draft *d, struct span name);
/* code: whose mistake it is when the value cannot be sent. */
void draft_header(struct draft *d, struct span name, struct span value, enum err code);
/* A header of ours, unless the operator configured the provider with another value. */
void draft_own_header(struct draft *d, const char *name, const char *value);
/* The target's secret.  header and scheme: the protocol's own way, for AUTH_API_KEY without a
 * header name: ("x-api-key", ""), ("authorization", "Bearer "). */
void draft_credential(struct draft *d, const char *header, const char *scheme);
/* content-type, accept, accept-encoding, user-agent, x-request-id, via. */
void draft_common_headers(struct draft *d, const char *accept);
/* The operator's headers, but those of the transport and `besides` (NULL: none). */
void draft_extra_headers(struct draft *d, const char *besides);
/* base_url and path; a base_url that ends in `version` ("/v1") already has it: then path loses it.
 */
void draft_url(struct draft *d, const char *version, const char *path);
/* The body, written by the adapter: moved into the call, *body is empty then.  A buffer that has
 * failed is the failure. */
void draft_body(struct draft *d, struct buf *body);
/* The client's body in pieces, with the upstream model in place of the value of `model`. */
void draft_pieces(struct draft *d, const struct chat *chat);

#endif
