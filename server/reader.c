/* A question's life: asked on the loop, run on a pool thread, answered on the loop.  The
 * question finds its request again by id, since that may have died. */
#define _GNU_SOURCE
#include "server/reader.h"

#include <stdlib.h>

#include "server/http.h"

struct question {
    uv_work_t work;
    struct worker *worker;
    struct request *request; /* only compared and used when still linked */
    reader_fn fn;
    bool writes;
    struct reader_question q;
    struct json_object *answer;
    struct fail fail;
    int failed;
};

/* On the ledger thread. */
static int write_answer(struct db *db, void *arg)
{
    struct question *q = arg;
    q->failed = q->fn(db, &q->q, &q->answer, &q->fail);
    return q->failed;
}

static void tell(struct question *q)
{
    q->failed = 0;
    if (ledger_job(q->worker->site->ledger, write_answer, q) != 0 && q->failed == 0) {
        q->failed =
            fail_set(&q->fail, ERR_ledger_down, NULL, "%s", err_info(ERR_ledger_down)->text);
    }
}

static void on_pool(uv_work_t *work)
{
    struct question *q = work->data;
    struct site *site = q->worker->site;
    if (q->writes) {
        tell(q);
        return;
    }
    ledger_barrier(site->ledger); /* what was answered before is in the tables */
    q->q.ledger_ms = ledger_time(site->ledger, q->q.now_ms);
    pthread_mutex_lock(&site->reader_lock);
    q->failed = q->fn(site->reader, &q->q, &q->answer, &q->fail);
    db_rest(site->reader);
    pthread_mutex_unlock(&site->reader_lock);
}

static void on_loop(uv_work_t *work, int status)
{
    (void)status;
    struct question *q = work->data;
    struct request *r = q->request;
    q->worker->n_questions--;
    if (r != NULL) {
        r->question = NULL;
        if (q->failed != 0) {
            request_reply_fail(r, &q->fail);
        } else {
            request_reply_json(r, q->answer);
            q->answer = NULL;
        }
    }
    json_object_put(q->answer);
    free(q);
}

static void ask(struct request *r, reader_fn fn, const struct reader_question *asked, bool writes)
{
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL) {
        struct fail f;
        fail_set(&f, ERR_internal, NULL, "out of memory");
        request_reply_fail(r, &f);
        return;
    }
    q->worker = r->worker;
    q->request = r;
    q->fn = fn;
    q->q = *asked;
    q->writes = writes;
    q->work.data = q;
    r->question = &q->request;
    r->worker->n_questions++;
    uv_queue_work(&r->worker->uv, &q->work, on_pool, on_loop);
    request_park(r);
}

void reader_ask(struct request *r, reader_fn fn, const struct reader_question *q)
{
    ask(r, fn, q, false);
}

void reader_tell(struct request *r, reader_fn fn, const struct reader_question *q)
{
    ask(r, fn, q, true);
}
