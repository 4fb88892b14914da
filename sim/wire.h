/* One provider protocol of the simulator: how a request is read, and how an answer looks.  One
 * const struct wire each, in sim/<protocol>_wire.c or beside its reader; all share struct ask. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <stdbool.h>

#include "sim/answer.h"
#include "sim/http_parse.h"

struct ask;
struct cache_walk;

struct wire {
    const char *name;     /* in the witness log */
    const char *messages; /* the member that holds the turns */
    const char *content;  /* and in a turn what was said */
    const char *stream_type;
    const char *ping; /* what is sent while nothing else is due; NULL = nothing */
    /* Whether a request brings any credential; NULL = it need not. */
    bool (*has_credential)(const struct http_request *r);
    int no_credential_status;
    /* Reads k->doc into k->heard with the checks that the real provider makes.  false: refused
     * with ask_refuse. */
    bool (*read)(struct ask *k);
    /* Walks the prompt in its order, when its body holds cache_word.  NULL = no markers. */
    const char *cache_word;
    void (*walk)(struct cache_walk *w);
    /* Writes k->speech into k->answer, with marks: the whole body or the stream. */
    void (*write)(struct ask *k);
    /* The answer to a request that only counts; NULL = no path leads there. */
    void (*write_count)(struct ask *k, int64_t tokens);
    /* Appends an error to a stream that was cut, with its mark; type may have ptr NULL. */
    void (*write_error_event)(struct ask *k, struct span type, struct span message);
    void (*write_error)(struct buf *out, int status, struct span type, struct span message,
                        uint64_t seq);
    /* Headers of the provider's own; a scripted one of the same name takes their place. */
    void (*add_headers)(struct ask *k, const struct script *s);
};

extern const struct wire wire_anthropic, wire_openai, wire_azure, wire_gemini, wire_vertex,
    wire_vertex_claude, wire_converse, wire_invoke;

#endif
