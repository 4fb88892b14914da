/* Signatures in the ids of tool calls: toolsig.h. */
#define _GNU_SOURCE /* memmem */
#include "schema/toolsig.h"

#include "schema/base64.h"
#include "schema/chat.h"

static const char mark[] = TOOLSIG_MARK;

enum { MARK_LEN = sizeof(mark) - 1, PREFIX_LEN = sizeof(THINKING_FOREIGN) - 1 };

/* "gemini:CiQB...": what stands in the base64. */
static bool is_named_signature(struct span s)
{
    size_t word = 0;
    while (word < s.len && ((s.ptr[word] >= 'a' && s.ptr[word] <= 'z') || s.ptr[word] == '-'))
        word++;
    if (word == 0 || s.len - word < 2 || s.ptr[word] != ':')
        return false;
    for (size_t i = word; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    }
    return true;
}

static void cut_to(struct buf *b, size_t len)
{
    b->len = len;
    b->ptr[len] = '\0';
}

/* Offset of the first mark; s.len: none. */
static size_t find_mark(struct span s)
{
    const char *at = s.len > 0 ? memmem(s.ptr, s.len, mark, MARK_LEN) : NULL;
    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

static bool is_own_form(struct span signature)
{
    return signature.len > PREFIX_LEN && signature.len <= TOOLSIG_MAX &&
           memcmp(signature.ptr, THINKING_FOREIGN, PREFIX_LEN) == 0 &&
           is_named_signature(
               (struct span){signature.ptr + PREFIX_LEN, signature.len - PREFIX_LEN});
}

bool toolsig_join(struct span id, struct span signature, struct buf *out)
{
    const size_t begin = out->len;
    buf_add_span(out, id);
    if (id.len == 0 || !is_own_form(signature) || !buf_adds(out, mark))
        return !out->failed;
    /* An id that itself holds the mark could not be told from its signature. */
    if (find_mark((struct span){out->ptr + begin, out->len - begin}) == id.len)
        base64url_add(out, (struct span){signature.ptr + PREFIX_LEN, signature.len - PREFIX_LEN});
    else
        cut_to(out, begin + id.len);
    return !out->failed;
}

bool toolsig_split(struct span id, struct span *ret_id, struct buf *ret_signature)
{
    *ret_id = id;
    const size_t at = find_mark(id), before = ret_signature->len;
    if (at == 0 || at == id.len || id.len - at > 2 * TOOLSIG_MAX)
        return !ret_signature->failed;
    buf_adds(ret_signature, THINKING_FOREIGN);
    struct span coded = {id.ptr + at + MARK_LEN, id.len - at - MARK_LEN};
    bool ours = base64url_read(ret_signature, coded);
    if (ret_signature->failed)
        return false;
    if (ours &&
        is_own_form((struct span){ret_signature->ptr + before, ret_signature->len - before}))
        *ret_id = (struct span){id.ptr, at};
    else
        cut_to(ret_signature, before);
    return true;
}
