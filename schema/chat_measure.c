/* What both doors measure a prompt with: sizes of text, and the prefixes that a provider may
 * hold in its cache.  Shapes are not judged, that is the provider's part: what is not known
 * counts with its bytes, so that an estimate of the cost errs upwards. */
#define _GNU_SOURCE /* memmem */
#include "schema/chat_reader.h"
#include "schema/json_path.h"
#include "schema/toolsig.h"

/* ---- sizes ---- */

static const uint64_t ones = UINT64_C(0x0101010101010101);

/* UTF-8 continuation bytes in up to 255 words: each byte of the sum counts one lane. */
static size_t count_continuation(const char *p, size_t n_words)
{
    uint64_t lanes = 0;
    for (size_t i = 0; i < n_words; i++) {
        uint64_t w;
        memcpy(&w, p + 8 * i, 8);
        lanes += (w >> 7) & ~(w >> 6) & ones;
    }
    const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
    uint64_t pairs = (lanes & even) + ((lanes >> 8) & even);
    return (size_t)((pairs * UINT64_C(0x0001000100010001)) >> 48);
}

static int64_t count_chars(struct span s)
{
    size_t i = 0, continuation = 0;
    while (s.len - i >= 8) {
        size_t n_words = (s.len - i) / 8 < 255 ? (s.len - i) / 8 : 255;
        continuation += count_continuation(s.ptr + i, n_words);
        i += 8 * n_words;
    }
    for (; i < s.len; i++)
        continuation += ((unsigned char)s.ptr[i] & 0xc0) == 0x80;
    return (int64_t)(s.len - continuation);
}

void chat_count_span(struct chat_reader *r, struct span s)
{
    r->chat->prompt_bytes += (int64_t)s.len;
    r->chat->prompt_chars += count_chars(s);
}

void chat_count_raw(struct chat_reader *r, json_ref v)
{
    chat_count_span(r, json_raw(r->doc, v));
}

/* Of a string that was counted as it is written: takes off what its escapes are longer
 * than the one character that each stands for. */
static void resolve_escapes(struct chat_reader *r, struct span written)
{
    const char *escape;
    while (written.len > 0 && (escape = memchr(written.ptr, '\\', written.len)) != NULL) {
        written.len -= (size_t)(escape - written.ptr);
        written.ptr = escape;
        if (escape[1] != 'u') {
            written.ptr += 2;
            written.len -= 2;
            r->chat->prompt_bytes--;
            r->chat->prompt_chars--;
            continue;
        }
        char store[4];
        struct span character;
        /* readers replace a lone surrogate */
        if (!json_stretch(&written, store, &character))
            character = SPAN("\xef\xbf\xbd");
        int64_t length = written.ptr - escape;
        r->chat->prompt_bytes -= length - (int64_t)character.len;
        r->chat->prompt_chars -= length - 1;
    }
}

void chat_count_text(struct chat_reader *r, json_ref v)
{
    if (v == JSON_NONE || json_kind(r->doc, v) == JSON_NULL)
        return;
    if (json_kind(r->doc, v) != JSON_STRING) {
        chat_count_raw(r, v);
        return;
    }
    struct span written = json_inner(r->doc, v);
    chat_count_span(r, written);
    if (json_at(r->doc, v)->escaped) {
        int64_t before = r->chat->prompt_bytes;
        resolve_escapes(r, written);
        r->resolved_bytes += before - r->chat->prompt_bytes;
    }
}

/* Four base64 characters are three bytes. */
int64_t chat_decoded_size(const struct json_doc *d, json_ref data)
{
    if (data == JSON_NONE || json_kind(d, data) != JSON_STRING)
        return 0;
    return (int64_t)(json_inner(d, data).len / 4 * 3);
}

void chat_note_signature(struct chat_reader *r, json_ref signature)
{
    struct span prefix = SPAN(THINKING_FOREIGN);
    if (signature == JSON_NONE || json_kind(r->doc, signature) != JSON_STRING)
        return;
    struct span s = json_inner(r->doc, signature);
    if (s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0)
        r->chat->foreign_thinking = true;
}

void chat_note_call_id(struct chat_reader *r, json_ref id)
{
    if (id == JSON_NONE || json_kind(r->doc, id) != JSON_STRING)
        return;
    struct span s = json_inner(r->doc, id);
    if (memmem(s.ptr, s.len, TOOLSIG_MARK, sizeof(TOOLSIG_MARK) - 1) != NULL)
        r->chat->foreign_thinking = true;
}

static int find_name(const struct json_doc *d, json_ref member, const char *const *names, int n)
{
    int i = 0;
    while (i < n && !json_key_is(d, member, names[i]))
        i++;
    return i;
}

int chat_split_object(struct chat_reader *r, json_ref object, const char *const *names, int n,
                      json_ref *ret_at)
{
    for (int i = 0; i < n; i++)
        ret_at[i] = JSON_NONE;
    if (json_kind(r->doc, object) != JSON_OBJECT) {
        chat_count_raw(r, object);
        return 0;
    }
    for (json_ref m = json_first(r->doc, object); m != JSON_NONE; m = json_next(r->doc, m)) {
        int i = find_name(r->doc, m, names, n);
        if (i == n) {
            chat_count_raw(r, m);
            continue;
        }
        if (ret_at[i] != JSON_NONE)
            return json_refuse_twice(r->doc, m, r->reterr);
        ret_at[i] = m;
    }
    return 0;
}

/* ---- prefixes ---- */

/* The bytes of a block without its own cache_control. */
void chat_digest_block(struct chat_reader *r, json_ref v)
{
    struct span raw = json_raw(r->doc, v);
    if (json_kind(r->doc, v) == JSON_STRING) {
        digest_add(&r->digest, SPAN("{\"type\":\"text\",\"text\":"));
        digest_add(&r->digest, raw);
        digest_add(&r->digest, SPAN("}"));
        return;
    }
    json_ref member = json_get(r->doc, v, "cache_control");
    if (member == JSON_NONE) {
        digest_add(&r->digest, raw);
        return;
    }
    struct json_cut cut;
    json_cut_members(r->doc, v, &member, 1, &cut);
    const char *text = r->doc->text.ptr;
    digest_add(&r->digest, (struct span){raw.ptr, (size_t)(text + cut.begin - raw.ptr)});
    digest_add(&r->digest,
               (struct span){text + cut.end, (size_t)(raw.ptr + raw.len - (text + cut.end))});
}

static void add_prefix(struct chat_reader *r, const struct chat_prefix *end)
{
    struct chat *c = r->chat;
    if (c->n_prefixes == CHAT_PREFIXES_MAX)
        return; /* the provider refuses more */
    c->prefixes[c->n_prefixes] = *end;
    c->prefixes[c->n_prefixes++].one_hour = r->one_hour;
    uint32_t n = r->n_ends < CHAT_LOOKBACK_MAX ? r->n_ends : CHAT_LOOKBACK_MAX;
    for (uint32_t i = 0; i < n; i++)
        c->lookback[i] = r->ends[(r->n_ends - 1 - i) % CHAT_LOOKBACK_MAX];
    c->n_lookback = (int)n;
}

/* A block of the prompt was read: what came before it and itself is a prefix. */
void chat_end_block(struct chat_reader *r)
{
    struct chat_prefix end = {digest_value(&r->digest), r->chat->prompt_bytes, false};
    if (r->marked)
        add_prefix(r, &end);
    r->ends[r->n_ends++ % CHAT_LOOKBACK_MAX] = end;
    r->marked = false;
    r->one_hour = false;
}

struct chat_prefix chat_last_end(const struct chat_reader *r)
{
    return r->n_ends > 0 ? r->ends[(r->n_ends - 1) % CHAT_LOOKBACK_MAX]
                         : (struct chat_prefix){.bytes = 0};
}

void chat_add_implicit_prefixes(struct chat_reader *r, const struct chat_prefix *instructions)
{
    if (r->chat->n_prefixes > 0 || r->n_ends == 0)
        return;
    /* The last end is the prompt itself, not a place to look back to. */
    struct chat_prefix prompt = r->ends[--r->n_ends % CHAT_LOOKBACK_MAX];
    if (instructions->bytes > 0 && instructions->hash != prompt.hash)
        add_prefix(r, instructions);
    add_prefix(r, &prompt);
}

int chat_mark_cache(struct chat_reader *r, json_ref cache_control)
{
    if (cache_control == JSON_NONE || json_kind(r->doc, cache_control) != JSON_OBJECT)
        return 0;
    json_ref ttl;
    if (json_get_once(r->doc, cache_control, "ttl", &ttl, r->reterr) != 0)
        return -1;
    r->marked = true;
    r->one_hour = json_text_is(r->doc, ttl, "1h");
    if (r->one_hour)
        r->chat->cache_write_1h = true;
    else
        r->chat->cache_write_5m = true;
    return 0;
}
