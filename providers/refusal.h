/* What an error status says of the credential that was asked with: a table of signs, since
 * providers say "your money is used up" with five different statuses.  Pure.
 *
 * Sources of the rows: platform.claude.com/docs/en/api/errors and anthropics/claude-code#38035 (a
 * usage limit of one's own is a 400 with the day it ends), platform.openai.com/docs/guides/
 * error-codes, openrouter.ai/docs/api-reference/errors, cloud.google.com/apis/design/errors
 * (ErrorInfo.reason). */
#ifndef PROVIDERS_REFUSAL_H
#define PROVIDERS_REFUSAL_H

#include <stdint.h>

#include "schema/span.h"

enum refusal_kind {
    REFUSAL_NONE,    /* says nothing of the credential */
    REFUSAL_LIMITED, /* too fast: this endpoint, this credential, for a while */
    REFUSAL_BARRED,  /* it may not use this endpoint */
    REFUSAL_INVALID, /* it is no credential of this provider (any more) */
    REFUSAL_SPENT    /* what it may spend is spent */
};

struct refusal {
    enum refusal_kind kind;
    int64_t reset_ms; /* REFUSAL_SPENT: wall clock when it is free again, -1 = nobody knows */
};

/* protocol: the catalog's word; body: of the error answer, any bytes. */
struct refusal refusal_read(const char *protocol, int http_status, struct span body,
                            int64_t now_ms);

#endif
