/* POST /v1/feedback: what came of a generation. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/experiment_db.h"
#include "schema/json_path.h"
#include "server/api.h"
#include "server/reader.h"

enum { NUMBER_MAX = 64, FEEDBACK_MEMBERS_MAX = 16 };
/* Either way.  Times in milliseconds since 1970 fit; the statistics square what they are told. */
#define FEEDBACK_VALUE_MAX 1e15
#define FEEDBACK_VALUES "a number from -1e15 to 1e15, true or false"

/* The shortest that is read back as the same. */
static struct json_object *number(double value)
{
    char text[NUMBER_MAX];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) {
        snprintf(text, sizeof text, "%.17g", value);
    }
    return json_object_new_double_s(value, text);
}

static int write_feedback(struct db *db, const struct reader_question *q, struct json_object **ret,
                          struct fail *reterr)
{
    char id[ID_TEXT_MAX];
    if (feedback_db_put(db, &q->id, q->team_id, q->metric, q->value, q->now_ms, reterr) != 0) {
        return -1;
    }
    *ret = json_object_new_object();
    json_object_object_add(*ret, "generation_id",
                           json_object_new_string(id_print(&q->id, ID_PREFIX_GENERATION, id)));
    json_object_object_add(*ret, "metric", json_object_new_string(q->metric));
    json_object_object_add(*ret, "value", number(q->value));
    return 0;
}

/* A number, or true and false for 1 and 0. */
static bool read_value(const struct json_doc *d, json_ref v, double *ret)
{
    char text[NUMBER_MAX];
    bool truth;
    if (json_truth(d, v, &truth)) {
        *ret = truth;
        return true;
    }
    struct span raw = json_raw(d, v);
    if (json_kind(d, v) != JSON_NUMBER || raw.len >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", (int)raw.len, raw.ptr);
    *ret = strtod(text, NULL);
    return fabs(*ret) <= FEEDBACK_VALUE_MAX;
}

static int read_member(const struct json_doc *d, const char *name, json_ref *ret, struct fail *f)
{
    if (json_get_once(d, 0, name, ret, f) != 0) {
        return -1;
    }
    return *ret != JSON_NONE ? 0 : fail_set(f, ERR_bad_request, name, "%s is required", name);
}

static int check_members(const struct json_doc *d, struct fail *f)
{
    static const char *const names[] = {"generation_id", "metric", "value"};
    if (json_kind(d, 0) != JSON_OBJECT) {
        return fail_set(f, ERR_bad_request, NULL,
                        "the body must be an object of generation_id, metric and value");
    }
    for (json_ref m = json_first(d, 0); m != JSON_NONE; m = json_next(d, m)) {
        size_t i = 0;
        while (i < 3 && !json_key_is(d, m, names[i])) {
            i++;
        }
        if (i == 3) {
            char path[FAIL_FIELD_MAX];
            return fail_set(f, ERR_bad_request, json_path(d, m, path),
                            "%s is not known: accepted are generation_id, metric and value", path);
        }
    }
    return 0;
}

static int read_feedback(const struct json_doc *d, struct reader_question *q, struct fail *f)
{
    char id[ID_TEXT_MAX];
    json_ref generation, metric, value;
    if (check_members(d, f) != 0 || read_member(d, "generation_id", &generation, f) != 0 ||
        read_member(d, "metric", &metric, f) != 0 || read_member(d, "value", &value, f) != 0) {
        return -1;
    }
    if (!json_text_fixed(d, generation, id, sizeof id) ||
        !id_parse(span_of(id), ID_PREFIX_GENERATION, &q->id)) {
        return json_refuse(d, generation, "the id of a generation, gen_ and 32 hex digits", f);
    }
    if (!json_text_fixed(d, metric, q->metric, sizeof q->metric)) {
        return json_refuse(d, metric, "the name of one of the experiment's metrics", f);
    }
    if (!read_value(d, value, &q->value)) {
        return json_refuse(d, value, FEEDBACK_VALUES, f);
    }
    return 0;
}

void api_feedback(struct request *r)
{
    struct reader_question q = {.team_id = r->key->team_id, .now_ms = r->begun_ms};
    struct json_doc d;
    struct fail f;
    json_init(&d);
    d.max_values = FEEDBACK_MEMBERS_MAX;
    int rc = json_parse(&d, buf_span(&r->body), &f);
    if (rc == 0) {
        rc = read_feedback(&d, &q, &f);
    }
    json_done(&d);
    if (rc != 0) {
        request_reply_fail(r, &f);
        return;
    }
    reader_tell(r, write_feedback, &q);
}
