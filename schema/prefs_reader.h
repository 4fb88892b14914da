/* What prefs.c and prefs_config.c share while they read one object.  Not for others. */
#ifndef SCHEMA_PREFS_READER_H
#define SCHEMA_PREFS_READER_H

#include "schema/prefs.h"
#include "schema/prefs_spec.h"

struct prefs_reader {
    struct prefs *prefs;
    const struct json_doc *doc;
    enum prefs_level level; /* of the field being read */
    struct fail *reterr;
};

/* What a text must be like; `accepts` completes "must be ...". */
struct prefs_text_rule {
    bool (*ok)(struct span s);
    size_t max;
    const char *accepts;
    bool empty_ok;
    bool secret; /* the value must not appear in a message */
};

/* -1 with "<path> must be <accepts>; got <glimpse of v>". */
int prefs_refuse(struct prefs_reader *r, json_ref v, const char *accepts);
/* As prefs_refuse, but tells only the kind of a secret value. */
int prefs_refuse_secret(struct prefs_reader *r, json_ref v, const char *accepts);
/* -1 with "<path> is given twice". */
int prefs_refuse_twice(struct prefs_reader *r, json_ref member);
/* -1 with "<path> is not known: accepted are <accepts>". */
int prefs_refuse_unknown(struct prefs_reader *r, json_ref member, const char *accepts);
/* -1 with "<path> must have at most <max> entries". */
int prefs_refuse_size(struct prefs_reader *r, json_ref v, int max);

/* The string v (or the key of member m) into prefs->text. */
int prefs_read_text(struct prefs_reader *r, json_ref v, const struct prefs_text_rule *rule,
                    uint32_t *ret_at);
int prefs_read_key(struct prefs_reader *r, json_ref m, const struct prefs_text_rule *rule,
                   uint32_t *ret_at);
bool prefs_is_printable(struct span s); /* ASCII 0x20 to 0x7e */
extern const struct prefs_text_rule prefs_slug_rule;

extern const char *const prefs_percentiles[PERCENTILE_COUNT];
/* Words of provider_configs, in the order of enum auth_type and of native_format - 1. */
enum { PREFS_AUTH_TYPES = 4, PREFS_NATIVE_FORMATS = 2 };
extern const char *const prefs_auth_types[PREFS_AUTH_TYPES];
extern const char *const prefs_native_formats[PREFS_NATIVE_FORMATS];

int prefs_read_configs(struct prefs_reader *r, json_ref v);

#endif
