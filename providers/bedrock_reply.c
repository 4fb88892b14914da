/* Reply events of bedrock_reply.h. */
#include "providers/bedrock_reply.h"

#include <stdlib.h>

#include "providers/bedrock.h"

#define IN_PLACE_OF_A_SURROGATE SPAN("\xef\xbf\xbd")

/* What waits for its turn, one behind the other in a block's buffer. */
struct kept {
    enum reply_kind kind; /* OPEN, DELTA, CLOSE */
    enum reply_block block;
    enum reply_delta delta;
    size_t id, name, text; /* lengths of what follows */
};

struct bedrock_block {
    struct bedrock_block *next;
    int64_t index;
    bool open, closed;
    enum reply_block kind;
    bool argued;          /* arguments were sent */
    struct buf signature; /* of thinking, so far */
    struct buf kept;
};

void bedrock_replies_init(struct bedrock_replies *r, const struct provider_reading *reading)
{
    *r = (struct bedrock_replies){.reading = reading};
    buf_init(&r->text, PROVIDER_BODY_MAX);
}

static void free_first(struct bedrock_replies *r)
{
    struct bedrock_block *b = r->first;
    r->first = b->next;
    if (r->first == NULL)
        r->last = NULL;
    r->n_blocks--;
    r->kept -= b->kept.len;
    buf_done(&b->signature);
    buf_done(&b->kept);
    free(b);
}

void bedrock_replies_done(struct bedrock_replies *r)
{
    while (r->first != NULL)
        free_first(r);
    buf_done(&r->text);
}

/* ---- what goes out ---- */

static bool is_deaf(const struct bedrock_replies *r)
{
    return r->reading->sink == NULL || r->over || r->failed;
}

static void emit(struct bedrock_replies *r, const struct reply *reply)
{
    if (is_deaf(r))
        return;
    r->over = reply->kind == REPLY_END || reply->kind == REPLY_ERROR;
    r->reading->sink->on_reply(r->reading->sink->ctx, reply);
}

static void keep(struct bedrock_replies *r, struct bedrock_block *b, const struct reply *reply)
{
    struct kept k = {reply->kind,   reply->block,    reply->delta,
                     reply->id.len, reply->name.len, reply->text.len};
    size_t before = b->kept.len;
    buf_add(&b->kept, &k, sizeof(k));
    buf_add_span(&b->kept, reply->id);
    buf_add_span(&b->kept, reply->name);
    buf_add_span(&b->kept, reply->text);
    r->kept += b->kept.len - before;
    r->failed = r->failed || b->kept.failed || r->kept > BEDROCK_KEPT_MAX;
}

static void send(struct bedrock_replies *r, struct bedrock_block *b, const struct reply *reply)
{
    if (b == r->first)
        emit(r, reply);
    else
        keep(r, b, reply);
}

/* Takes len bytes off *rest. */
static struct span take(struct span *rest, size_t len)
{
    struct span s = {rest->ptr, len};
    *rest = (struct span){rest->ptr + len, rest->len - len};
    return s;
}

static void send_kept(struct bedrock_replies *r, struct bedrock_block *b)
{
    struct span rest = buf_span(&b->kept);
    while (rest.len > 0) {
        struct kept k;
        memcpy(&k, take(&rest, sizeof(k)).ptr, sizeof(k));
        struct reply reply = {.kind = k.kind, .block = k.block, .delta = k.delta};
        reply.id = take(&rest, k.id);
        reply.name = take(&rest, k.name);
        reply.text = take(&rest, k.text);
        if (reply.kind == REPLY_OPEN && reply.block == REPLY_REDACTED) {
            reply.signature = reply.text;
            reply.text = (struct span){"", 0};
        }
        emit(r, &reply);
    }
}

/* The first block is complete: the next ones have their turn. */
static void advance(struct bedrock_replies *r)
{
    while (r->first != NULL && r->first->closed) {
        free_first(r);
        if (r->first != NULL) {
            send_kept(r, r->first);
            r->kept -= r->first->kept.len;
            buf_done(&r->first->kept);
        }
    }
}

/* ---- blocks ---- */

/* The block of this index that is not closed; made where there is none. */
static struct bedrock_block *block_at(struct bedrock_replies *r, int64_t index)
{
    for (struct bedrock_block *b = r->first; b != NULL; b = b->next) {
        if (b->index == index && !b->closed)
            return b;
    }
    struct bedrock_block *b = r->n_blocks < BEDROCK_WAITING_MAX ? calloc(1, sizeof(*b)) : NULL;
    if (b == NULL) {
        r->failed = true;
        return NULL;
    }
    b->index = index;
    buf_init(&b->signature, PROVIDER_EVENT_MAX);
    buf_init(&b->kept, BEDROCK_KEPT_MAX);
    if (r->last != NULL)
        r->last->next = b;
    else
        r->first = b;
    r->last = b;
    r->n_blocks++;
    return b;
}

static void delta(struct bedrock_replies *r, struct bedrock_block *b, enum reply_delta kind,
                  struct span text)
{
    if (text.len > 0)
        send(r, b,
             &(struct reply){.kind = REPLY_DELTA, .block = b->kind, .delta = kind, .text = text});
}

/* Thinking is signed last, with our mark before the maker's own signature, so that no other
 * provider is sent it. */
static void sign(struct bedrock_replies *r, struct bedrock_block *b)
{
    struct buf signature;
    buf_init(&signature, PROVIDER_EVENT_MAX);
    buf_adds(&signature, BEDROCK_THINKING);
    buf_add_span(&signature, buf_span(&b->signature));
    r->failed = r->failed || signature.failed || b->signature.failed;
    delta(r, b, DELTA_SIGNATURE, buf_span(&signature));
    buf_done(&signature);
    buf_reset(&b->signature);
}

static void close_kind(struct bedrock_replies *r, struct bedrock_block *b)
{
    if (!b->open)
        return;
    if (b->kind == REPLY_THINKING)
        sign(r, b);
    if (b->kind == REPLY_TOOL_CALL && !b->argued)
        delta(r, b, DELTA_ARGUMENTS, SPAN("{}"));
    send(r, b, &(struct reply){.kind = REPLY_CLOSE, .block = b->kind});
    b->open = false;
}

/* The block as one of this kind: what it was before is closed. */
static void open_kind(struct bedrock_replies *r, struct bedrock_block *b, const struct reply *open)
{
    close_kind(r, b);
    b->open = true;
    b->argued = false;
    b->kind = open->block;
    send(r, b, open);
}

static void be(struct bedrock_replies *r, struct bedrock_block *b, enum reply_block kind)
{
    if (!b->open || b->kind != kind)
        open_kind(r, b, &(struct reply){.kind = REPLY_OPEN, .block = kind});
}

static void close_block(struct bedrock_replies *r, struct bedrock_block *b)
{
    close_kind(r, b);
    b->closed = true;
    advance(r);
}

/* ---- reading values ---- */

static json_ref member(const struct json_doc *doc, json_ref object, const char *name)
{
    bool is_object = object != JSON_NONE && json_kind(doc, object) == JSON_OBJECT;
    return is_object ? json_get(doc, object, name) : JSON_NONE;
}

/* The first element; JSON_NONE also for what is no array. */
static json_ref first_of(const struct json_doc *doc, json_ref array)
{
    bool is_array = array != JSON_NONE && json_kind(doc, array) == JSON_ARRAY;
    return is_array ? json_first(doc, array) : JSON_NONE;
}

/* A string's value, where it stands or resolved in r->text; empty for what is no string.  Valid
 * until the next call that resolves into `into`. */
static struct span text_into(struct buf *into, const struct json_doc *doc, json_ref v)
{
    if (v == JSON_NONE || json_kind(doc, v) != JSON_STRING)
        return (struct span){"", 0};
    struct span written = json_inner(doc, v);
    if (!json_at(doc, v)->escaped)
        return written;
    buf_reset(into);
    while (written.len > 0) {
        char store[4];
        struct span part;
        buf_add_span(into, json_stretch(&written, store, &part) ? part : IN_PLACE_OF_A_SURROGATE);
    }
    return buf_span(into);
}

static struct span text_of(struct bedrock_replies *r, const struct json_doc *doc, json_ref v)
{
    struct span text = text_into(&r->text, doc, v);
    r->failed = r->failed || r->text.failed;
    return text;
}

static int64_t index_of(const struct json_doc *doc, json_ref object)
{
    int64_t index = 0;
    json_int64(doc, member(doc, object, "contentBlockIndex"), &index);
    return index;
}

/* The client's own name of a tool that had to be renamed for AWS. */
static struct span client_name(const struct bedrock_replies *r, struct span name)
{
    const struct dialog *d = r->reading->dialog;
    for (const struct dialog_tool *t = d != NULL ? d->first_tool : NULL; t != NULL; t = t->next) {
        char store[BEDROCK_NAME_MAX + 1];
        if (span_eq(bedrock_name(t->name, store), name))
            return t->name;
    }
    return name;
}

/* ---- content ---- */

/* A tool that Bedrock runs itself (web grounding): its call is none for the client. */
static bool is_server_tool(const struct json_doc *doc, json_ref use)
{
    json_ref type = member(doc, use, "type");
    return type != JSON_NONE && json_text_is(doc, type, "server_tool_use");
}

static bool open_call(struct bedrock_replies *r, struct bedrock_block *b,
                      const struct json_doc *doc, json_ref use)
{
    struct buf id;
    buf_init(&id, PROVIDER_EVENT_MAX);
    struct reply open = {.kind = REPLY_OPEN, .block = REPLY_TOOL_CALL};
    open.id = text_into(&id, doc, member(doc, use, "toolUseId"));
    open.name = client_name(r, text_of(r, doc, member(doc, use, "name")));
    bool ok = open.id.len > 0 && open.name.len > 0;
    if (ok) {
        open_kind(r, b, &open);
        r->called = true;
    }
    buf_done(&id);
    return ok;
}

static void add_redacted(struct bedrock_replies *r, struct bedrock_block *b, struct span data)
{
    struct buf marked;
    buf_init(&marked, PROVIDER_EVENT_MAX);
    buf_adds(&marked, BEDROCK_THINKING);
    buf_add_span(&marked, data);
    r->failed = r->failed || marked.failed;
    struct reply open = {.kind = REPLY_OPEN, .block = REPLY_REDACTED};
    /* Kept as text: there is one place for it. */
    if (b == r->first)
        open.signature = buf_span(&marked);
    else
        open.text = buf_span(&marked);
    open_kind(r, b, &open);
    close_kind(r, b);
    buf_done(&marked);
}

/* reasoningContent: {reasoningText: {text, signature}} in a body, {text}, {signature} in a stream;
 * {redactedContent} in both. */
static void add_reasoning(struct bedrock_replies *r, struct bedrock_block *b,
                          const struct json_doc *doc, json_ref content)
{
    json_ref inside = member(doc, content, "reasoningText");
    json_ref from = inside != JSON_NONE ? inside : content;
    json_ref redacted = member(doc, content, "redactedContent");
    if (redacted != JSON_NONE) {
        add_redacted(r, b, text_of(r, doc, redacted));
        return;
    }
    be(r, b, REPLY_THINKING);
    delta(r, b, DELTA_TEXT, text_of(r, doc, member(doc, from, "text")));
    buf_add_span(&b->signature, text_of(r, doc, member(doc, from, "signature")));
}

/* One citation; what it quotes is the first text of sourceContent. */
static void add_citation(struct bedrock_replies *r, struct bedrock_block *b,
                         const struct json_doc *doc, json_ref citation)
{
    if (b != r->first) /* the text it belongs to waits: only that is kept */
        return;
    struct buf url, title, quoted;
    buf_init(&url, PROVIDER_EVENT_MAX);
    buf_init(&title, PROVIDER_EVENT_MAX);
    buf_init(&quoted, PROVIDER_EVENT_MAX);
    json_ref location = member(doc, citation, "location");
    json_ref web = member(doc, location, "web");
    json_ref source = first_of(doc, member(doc, citation, "sourceContent"));
    json_ref from = web != JSON_NONE ? member(doc, web, "url") : member(doc, citation, "source");
    struct reply reply = {.kind = REPLY_DELTA, .block = REPLY_TEXT, .delta = DELTA_CITATION};
    reply.citation = (struct reply_citation){
        .url = text_into(&url, doc, from),
        .title = text_into(&title, doc, member(doc, citation, "title")),
        .quoted = text_into(&quoted, doc, member(doc, source, "text")),
        .json = json_raw(doc, citation),
        .json_of = BEDROCK_WORD,
    };
    be(r, b, REPLY_TEXT);
    emit(r, &reply);
    buf_done(&url);
    buf_done(&title);
    buf_done(&quoted);
}

static void add_arguments(struct bedrock_replies *r, struct bedrock_block *b, struct span json)
{
    if (!b->open || b->kind != REPLY_TOOL_CALL || json.len == 0)
        return;
    b->argued = true;
    delta(r, b, DELTA_ARGUMENTS, json);
}

/* ---- the stream ---- */

void bedrock_replies_start(struct bedrock_replies *r)
{
    if (!r->started)
        emit(r, &(struct reply){.kind = REPLY_START});
    r->started = true;
}

/* A stream of content that did not say that it starts is taken all the same. */
static struct bedrock_block *content_at(struct bedrock_replies *r, int64_t index)
{
    bedrock_replies_start(r);
    return is_deaf(r) || r->stopped ? NULL : block_at(r, index);
}

void bedrock_replies_block_start(struct bedrock_replies *r, const struct json_doc *doc,
                                 json_ref object)
{
    json_ref use = member(doc, member(doc, object, "start"), "toolUse");
    bool own = use != JSON_NONE && !is_server_tool(doc, use);
    struct bedrock_block *b = own ? content_at(r, index_of(doc, object)) : NULL;
    if (b != NULL && !open_call(r, b, doc, use))
        bedrock_replies_error(r, SPAN("malformed_tool_use"),
                              SPAN("the provider sent a tool call without id or name"));
}

void bedrock_replies_block_delta(struct bedrock_replies *r, const struct json_doc *doc,
                                 json_ref object)
{
    json_ref change = member(doc, object, "delta");
    json_ref text = member(doc, change, "text");
    json_ref use = member(doc, change, "toolUse");
    json_ref reasoning = member(doc, change, "reasoningContent");
    json_ref citation = member(doc, change, "citation");
    bool known =
        text != JSON_NONE || use != JSON_NONE || reasoning != JSON_NONE || citation != JSON_NONE;
    struct bedrock_block *b = known ? content_at(r, index_of(doc, object)) : NULL;
    if (b == NULL)
        return;
    if (use != JSON_NONE) {
        add_arguments(r, b, text_of(r, doc, member(doc, use, "input")));
    } else if (reasoning != JSON_NONE) {
        add_reasoning(r, b, doc, reasoning);
    } else if (citation != JSON_NONE) {
        add_citation(r, b, doc, citation);
    } else {
        be(r, b, REPLY_TEXT);
        delta(r, b, DELTA_TEXT, text_of(r, doc, text));
    }
}

void bedrock_replies_block_stop(struct bedrock_replies *r, const struct json_doc *doc,
                                json_ref object)
{
    int64_t index = index_of(doc, object);
    for (struct bedrock_block *b = r->first; b != NULL; b = b->next) {
        if (b->index == index && !b->closed) {
            close_block(r, b);
            return;
        }
    }
}

/* ---- the end ---- */

static const struct {
    const char *word;
    enum reply_stop stop;
    bool malformed; /* nothing of the answer can be relied on */
} stops[] = {
    {"end_turn", STOPPED_END, false},
    {"tool_use", STOPPED_TOOL, false},
    {"max_tokens", STOPPED_LENGTH, false},
    {"stop_sequence", STOPPED_SEQUENCE, false},
    {"guardrail_intervened", STOPPED_REFUSAL, false},
    {"content_filtered", STOPPED_REFUSAL, false},
    {"model_context_window_exceeded", STOPPED_CONTEXT, false},
    {"malformed_model_output", STOPPED_END, true},
    {"malformed_tool_use", STOPPED_END, true},
};

void bedrock_replies_stop(struct bedrock_replies *r, const struct json_doc *doc, json_ref object)
{
    struct reply reply = {.kind = REPLY_STOP, .stop = STOPPED_END};
    json_ref reason = member(doc, object, "stopReason");
    if (r->stopped)
        return;
    bedrock_replies_start(r);
    while (r->first != NULL)
        close_block(r, r->first);
    r->stopped = true;
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
        if (reason != JSON_NONE && json_text_is(doc, reason, stops[i].word)) {
            reply.stop = stops[i].stop;
            r->malformed = stops[i].malformed;
        }
    }
    if (reply.stop == STOPPED_END && r->called)
        reply.stop = STOPPED_TOOL;
    json_ref fields = member(doc, object, "additionalModelResponseFields");
    reply.stop_sequence = text_of(r, doc, member(doc, fields, "stop_sequence"));
    if (!r->malformed)
        emit(r, &reply);
}

void bedrock_replies_usage(struct bedrock_replies *r, const struct usage *usage)
{
    bedrock_replies_start(r);
    emit(r, &(struct reply){.kind = REPLY_USAGE, .usage = *usage, .reasoning_tok = -1});
}

void bedrock_replies_end(struct bedrock_replies *r)
{
    if (r->malformed)
        bedrock_replies_error(r, SPAN("malformed_model_output"),
                              SPAN("the model's output was malformed"));
    else if (r->stopped)
        emit(r, &(struct reply){.kind = REPLY_END});
}

/* ---- errors ---- */

void bedrock_set_error(struct reply_error *e, struct span type, struct span message)
{
    /* Names in headers begin with a capital, those in streams do not. */
    static const struct {
        const char *name;
        int http_status;
    } statuses[] = {
        {"hrottlingException", 429},           {"alidationException", 400},
        {"nternalServerException", 500},       {"erviceUnavailableException", 503},
        {"odelStreamErrorException", 424},     {"odelTimeoutException", 408},
        {"odelErrorException", 424},           {"odelNotReadyException", 429},
        {"ccessDeniedException", 403},         {"esourceNotFoundException", 404},
        {"erviceQuotaExceededException", 400},
    };
    *e = (struct reply_error){.type = type, .message = message};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]) && type.len > 0; i++) {
        if (span_is((struct span){type.ptr + 1, type.len - 1}, statuses[i].name))
            e->http_status = statuses[i].http_status;
    }
}

void bedrock_replies_error(struct bedrock_replies *r, struct span type, struct span message)
{
    struct reply reply = {.kind = REPLY_ERROR};
    bedrock_set_error(&reply.error, type, message);
    emit(r, &reply);
}

/* ---- a whole body ---- */

static void add_cited(struct bedrock_replies *r, struct bedrock_block *b,
                      const struct json_doc *doc, json_ref content)
{
    json_ref t = first_of(doc, member(doc, content, "content"));
    json_ref c = first_of(doc, member(doc, content, "citations"));
    be(r, b, REPLY_TEXT);
    for (; t != JSON_NONE; t = json_next(doc, t))
        delta(r, b, DELTA_TEXT, text_of(r, doc, member(doc, t, "text")));
    for (; c != JSON_NONE; c = json_next(doc, c))
        add_citation(r, b, doc, c);
}

static void add_raw(struct bedrock_replies *r, struct bedrock_block *b, struct span json)
{
    struct reply open = {.kind = REPLY_OPEN, .block = REPLY_RAW, .json = json};
    open.citation.json_of = BEDROCK_WORD;
    open_kind(r, b, &open);
}

static void add_block(struct bedrock_replies *r, const struct json_doc *doc, json_ref content,
                      int64_t index)
{
    struct bedrock_block *b = content_at(r, index);
    json_ref v;
    if (b == NULL)
        return;
    if ((v = member(doc, content, "text")) != JSON_NONE) {
        be(r, b, REPLY_TEXT);
        delta(r, b, DELTA_TEXT, text_of(r, doc, v));
    } else if ((v = member(doc, content, "toolUse")) != JSON_NONE && !is_server_tool(doc, v)) {
        json_ref input = member(doc, v, "input");
        bool object = input != JSON_NONE && json_kind(doc, input) == JSON_OBJECT;
        if (!open_call(r, b, doc, v))
            bedrock_replies_error(r, SPAN("malformed_tool_use"),
                                  SPAN("the provider sent a tool call without id or name"));
        else if (object)
            add_arguments(r, b, json_raw(doc, input));
    } else if ((v = member(doc, content, "reasoningContent")) != JSON_NONE) {
        add_reasoning(r, b, doc, v);
    } else if ((v = member(doc, content, "citationsContent")) != JSON_NONE) {
        add_cited(r, b, doc, v);
    } else {
        add_raw(r, b, json_raw(doc, content));
    }
    close_block(r, b);
}

void bedrock_replies_body(struct bedrock_replies *r, const struct json_doc *doc,
                          const struct usage *usage)
{
    json_ref message = member(doc, member(doc, 0, "output"), "message");
    json_ref content = first_of(doc, member(doc, message, "content"));
    bedrock_replies_start(r);
    for (int64_t index = 0; content != JSON_NONE; content = json_next(doc, content))
        add_block(r, doc, content, index++);
    bedrock_replies_stop(r, doc, 0);
    bedrock_replies_usage(r, usage);
    bedrock_replies_end(r);
}
