/* A provider's answer in the form that no protocol owns: a sequence of events.  A protocol's
 * reader makes it from bytes (a stream, or a whole body: the same events at once), a door's
 * writer makes from it what its client understands.
 *
 * Grammar, which readers keep whatever the provider sends and writers rely on:
 *
 *   START ( OPEN DELTA* CLOSE | USAGE )* STOP USAGE* END
 *
 * or any prefix of it followed by ERROR, or just cut.  One block is open at a time: pieces of
 * parallel tool calls that arrive interleaved are put in order by the reader.  The arguments of
 * a tool call, all DELTAs joined, are one JSON object ("{}" when the provider sent none).  An
 * answer that ends without STOP is broken; nobody makes one up.
 *
 * Ownership: spans live during the callback only.  Pure. */
#ifndef SCHEMA_REPLY_H
#define SCHEMA_REPLY_H

#include "schema/dialog.h"
#include "schema/usage.h"

enum reply_kind {
    REPLY_START, /* id, model, created_s */
    REPLY_OPEN,  /* block, and for it: id, name, media, signature (of redacted thinking; of a tool
                    call, where its maker gives one: for clients it goes into the id, toolsig.h) */
    REPLY_DELTA, /* delta, text */
    REPLY_CLOSE, /* signature of a tool call that came only now: too late for clients */
    REPLY_USAGE, /* usage, reasoning_tok: of the whole answer so far, cumulative */
    REPLY_STOP,  /* stop, stop_sequence */
    REPLY_END,   /* the protocol's own end */
    REPLY_ERROR  /* error: the provider reported it inside the answer; nothing follows */
};

enum reply_block {
    REPLY_TEXT,
    REPLY_THINKING,
    REPLY_REDACTED,
    REPLY_TOOL_CALL,
    REPLY_REFUSAL, /* OpenAI's refusal text */
    REPLY_IMAGE,   /* generated; media */
    REPLY_RAW      /* json: a block of one protocol alone (a server tool's call or result) */
};

enum reply_delta {
    DELTA_TEXT,      /* of text, thinking, refusal: whole UTF-8 characters */
    DELTA_ARGUMENTS, /* of a tool call: JSON text, cut anywhere but inside a character */
    DELTA_SIGNATURE, /* of thinking */
    DELTA_CITATION   /* citation, of a text */
};

/* Why the model stopped.  Words of the protocols: Anthropic, OpenAI, Gemini, Bedrock. */
enum reply_stop {
    STOPPED_END,      /* end_turn, stop, STOP */
    STOPPED_LENGTH,   /* max_tokens, length, MAX_TOKENS */
    STOPPED_SEQUENCE, /* stop_sequence, stop, STOP */
    STOPPED_TOOL,     /* tool_use, tool_calls */
    STOPPED_REFUSAL,  /* refusal, content_filter, SAFETY, guardrail_intervened */
    STOPPED_PAUSE,    /* pause_turn */
    STOPPED_CONTEXT   /* model_context_window_exceeded */
};

struct reply_citation {
    struct span url, title, quoted;
    struct span json;    /* as its maker wrote it */
    const char *json_of; /* catalog word of that protocol, static */
};

/* An error inside an answer, or the body of an error status. */
struct reply_error {
    int http_status;     /* as far as it is known, else 0 */
    struct span type;    /* the provider's word: "overloaded_error", "server_error", ... */
    struct span message; /* for people; may be empty */
};

struct reply {
    enum reply_kind kind;
    enum reply_block block; /* OPEN, DELTA, CLOSE */
    enum reply_delta delta;
    enum reply_stop stop;
    struct span id, model, name, text, signature, json, stop_sequence;
    int64_t created_s; /* 0 = not said */
    struct dialog_media media;
    struct reply_citation citation;
    struct usage usage;
    int64_t reasoning_tok; /* of the output tokens; -1 = not said */
    struct reply_error error;
};

/* Where a reader's events go. */
struct reply_sink {
    void (*on_reply)(void *ctx, const struct reply *r);
    void *ctx;
};

/* A whole answer, gathered from events: content as the blocks of one assistant message. */
struct reply_whole {
    struct dialog memory; /* owner of every span below; content is its only message's blocks */
    struct dialog_blocks content;
    struct buf piece; /* of the open block */
    struct span id, model, stop_sequence;
    int64_t created_s;
    bool started, stopped, ended, errored;
    enum reply_stop stop;
    struct usage usage;
    int64_t reasoning_tok;
    struct reply_error error;
    struct reply_citations {
        struct reply_cited {
            struct reply_cited *next;
            const struct dialog_block *block; /* the text it belongs to */
            struct reply_citation citation;
        } * first, *last;
    } citations;
};

void reply_whole_init(struct reply_whole *w);
void reply_whole_done(struct reply_whole *w);
/* false: memory is short or the answer is over DIALOG_MEMORY_MAX. */
bool reply_gather(struct reply_whole *w, const struct reply *r);

/* Checks the grammar above over a sequence, for tests and for debug builds of writers:
 * NULL, or what is wrong with r at this place.  state: zeroed at the beginning. */
struct reply_grammar {
    bool started, stopped, over, open;
    enum reply_block block;
};
const char *reply_check(struct reply_grammar *state, const struct reply *r);

const char *reply_stop_name(enum reply_stop s); /* "end", "length", ... for tests and logs */

#endif
