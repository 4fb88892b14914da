/* Questions to the database from the data listener: run on libuv's thread pool over the one
 * reading connection, answered on the worker's loop.  What is to be written is run by the ledger
 * thread, a thread of the pool waits for it.  The request is parked meanwhile and
 * may be gone when the answer comes. */
#ifndef SERVER_READER_H
#define SERVER_READER_H

#include <json-c/json.h>

#include "router/rate.h"
#include "server/request.h"

struct reader_question {
    struct id id;
    int64_t team_id, key_id;
    int64_t now_ms, ledger_ms; /* ledger_ms: of reader_ask; ledger_time, when it is run */
    int64_t limit;
    struct rate_numbers used;
    char since[64];
    char metric[64]; /* of feedback */
    double value;
};

/* Fills *ret with the answer's JSON. On a pool thread with the reader's lock held, or on the ledger
 * thread. */
typedef int (*reader_fn)(struct db *db, const struct reader_question *q, struct json_object **ret,
                         struct fail *reterr);

/* Parks r and asks. q is copied. */
void reader_ask(struct request *r, reader_fn fn, const struct reader_question *q);
/* Likewise, in a transaction of the writing connection (ledger_job), which is committed when fn
 * returns 0. */
void reader_tell(struct request *r, reader_fn fn, const struct reader_question *q);

#endif
