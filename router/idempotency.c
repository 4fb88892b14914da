/* What identifies a repeated request. */
#include "router/idempotency.h"

#include <string.h>

#include <openssl/evp.h>

static bool is_printable(struct span key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] < 0x20 || key.ptr[i] > 0x7e)
            return false;
    }
    return true;
}

/* head and body in one; head may be "". */
static bool digest(const char *head, struct span body, uint8_t ret[IDEMPOTENCY_HASH_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, head, strlen(head)) == 1 &&
              EVP_DigestUpdate(ctx, body.ptr, body.len) == 1 &&
              EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

int idempotency_read(struct span key, const char *door, struct span body, struct idempotency *ret,
                     struct fail *reterr)
{
    if (key.len < 1 || key.len > IDEMPOTENCY_KEY_MAX || !is_printable(key))
        return fail_set(reterr, ERR_bad_request, "Idempotency-Key",
                        "Idempotency-Key must be 1 to %d printable ASCII characters",
                        IDEMPOTENCY_KEY_MAX);
    struct idempotency i = {.given = true};
    if (!digest("", key, i.key_hash) || !digest(door, body, i.body_hash))
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    *ret = i;
    return 0;
}
