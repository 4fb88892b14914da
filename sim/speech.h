/* What the simulated provider says: parts of text, thinking and tool calls, their tokens, why it
 * ends.  Planned once from script and request, then written by a protocol. */
#ifndef SIM_SPEECH_H
#define SIM_SPEECH_H

#include "sim/answer.h"
#include "sim/heard.h"

enum {
    SPEECH_TOKENS_DEFAULT = 32,
    SPEECH_TOKENS_MAX = 1000000,
    SPEECH_SEARCHES_MAX = 8, /* that are shown */
    SPEECH_CALLS_MAX = 16,
    SPEECH_PARTS_MAX = 1 + SPEECH_SEARCHES_MAX + 2 + SPEECH_CALLS_MAX
};

enum part_kind { PART_THINKING, PART_SEARCH, PART_TEXT, PART_REFUSAL, PART_TOOL };

/* Why it ends. */
enum said {
    SAID_ALL,
    SAID_LENGTH,
    SAID_SEQUENCE,
    SAID_CALL,
    SAID_REFUSED,
    SAID_PAUSED,
    SAID_COUNT
};

struct part {
    enum part_kind kind;
    int number; /* among those of its kind, from 0 */
    int64_t tokens;
    size_t pieces;    /* of about a token each; 0: nothing to read in it */
    struct span text; /* UTF-8; ptr NULL = made-up words.  The arguments of a call */
    struct span name; /* of a tool: as written in the request between its quotes */
};

struct speech {
    bool stream;
    int n;
    struct part parts[SPEECH_PARTS_MAX];
    int n_calls;
    enum said said;
    struct span said_as;  /* the protocol's own word, scripted; ptr NULL = the usual one */
    struct span sequence; /* SAID_SEQUENCE: which, UTF-8 */
    int64_t think_tok;    /* part of bill.output_tok */
    struct bill bill;
};

struct ask;

/* Plans k->speech but for its bill's input side. */
void speech_plan(struct ask *k);
const struct part *speech_find(const struct speech *s, enum part_kind kind);
/* Appends pieces from .. from + n as one JSON string. */
void speech_put(struct buf *out, const struct part *p, size_t from, size_t n);
static inline void speech_put_all(struct buf *out, const struct part *p)
{
    speech_put(out, p, 0, p->pieces);
}

/* Walks a part in events of event_tokens pieces: begin with {.part = p}. */
struct speech_walk {
    const struct part *part;
    size_t at, n;   /* this event's pieces */
    int64_t tokens; /* this event's */
    int64_t told;
};
/* false: the part is over. */
bool speech_next(const struct script *s, struct speech_walk *w);

/* The wire's word for why it ends: words[said], or what the script says. */
struct span speech_stop(const struct speech *s, const char *const words[SAID_COUNT]);

#endif
