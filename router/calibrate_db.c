/* The newest attempts, as samples. */
#include "router/calibrate_db.h"

/* Ids begin with their time, so the newest are the last of the primary key: no index is
 * needed.  Inner calls at other models say nothing about this one's prompt. */
int calibrate_db_load(struct calibrate *c, struct db *db, struct fail *reterr)
{
    struct sqlite3_stmt *s = db_stmt(
        db, "SELECT model, prompt_class, prompt_estimate_tok, input_tok + coalesce(cache_read_tok,"
            " 0) + coalesce(cache_write_5m_tok, 0) + coalesce(cache_write_1h_tok, 0), output_tok,"
            " iterations"
            " FROM attempt WHERE id >= coalesce((SELECT id FROM attempt ORDER BY id DESC"
            " LIMIT 1 OFFSET ?1), x'') AND usage_source = 'final' AND input_tok IS NOT NULL AND "
            "output_tok IS NOT NULL"
            " ORDER BY id");
    db_bind_int(s, 1, CALIBRATE_LOAD_MAX - 1);
    int rc;
    while ((rc = db_step(db, s, reterr)) == 1) {
        bool plain = !db_col_null(s, 1) && db_col_text(s, 5)[0] == '\0';
        calibrate_learn(c, db_col_text(s, 0),
                        plain ? (enum estimate_class)db_col_int(s, 1) : ESTIMATE_CLASS_NONE,
                        db_col_int(s, 2), db_col_int(s, 3), db_col_int(s, 4));
    }
    return rc;
}
