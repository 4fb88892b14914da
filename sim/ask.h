/* One request while it is being answered: script, checks, faults and bill, whatever the protocol.
 */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include "sim/heard.h"
#include "sim/http_sim.h"
#include "sim/speech.h"
#include "sim/wire.h"

/* What the path says. */
struct call {
    const struct wire *wire;
    struct span model; /* percent-encoded; ptr NULL: it stands in the body */
    struct span query; /* of the target, without '?' */
    bool stream;       /* the path asks for a stream */
    bool count_only;
    bool event_stream; /* AWS framing around another protocol's events */
};

struct ask {
    struct conn *c;
    struct sim *sim;
    struct answer *answer;
    const struct http_request *http;
    const struct call *call;
    const struct wire *wire;
    const struct json_doc *doc;
    struct span model; /* without the script */
    struct script script;
    struct heard heard;
    struct speech speech;
    size_t event_at; /* where the event begins that is being written */
    bool replayed;   /* the recording's headers are all there is */
};

/* Answers a whole request into c->answer, not sealed. */
void ask_answer(struct conn *c, const struct http_request *r, const struct call *call);

/* Answers with an error of this protocol; returns false. */
bool ask_refuse(struct ask *k, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for whom no ask was begun. */
void ask_error(struct conn *c, const struct wire *wire, int status, const char *message);

/* A header unless the script has it. */
void ask_header(struct ask *k, const struct script *s, const char *name, struct span value);
/* "01SIM00000000000000000AB": prefix and 24 characters that seq makes. */
void ask_write_id(struct buf *out, const char *prefix, uint64_t seq);

#endif
