/* A key's own records: generations and the key itself. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "router/identity_db.h"
#include "router/usage_db.h"
#include "server/api.h"
#include "server/call.h"
#include "server/reader.h"

static struct reader_question question_of(const struct request *r)
{
    return (struct reader_question){
        .team_id = r->key->team_id,
        .key_id = r->key->id,
        .now_ms = r->begun_ms,
        .limit = -1,
    };
}

static int read_generation(struct db *db, const struct reader_question *q, struct json_object **ret,
                           struct fail *reterr)
{
    return generation_db_get(db, &q->id, q->team_id, ret, reterr);
}

void api_generation(struct request *r)
{
    struct reader_question q = question_of(r);
    if (!id_parse(span_of(r->parameter), ID_PREFIX_GENERATION, &q.id)) {
        struct fail f;
        fail_set(&f, ERR_not_found, NULL, "a generation id is gen_ and 32 hex digits");
        request_reply_fail(r, &f);
        return;
    }
    reader_ask(r, read_generation, &q);
}

static int read_generations(struct db *db, const struct reader_question *q,
                            struct json_object **ret, struct fail *reterr)
{
    struct json_object *args = json_object_new_object();
    if (q->since[0] != '\0') {
        json_object_object_add(args, "since", json_object_new_string(q->since));
    }
    if (q->limit >= 0) {
        json_object_object_add(args, "limit", json_object_new_int64(q->limit));
    }
    int ok = generation_db_list(db, args, q->team_id, ret, reterr);
    json_object_put(args);
    return ok;
}

void api_generations(struct request *r)
{
    struct reader_question q = question_of(r);
    const char *since = request_query(r, "since"), *limit = request_query(r, "limit");
    char *end = NULL;
    snprintf(q.since, sizeof q.since, "%s", since != NULL ? since : "");
    if (limit != NULL && *limit != '\0') { /* empty is absent, as in ?since=&limit= */
        q.limit = strtoll(limit, &end, 10);
        if (*end != '\0' || q.limit < 1 || q.limit > 1000) {
            struct fail f;
            fail_set(&f, ERR_bad_request, "limit", "limit must be an integer from 1 to 1000");
            request_reply_fail(r, &f);
            return;
        }
    }
    reader_ask(r, read_generations, &q);
}

static int read_key(struct db *db, const struct reader_question *q, struct json_object **ret,
                    struct fail *reterr)
{
    struct json_object *rate = NULL, *used = json_object_new_object();
    int rc = key_db_show(db, q->key_id, q->ledger_ms, ret, reterr);
    for (int i = 0; i < RATE_LIMITS; i++) {
        json_object_object_add(used, rate_limit_name((enum rate_limit)i),
                               json_object_new_int64(q->used.n[i]));
    }
    if (rc == 0 && json_object_object_get_ex(*ret, "rate", &rate)) {
        json_object_object_add(rate, "used", used);
    } else {
        json_object_put(used);
    }
    return rc;
}

void api_key(struct request *r)
{
    struct reader_question q = question_of(r);
    call_limits_used(r, &q.used);
    reader_ask(r, read_key, &q);
}
