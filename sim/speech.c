#define _GNU_SOURCE
/* Plans what is said, and gives it out in pieces of about a token. */
#include "sim/speech.h"

#include "sim/ask.h"
#include "sim/sample.h"

/* Words are JSON text already. */
static const char *const prose[] = {
    "the",        "provider",  "answers",     "with",         "words",
    "that",       "mean",      "nothing",     "but",          "cost",
    "exactly",    "what",      "they",        "say,",         "\\\"quoted\\\"",
    "tabs\\tand", "lines.\\n", "caf\xc3\xa9", "na\xc3\xafve", "\xf0\x9f\x90\x9a shell",
    "river",      "road",      "a",           "lamp",         "of",
    "glass",      "in",        "winter",      "light;",       "slowly",
    "turning"};
static const char *const thoughts[] = {"first",  "consider", "whether", "this",
                                       "holds,", "then",     "compare", "both",
                                       "sides",  "again",    "and",     "decide"};

enum {
    PROSE = sizeof(prose) / sizeof(prose[0]),
    THOUGHTS = sizeof(thoughts) / sizeof(thoughts[0])
};

static void put_words(struct buf *out, size_t from, size_t n, const char *const *words,
                      size_t n_words)
{
    buf_addc(out, '"');
    for (size_t i = from; i < from + n; i++) {
        if (i > 0)
            buf_addc(out, ' ');
        buf_adds(out, words[(i * 7 + i / n_words) % n_words]);
    }
    buf_addc(out, '"');
}

/* Start of the UTF-8 sequence that contains offset at. */
static size_t utf8_floor(struct span s, size_t at)
{
    if (at >= s.len)
        return s.len;
    while (at > 0 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* A text cut in pieces of about 4 bytes, as tokens are. */
static struct span text_piece(struct span s, size_t from, size_t n)
{
    size_t begin = utf8_floor(s, 4 * from);
    size_t end = utf8_floor(s, 4 * (from + n));
    return (struct span){s.ptr + begin, end - begin};
}

void speech_put(struct buf *out, const struct part *p, size_t from, size_t n)
{
    if (p->text.ptr != NULL)
        json_write_string(out, text_piece(p->text, from, n));
    else if (p->kind == PART_THINKING)
        put_words(out, from, n, thoughts, THOUGHTS);
    else
        put_words(out, from, n, prose, PROSE);
}

bool speech_next(const struct script *s, struct speech_walk *w)
{
    const struct part *p = w->part;
    size_t per_event = s->n[SCRIPT_event_tokens] > 0 ? (size_t)s->n[SCRIPT_event_tokens] : 1;
    w->at += w->n;
    if (w->at >= p->pieces)
        return false;
    w->n = p->pieces - w->at < per_event ? p->pieces - w->at : per_event;
    int64_t upto = p->tokens * (int64_t)(w->at + w->n) / (int64_t)p->pieces;
    w->tokens = upto - w->told;
    w->told = upto;
    return true;
}

const struct part *speech_find(const struct speech *s, enum part_kind kind)
{
    for (int i = 0; i < s->n; i++) {
        if (s->parts[i].kind == kind)
            return &s->parts[i];
    }
    return NULL;
}

struct span speech_stop(const struct speech *s, const char *const words[SAID_COUNT])
{
    return s->said_as.ptr != NULL ? s->said_as : span_of(words[s->said]);
}

/* Planning */

/* Scripts name the reason in Anthropic's words; what is none of them is the protocol's own. */
static void read_stop(struct ask *k)
{
    static const char *const words[SAID_COUNT] = {"end_turn", "max_tokens", "stop_sequence",
                                                  "tool_use", "refusal",    "pause_turn"};
    struct span word = k->script.s[SCRIPT_stop_reason];
    struct speech *s = &k->speech;
    if (word.ptr == NULL)
        return;
    for (int i = 0; i < SAID_COUNT; i++) {
        if (span_is(word, words[i])) {
            s->said = (enum said)i;
            s->sequence = SPAN("STOP");
            return;
        }
    }
    s->said_as = word;
}

/* The scripted text, or an example where the request asks for JSON.  The memory is the script's. */
static struct span planned_text(struct ask *k)
{
    struct span text = k->script.s[SCRIPT_text];
    if (text.ptr != NULL || k->heard.schema == JSON_NONE)
        return text;
    struct buf *out = k->script.arena;
    size_t begin = out->len;
    if (out->len < SCRIPT_TEXT_MAX / 2) /* spans into it must not move */
        sample_object(k->doc, k->heard.schema, out);
    return (struct span){out->ptr + begin, out->len - begin};
}

/* The text ends before the first stop sequence in it. */
static struct span stopped_text(struct ask *k, struct span text)
{
    struct buf *arena = k->script.arena;
    for (int i = 0; i < k->heard.n_stops && text.ptr != NULL; i++) {
        size_t begin = arena->len;
        if (arena->len >= SCRIPT_TEXT_MAX / 2 || !json_text(k->doc, k->heard.stops[i], arena))
            break;
        struct span stop = {arena->ptr + begin, arena->len - begin};
        const char *at = memmem(text.ptr, text.len, stop.ptr, stop.len);
        if (at == NULL || stop.len == 0)
            continue;
        text.len = (size_t)(at - text.ptr);
        k->speech.said = SAID_SEQUENCE;
        k->speech.sequence = stop;
    }
    return text;
}

static int count_calls(const struct ask *k)
{
    const struct heard *h = &k->heard;
    int64_t n = k->script.n[SCRIPT_tool];
    if (h->choice == CALL_NONE || h->n_tools == 0)
        return 0;
    if (n == 0 && (h->choice == CALL_ANY || h->choice == CALL_NAMED))
        n = 1;
    if (n > 1 && (h->no_parallel || h->choice == CALL_NAMED))
        n = 1;
    return n < SPEECH_CALLS_MAX ? (int)n : SPEECH_CALLS_MAX;
}

/* Which tool the i-th call is for: the named one, else one after the other.  -1: no such tool. */
static int pick_tool(const struct heard *h, int i)
{
    if (h->choice != CALL_NAMED)
        return i % h->n_tools;
    for (int t = 0; t < h->n_tools; t++) {
        if (span_eq(json_raw(h->doc, h->tools[t].name), json_raw(h->doc, h->choice_name)))
            return t;
    }
    return -1;
}

static struct part *add_part(struct speech *s, enum part_kind kind, int number, int64_t tokens)
{
    struct part *p = &s->parts[s->n++];
    *p = (struct part){.kind = kind, .number = number, .tokens = tokens, .pieces = (size_t)tokens};
    return p;
}

static void set_text(struct part *p, struct span text)
{
    p->text = text;
    p->pieces = (text.len + 3) / 4;
}

static void add_calls(struct ask *k, int n, int64_t tokens)
{
    struct speech *s = &k->speech;
    struct buf *out = &k->sim->scratch; /* may move while it grows: offsets first */
    size_t ends[SPEECH_CALLS_MAX];
    struct span scripted = k->script.s[SCRIPT_arguments];
    int first = s->n;
    buf_reset(out);
    for (int i = 0; i < n; i++) {
        int tool = pick_tool(&k->heard, i);
        if (tool < 0)
            return;
        struct part *p = add_part(s, PART_TOOL, i, (tokens * (i + 1)) / n - tokens * i / n);
        p->name = json_inner(k->doc, k->heard.tools[tool].name);
        if (scripted.ptr != NULL)
            buf_add_span(out, scripted);
        else
            sample_object(k->doc, k->heard.tools[tool].schema, out);
        ends[i] = out->len;
        s->n_calls++;
    }
    for (int i = 0; i < s->n_calls; i++) {
        size_t begin = i > 0 ? ends[i - 1] : 0;
        set_text(&s->parts[first + i], (struct span){out->ptr + begin, ends[i] - begin});
    }
}

static void add_text(struct ask *k, struct span text, int64_t tokens)
{
    struct speech *s = &k->speech;
    struct span refusal = k->script.s[SCRIPT_refusal];
    if (refusal.ptr != NULL) {
        set_text(add_part(s, PART_REFUSAL, 0, tokens), refusal);
        return;
    }
    if (tokens == 0)
        return;
    struct part *p = add_part(s, PART_TEXT, 0, tokens);
    if (text.ptr == NULL)
        return;
    set_text(p, text);
    if (s->said == SAID_LENGTH && (size_t)tokens < p->pieces)
        p->pieces = (size_t)tokens;
}

static int64_t planned_tokens(const struct ask *k, struct span text)
{
    int64_t out = text.ptr != NULL ? ((int64_t)text.len + 3) / 4 : SPEECH_TOKENS_DEFAULT;
    if (k->script.n[SCRIPT_output_tokens] >= 0)
        out = k->script.n[SCRIPT_output_tokens];
    return out < SPEECH_TOKENS_MAX ? out : SPEECH_TOKENS_MAX;
}

static void add_thinking(struct ask *k)
{
    struct part *p = add_part(&k->speech, PART_THINKING, 0, k->speech.think_tok);
    if (k->script.s[SCRIPT_thoughts].ptr != NULL)
        set_text(p, k->script.s[SCRIPT_thoughts]);
    if (k->heard.thinking_hidden)
        p->pieces = 0;
}

void speech_plan(struct ask *k)
{
    struct speech *s = &k->speech;
    int calls = count_calls(k);
    struct span text = stopped_text(k, planned_text(k));
    int64_t out = planned_tokens(k, text);
    if (calls > 0)
        s->said = SAID_CALL;
    if (k->heard.max_tokens >= 0 && k->heard.max_tokens < out) {
        out = k->heard.max_tokens;
        s->said = SAID_LENGTH;
    }
    read_stop(k);
    if (k->script.s[SCRIPT_refusal].ptr != NULL)
        s->said = SAID_REFUSED;
    bool thinking = k->heard.thinking;
    if (k->script.n[SCRIPT_thinking] >= 0)
        thinking = k->script.n[SCRIPT_thinking] > 0;
    s->think_tok = thinking && out > 0 ? (out + 3) / 4 : 0;
    int64_t tool_tok = calls > 0 && out > 0 ? (out - s->think_tok + 1) / 2 : 0;
    if (s->think_tok > 0)
        add_thinking(k);
    for (int64_t i = 0; i < s->bill.web_searches && i < SPEECH_SEARCHES_MAX; i++)
        add_part(s, PART_SEARCH, (int)i, 0);
    add_text(k, text, out - s->think_tok - tool_tok);
    if (tool_tok > 0)
        add_calls(k, calls, tool_tok);
    s->bill.output_tok = out;
}
