/* The newest attempts, as samples. */
#include "router/calibrate_db.h"

enum { CLASS_BITS = 2, CLASS_NONE = (1 << CLASS_BITS) - 1 };
_Static_assert((int)ESTIMATE_CLASSES <= (int)CLASS_NONE, "a class has room in its bits");
_Static_assert(CLASS_BITS + FORECAST_SHAPE_BITS < 31, "both have room in an int");

int calibrate_db_class(enum estimate_class class, uint32_t shape)
{
    uint32_t bits = class == ESTIMATE_CLASS_NONE ? CLASS_NONE : (uint32_t) class;
    return (int)(bits | shape << CLASS_BITS);
}

/* What prompt_class says. */
struct seen {
    enum estimate_class class;
    uint32_t shape;
};

static struct seen seen_of(struct sqlite3_stmt *s, int col)
{
    struct seen seen = {ESTIMATE_CLASS_NONE, 0};
    int64_t v = db_col_int(s, col), class = v & CLASS_NONE;
    if (class < ESTIMATE_CLASSES)
        seen.class = (enum estimate_class) class;
    seen.shape = (uint32_t)(v >> CLASS_BITS);
    return seen;
}

enum { COL_MODEL, COL_CLASS, COL_ESTIMATE, COL_PROMPT, COL_OUTPUT, COL_ITERATIONS, COL_KEY };

/* Inner calls at other models say nothing about this one's prompt. */
static void learn_row(struct calibrate *c, struct forecast *f, struct sqlite3_stmt *s)
{
    struct seen seen = seen_of(s, COL_CLASS);
    bool plain = db_col_text(s, COL_ITERATIONS)[0] == '\0';
    const struct forecast_ask ask = {db_col_text(s, COL_MODEL), db_col_int(s, COL_KEY), seen.shape};
    calibrate_learn(c, ask.model, plain ? seen.class : ESTIMATE_CLASS_NONE,
                    db_col_int(s, COL_ESTIMATE), db_col_int(s, COL_PROMPT),
                    db_col_int(s, COL_OUTPUT));
    if (plain && forecast_teaches_prompt(seen.class, seen.shape))
        forecast_learn_prompt(f, &ask, db_col_int(s, COL_ESTIMATE), db_col_int(s, COL_PROMPT));
    forecast_learn_completion(f, &ask, db_col_int(s, COL_OUTPUT));
}

/* Ids begin with their time, so the newest are the last of the primary key: no index is
 * needed.  Attempts without a class teach nothing: they were made on the request's own terms
 * (provider_configs). */
int calibrate_db_load(struct calibrate *c, struct forecast *f, struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT model, prompt_class, prompt_estimate_tok, input_tok + coalesce(cache_read_tok,"
            " 0) + coalesce(cache_write_5m_tok, 0) + coalesce(cache_write_1h_tok, 0), output_tok,"
            " iterations, key_id"
            " FROM attempt WHERE id >= coalesce((SELECT id FROM attempt ORDER BY id DESC"
            " LIMIT 1 OFFSET ?1), x'') AND usage_source = 'final' AND input_tok IS NOT NULL AND "
            "output_tok IS NOT NULL AND prompt_class IS NOT NULL"
            " ORDER BY id");
    db_bind_int(s, 1, CALIBRATE_LOAD_MAX - 1);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1)
        learn_row(c, f, s);
    return rc;
}
