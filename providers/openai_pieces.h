/* The blocks of an answer in the chat completions protocol, put into the order that replies have:
 * one block is open at a time (schema/reply.h), while on this wire text, thinking and the pieces of
 * parallel tool calls may come in any order.
 *
 * The first block is given out as it arrives; what belongs to a later one waits.  A block of text
 * ends when another begins, a tool call when its arguments are one whole object.  What arrives for
 * a call afterwards is dropped, but for an "{}" that was only the beginning (some servers send an
 * empty object first).
 *
 * Ownership: embedded in its owner, pieces_done frees.  Spans given to the sink live during the
 * callback. */
#ifndef PROVIDERS_OPENAI_PIECES_H
#define PROVIDERS_OPENAI_PIECES_H

#include "schema/reply.h"

enum {
    PIECES_CALLS_MAX = 1024,
    PIECES_NAME_MAX =
        64 * 1024, /* bytes of a tool's name, of a call's id (which may hold a signature) */
    PIECES_WAITING_MAX = 16 * 1024 * 1024 /* bytes of blocks that wait for an earlier one */
};

struct piece;
struct piece_source;

struct pieces {
    const struct reply_sink *sink;
    struct piece *first, *last;                 /* not closed yet, in order */
    struct piece *closed;                       /* calls that are over, latest first */
    struct piece_source *sources, *last_source; /* citations that wait for their text, in order */
    int n_calls;
    size_t waiting;
    bool refused;  /* the model refused in words */
    bool failed;   /* a limit was reached or memory is short: nothing more is given out */
    uint64_t seed; /* of ids that the server left out */
};

/* What a delta says about the call it belongs to. */
struct piece_key {
    bool has_index;
    int64_t index;
    struct span id, name; /* empty: not said */
    bool has_arguments;
};

void pieces_init(struct pieces *q, const struct reply_sink *sink);
void pieces_done(struct pieces *q);

/* Text of a block of this kind: text, thinking or refusal.  Empty text opens nothing. */
void pieces_text(struct pieces *q, enum reply_block block, struct span text);
/* Thinking of one entry of reasoning_details.  key: which one, so that two are kept apart; sign:
 * the entry without its text; final: it holds the maker's signature and is not replaced by one
 * that does not. */
void pieces_thinking(struct pieces *q, struct span text, int64_t key, struct span sign, bool final);
/* A block that comes whole: redacted thinking, an image. */
void pieces_whole(struct pieces *q, const struct reply *open);
/* Of the text that is open, else of the next one: OpenRouter says what was found before it is
 * cited. */
void pieces_cite(struct pieces *q, const struct reply_citation *c);
/* The call, a new one where none fits.  NULL: failed. */
struct piece *pieces_call(struct pieces *q, const struct piece_key *key);
void pieces_arguments(struct pieces *q, struct piece *call, struct span json);
/* Of a call: its maker's signature. */
void pieces_call_sign(struct pieces *q, struct piece *call, struct span signature);
/* Gives everything out and closes it. */
void pieces_end(struct pieces *q);

#endif
