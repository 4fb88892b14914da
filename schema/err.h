/* Runtime errors as values.  Bugs are asserts; everything a user, a provider or
 * the disk can cause is one of the codes of errors.def, carried in a struct fail
 * together with a message for the person who reads it. */
#ifndef SCHEMA_ERR_H
#define SCHEMA_ERR_H

#include <stdbool.h>

enum err {
    ERR_OK = 0,
#define ERR(name, status, atype, otype, ocode, retry, text) ERR_##name,
#include "schema/errors.def"
#undef ERR
    ERR_COUNT_
};

enum err_retry { RETRY_NEVER, RETRY_LATER, RETRY_CALLER };

struct err_info {
    const char *name;
    int status; /* HTTP; the OpenAI door answers 503 where this says 529 */
    const char *anthropic_type;
    const char *openai_type;
    const char *openai_code; /* NULL = null */
    enum err_retry retry;
    const char *text;
};

enum { FAIL_TEXT_MAX = 512, FAIL_FIELD_MAX = 96 };

struct fail {
    enum err code;
    char field[FAIL_FIELD_MAX]; /* the request field at fault, or "" */
    char text[FAIL_TEXT_MAX];
};

/* Never NULL; asserts that code is in range and not ERR_OK. */
const struct err_info *err_info(enum err code);

/* A spend cap is in the way: what costs less may still fit. */
static inline bool err_is_cap(enum err code)
{
    return code == ERR_over_budget || code == ERR_budget_busy;
}

/* Fills *f (f may be NULL) and returns -1, so that a caller can write
 * `return fail_set(f, ERR_bad_request, "max_tokens", "max_tokens must be ...");`
 * field may be NULL.  Text that does not fit is cut. */
int fail_set(struct fail *f, enum err code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
