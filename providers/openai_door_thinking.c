/* What a model thought, as clients of OpenAI's protocol send it back: reasoning_details
 * (openrouter.ai/docs/use-cases/reasoning-tokens), which can hold signatures, or the plain text in
 * reasoning_content (DeepSeek) or reasoning (OpenRouter, Groq).  Our own answers carry all three;
 * one is read, the one that says most. */
#include "providers/openai_door.h"

/* An entry that is put together: clients that collect a stream keep one for every piece of it. */
struct thought {
    bool open;
    int64_t index;
    struct span signature; /* in the form of a dialog */
};

void openai_body_unsigned(struct openai_body *b, const struct openai_place *place, struct span text)
{
    if (text.len == 0)
        return;
    struct dialog_block *block = openai_body_add(b, place, BLOCK_THINKING);
    block->text = text;
    block->signature = SPAN(OPENAI_DOOR_SIGNATURE);
}

static void end_thought(struct openai_body *b, const struct openai_place *place, struct thought *t)
{
    if (t->open && (b->piece.len > 0 || t->signature.len > 0)) {
        struct dialog_block *block = openai_body_add(b, place, BLOCK_THINKING);
        block->text = openai_body_keep(b);
        block->signature = t->signature.len > 0 ? t->signature : SPAN(OPENAI_DOOR_SIGNATURE);
    }
    buf_reset(&b->piece);
    *t = (struct thought){.open = false};
}

static bool begins(struct span s, struct span with)
{
    return s.len >= with.len && memcmp(s.ptr, with.ptr, with.len) == 0;
}

/* The entry without its text, behind OPENAI_DOOR_SIGNATURE: what its maker needs to know it again.
 */
static struct span sign_with_entry(struct openai_body *b, json_ref entry, const char *text_name)
{
    struct span raw = json_raw(b->doc, entry), all = SPAN(OPENAI_DOOR_SIGNATURE);
    json_ref text = json_get(b->doc, entry, text_name);
    struct json_cut cut = {json_at(b->doc, entry)->end, json_at(b->doc, entry)->end};
    if (text != JSON_NONE)
        json_cut_members(b->doc, entry, &text, 1, &cut);
    const char *begin = b->doc->text.ptr + cut.begin, *end = b->doc->text.ptr + cut.end;
    size_t before = (size_t)(begin - raw.ptr), after = (size_t)(raw.ptr + raw.len - end);
    char *at = dialog_alloc(b->d, all.len + raw.len);
    if (at == NULL)
        return SPAN(OPENAI_DOOR_SIGNATURE);
    memcpy(at, all.ptr, all.len);
    memcpy(at + all.len, raw.ptr, before);
    memcpy(at + all.len + before, end, after);
    return (struct span){at, all.len + before + after};
}

static struct span sign_as(struct openai_body *b, struct span prefix, struct span own)
{
    char *at = dialog_alloc(b->d, prefix.len + own.len);
    if (at == NULL)
        return prefix;
    memcpy(at, prefix.ptr, prefix.len);
    memcpy(at + prefix.len, own.ptr, own.len);
    return (struct span){at, prefix.len + own.len};
}

/* Whose signature it is says its own beginning, where we wrote it, else the entry's format. */
static struct span signature_of(struct openai_body *b, json_ref entry, struct span own)
{
    struct span format = openai_body_text(b, entry, "format");
    if (begins(own, SPAN(THINKING_FOREIGN)) || format.len == 0 || span_is(format, "unknown") ||
        span_is(format, "anthropic-claude-v1"))
        return own;
    if (span_is(format, "google-gemini-v1"))
        return sign_as(b, SPAN(THINKING_FOREIGN "gemini:"), own);
    return sign_with_entry(b, entry, "text");
}

static void read_text(struct openai_body *b, const struct openai_place *place, json_ref entry,
                      struct thought *t)
{
    int64_t index = -1;
    struct span text = openai_body_text(b, entry, "text");
    struct span own = openai_body_text(b, entry, "signature");
    json_int64(b->doc, openai_body_get(b, entry, "index", ~0u, ""), &index);
    if (!t->open || t->index != index || t->signature.len > 0)
        end_thought(b, place, t);
    t->open = true;
    t->index = index;
    buf_add_span(&b->piece, text);
    if (own.len > 0)
        t->signature = signature_of(b, entry, own);
}

static void read_summary(struct openai_body *b, const struct openai_place *place, json_ref entry)
{
    struct span text = openai_body_text(b, entry, "summary");
    if (text.len == 0)
        return;
    struct dialog_block *block = openai_body_add(b, place, BLOCK_THINKING);
    block->text = text;
    block->signature = sign_with_entry(b, entry, "summary");
}

static void read_entry(struct openai_body *b, const struct openai_place *place, json_ref entry,
                       struct thought *t)
{
    if (json_kind(b->doc, entry) != JSON_OBJECT) {
        openai_body_refuse(b, entry, "an object with type");
        return;
    }
    json_ref type = openai_body_get(b, entry, "type", DOOR_KIND(STRING), "a string");
    if (json_text_is(b->doc, type, "reasoning.encrypted")) {
        struct span data = openai_body_text(b, entry, "data");
        end_thought(b, place, t);
        if (data.len > 0)
            openai_body_add(b, place, BLOCK_REDACTED)->signature = signature_of(b, entry, data);
    } else if (json_text_is(b->doc, type, "reasoning.summary")) {
        end_thought(b, place, t);
        read_summary(b, place, entry);
    } else {
        read_text(b, place, entry, t);
    }
}

/* Whether some block came of it. */
static bool read_details(struct openai_body *b, const struct openai_place *place, json_ref details)
{
    struct thought t = {.open = false};
    const struct dialog_block *before = openai_body_last(b, place);
    buf_reset(&b->piece);
    for (json_ref e = openai_body_first(b, details); e != JSON_NONE; e = json_next(b->doc, e))
        read_entry(b, place, e, &t);
    end_thought(b, place, &t);
    return openai_body_last(b, place) != before;
}

void openai_body_thinking(struct openai_body *b, const struct openai_place *place, json_ref message)
{
    json_ref details =
        openai_body_get(b, message, "reasoning_details", DOOR_KIND(ARRAY), "an array of objects");
    struct span content = openai_body_text(b, message, "reasoning_content");
    struct span plain = openai_body_text(b, message, "reasoning");
    if (!read_details(b, place, details))
        openai_body_unsigned(b, place, content.len > 0 ? content : plain);
}
