/* Bodies on their way in.  libmicrohttpd's timeout is for silence only, and ends it without a
 * word.  Here a body must make progress within the client timeout, and be there altogether within
 * that time and as long as its size takes at UPLOAD_KIB_PER_S, so that nobody lives by a byte
 * now and then; a client that is too slow gets its 408 (or the refusal it was to get).
 *
 * Thread: the worker's loop thread. */
#ifndef SERVER_UPLOAD_H
#define SERVER_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    UPLOAD_KIB_PER_S = 64,
    UPLOAD_LOOK_MS = 250 /* without progress: has its client left? */
};

struct worker;
struct request;

/* Lives in its request.  Zeroed: none. */
struct upload {
    struct upload *next, **prev; /* of the worker's list; prev NULL = not in it */
    struct request *request;
    int64_t begun_ms, progress_ms;
    int64_t announced; /* bytes; -1 = not known */
    int64_t received;
};

void upload_begin(struct request *r, int64_t announced);
void upload_progress(struct request *r, size_t bytes);
/* The body is complete, or the request dies. Without effect when there is none. */
void upload_end(struct request *r);
/* Sends the request's reply although its body is still coming in, and reads on for a moment so that
 * the client can read it; the caller closes the connection.  false: not under TLS. */
bool upload_answer(struct request *r);
/* Ends what is too slow. */
void upload_sweep(struct worker *w, int64_t now_ms);

#endif
