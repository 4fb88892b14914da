/* The client's side of a request: from the gate to libmicrohttpd's completed callback, the
 * only place where it dies.  What outlives it (the upstream call, the money) is struct
 * call; they point at each other and either may be NULL.
 *
 * Thread: its worker's loop thread only. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "router/identity.h"
#include "router/route.h"
#include "schema/buf.h"
#include "schema/id.h"
#include "server/shed.h"
#include "server/upload.h"
#include "server/worker.h"

enum {
    REQUEST_BODY_MAX = 32 * 1024 * 1024,
    REQUEST_REPLY_MAX = 64 * 1024 * 1024,
    REQUEST_REPLY_HEADERS_MAX = 48 * 1024,
    REQUEST_PIPE_MAX = 20 * 1024 * 1024, /* one edited event of 16 MiB; else little above HIGH */
    REQUEST_PIPE_HIGH = 256 * 1024,      /* the provider is paused above this */
    REQUEST_PIPE_LOW = 64 * 1024,        /* and read again below this */
    REQUEST_DRAIN_MAX = 1024 * 1024,     /* refused requests up to this size are read, so that the
                                            connection can be kept */
    REQUEST_RESERVE_MAX = 1024 * 1024,   /* of an announced body, before any of it is there */
    REQUEST_KEEP = 64 * 1024,            /* a pooled request keeps buffers up to this size */
    REQUEST_SHED_DRAIN_MAX = 64 * 1024,  /* as DRAIN_MAX, of those that are refused at once */
    REQUEST_DISCARD_MAX = 64 * 1024 * 1024, /* of a body that nobody wants */
    REQUEST_MAGIC = 0x77667271
};

struct MHD_Connection;
struct json_object;

struct route_row {
    const char *method; /* "GET" answers HEAD too where head_ok */
    const char *path;   /* exact, or a prefix when it ends with '/' and has a parameter */
    const char *suffix; /* with a parameter: what must follow it, "" = nothing */
    bool parameter;     /* the part between path and suffix is request->parameter */
    bool needs_key;
    bool has_body;
    bool bills; /* a provider may be paid: passes admission */
    /* Called once the body is there. Replies now, or parks the request and replies later. */
    void (*start)(struct request *r);
};

/* Bytes on their way to a streaming client. */
struct pipe {
    struct buf data;
    size_t read; /* consumed part of data */
    bool ended;  /* no more bytes will come */
    bool broken; /* end without the last chunk */
};

struct request {
    /* Kept, with their memory, from one request to the next. */
    struct request *next_free;
    struct buf body;
    struct buf headers;       /* of a copy, which has no connection: "Name: value\0" */
    struct buf reply_headers; /* likewise, always */
    struct buf reply_body;
    struct pipe pipe;
    char parameter[512]; /* of the path, unescaped */

    /* Zeroed for each request, from here on. */
    unsigned magic;
    struct worker *worker;
    struct front *front;
    struct MHD_Connection *conn; /* NULL: a copy for a shadow arm; what it is answered is dropped */
    const struct route_row *route;
    enum chat_door door;
    struct id id;
    int64_t begun_ms;          /* wall clock */
    const struct key_row *key; /* valid while `identity` is held */
    struct identity *identity;
    struct upload upload;
    struct shed_slot slot; /* in the load; a call that goes on alone takes it over */
    bool refused_early;    /* the reply was decided before the body: discard it */
    int linger_fd;         /* -1; a double of the socket, read on after a refusal */
    size_t discarded;      /* bytes of the body that were read and thrown away */
    bool started;          /* route->start was called */

    /* reply */
    bool replied; /* reply fields are final */
    bool queued;  /* handed to libmicrohttpd */
    bool streaming;
    bool close;        /* connection: close */
    int64_t drain_max; /* of a refused body: a larger one is not read, the connection is closed */
    bool crowd;        /* one refusal of many: counted, not logged each */
    int status;

    /* parking */
    bool parked;       /* suspended in libmicrohttpd */
    bool resuming;     /* resume was asked for, the handler has not run again yet */
    int64_t parked_ms; /* tick */
    struct request *park_prev, *park_next;
    uv_poll_t *watch; /* of a parked connection's descriptor, allocated apart */
    bool gone;        /* the client has left */

    struct call *call;         /* NULL: none, or it goes on alone */
    struct request **question; /* reader.c: its pointer to this request, cleared on death */
    bool report_body;          /* x-wayfare-report: body */
};

/* ---- for the api_*.c files ---- */
/* A header of the client's request; empty when absent. Valid while the request lives. */
struct span request_header(const struct request *r, const char *name);
/* Is it there, be it empty? */
bool request_has_header(const struct request *r, const char *name);
/* The session that a header names, the client's own first: Claude Code's; opencode and
 * OpenRouter's (x-session-id).  Empty when none does. */
struct span request_session(const struct request *r);
/* A query argument, NULL when absent. */
const char *request_query(const struct request *r, const char *name);
/* The servers that its Via names, and this one. */
void request_trail(const struct request *r, struct loop_trail *ret);
/* Takes the headers a provider may see. Spans live as long as the request; the joined beta
 * header is put into *beta (owned by the caller). */
void request_client_headers(const struct request *r, struct client_headers *ret, struct buf *beta);

/* Final answers. Each may be called once, from start() or later while parked. */
void request_add_header(struct request *r, const char *name, struct span value);
void request_reply(struct request *r, int status,
                   const char *content_type); /* body: r->reply_body */
/* 200 with the object, which is given up; refused where the load has no room for a long one. */
void request_reply_json(struct request *r, struct json_object *o);
void request_reply_fail(struct request *r, const struct fail *f);
/* As request_reply_fail, with members for the error object: `"availability":{...}` (no braces
 * around). */
void request_reply_fail_more(struct request *r, const struct fail *f, int64_t retry_after_ms,
                             struct span error_members);
/* Begins a stream: status and headers are fixed, bytes come through request_stream_write. */
void request_stream_begin(struct request *r, int status, const char *content_type);
/* false: the client does not keep up, pause the provider (the bytes were taken). */
bool request_stream_write(struct request *r, struct span bytes);
bool request_stream_full(const struct request *r);
void request_stream_end(struct request *r, bool broken);

/* Suspends the connection until a reply or stream bytes are there; only from start(). */
void request_park(struct request *r);

/* Error envelope of the door into out (no trailing newline). */
void request_write_error(const struct request *r, const struct fail *f, struct span error_members,
                         struct buf *out);

/* Tells the load what the request and its call keep in memory.  false: a body of unknown size is
 * more than the load allows. */
bool request_weigh(struct request *r);

/* The load has no place for it: f is what to answer. -1. */
int request_refuse_load(struct request *r, struct fail *f);

/* Writes a finished request's log line. */
void request_log(const struct request *r, int status, const char *detail);

/* ---- for http.c, stream.c and call_shadow.c ---- */
struct request *request_new(struct front *f, struct MHD_Connection *conn);
void request_free(struct request *r);
/* Frees what the pool keeps. */
void request_free_pool(struct worker *w);

#endif
