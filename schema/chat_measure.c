/* What both doors measure a prompt with: sizes of text, and the prefixes that a provider may
 * hold in its cache.  Shapes are not judged, that is the provider's part: what is not known
 * counts with its bytes, so that an estimate of the cost errs upwards. */
#define _GNU_SOURCE /* memmem */
#include "schema/chat_reader.h"
#include "schema/json_block.h"
#include "schema/json_path.h"
#include "schema/toolsig.h"

/* ---- sizes ---- */

static int64_t count_chars(struct span s)
{
    size_t len = s.len, continuation = 0;
    while (s.len >= JSON_BLOCK) {
        struct json_block sum = {0};
        for (int n = 0; n < JSON_BLOCK_SUM_MAX && s.len >= JSON_BLOCK; n++) {
            sum = json_block_add(sum, json_block_match(json_block_load(s.ptr), 0xc0, 0x80));
            s.ptr += JSON_BLOCK;
            s.len -= JSON_BLOCK;
        }
        continuation += json_block_total(sum);
    }
    for (size_t i = 0; i < s.len; i++)
        continuation += ((unsigned char)s.ptr[i] & 0xc0) == 0x80;
    return (int64_t)(len - continuation);
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

/* What a string's escapes are longer than the characters that they stand for. */
struct surplus {
    int64_t bytes, chars;
    const char *low; /* where the second half of a surrogate pair would stand */
};

/* Of one \u escape, beside what any escape has: "\u00e9" is one character of two bytes.  Readers
 * replace a lone surrogate by U+FFFD. */
static void add_unicode(struct surplus *s, const char *escape)
{
    char a = escape[2], b = escape[3] | 0x20; /* digits stay, letters are lower case */
    bool surrogate = (a | 0x20) == 'd' && b >= '8';
    bool second = surrogate && b >= 'c' && escape == s->low;
    int64_t len = a != '0' || b >= '8' ? 3 : b != '0' || escape[4] >= '8' ? 2 : 1;
    s->bytes += second ? 4 : 5 - len;
    s->chars += second ? 5 : 4;
    s->low = surrogate && b < 'c' ? escape + 6 : NULL;
}

/* The 64 bytes from `at`, with zeros for what is not there. */
static struct json_block block_at(struct span s, size_t at)
{
    if (s.len - at >= JSON_BLOCK)
        return json_block_load(s.ptr + at);
    char rest[JSON_BLOCK] = {0};
    memcpy(rest, s.ptr + at, s.len - at);
    return json_block_load(rest);
}

static struct surplus count_surplus(struct span written)
{
    struct surplus sum = {0};
    uint64_t letter = 0; /* 1: the block begins with the letter of an escape */
    int64_t n = 0;
    for (size_t at = 0; at < written.len; at += JSON_BLOCK) {
        struct json_block b = block_at(written, at);
        uint64_t backslashes = json_block_bits(json_block_equal(b, '\\'));
        if ((backslashes | letter) == 0)
            continue;
        uint64_t escapes = json_block_escapes(backslashes & ~letter);
        uint64_t u = (escapes << 1 | letter) & json_block_bits(json_block_equal(b, 'u'));
        for (; u != 0; u &= u - 1)
            add_unicode(&sum, written.ptr + at + __builtin_ctzll(u) - 1);
        n += json_block_count(escapes);
        letter = escapes >> 63;
    }
    sum.bytes += n;
    sum.chars += n;
    return sum;
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
        struct surplus surplus = count_surplus(written);
        r->chat->prompt_bytes -= surplus.bytes;
        r->chat->prompt_chars -= surplus.chars;
        r->resolved_bytes += surplus.bytes;
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

void chat_end_message(struct chat_reader *r, json_ref message)
{
    struct chat *c = r->chat;
    json_ref role = json_get(r->doc, message, "role");
    if (c->talk == 0)
        c->talk = chat_last_end(r).hash;
    c->n_answers +=
        json_text_is(r->doc, role, "assistant") && json_next(r->doc, message) != JSON_NONE;
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
