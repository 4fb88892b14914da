/* Applying a key's preset to a request. */
#include "router/preset.h"

int preset_read(struct prefs *p, const char *field, struct span text, struct fail *reterr)
{
    struct json_doc doc;
    json_init(&doc);
    int rc = json_parse(&doc, text, reterr);
    if (rc == 0 && json_kind(&doc, 0) != JSON_OBJECT)
        rc = fail_set(reterr, ERR_bad_request, field, "%s must be a JSON object", field);
    for (json_ref m = rc == 0 ? json_first(&doc, 0) : JSON_NONE; m != JSON_NONE && rc == 0;
         m = json_next(&doc, m)) {
        if (!prefs_is_routing_member(&doc, m) || json_key_is(&doc, m, "models"))
            rc = fail_set(reterr, ERR_bad_request, field, "%s: %.*s is not a routing preference",
                          field, (int)(doc.nodes[m].key_len < 64 ? doc.nodes[m].key_len : 64),
                          text.ptr + doc.nodes[m].key_begin + 1);
    }
    if (rc == 0)
        rc = prefs_read(p, &doc, 0, reterr);
    json_done(&doc);
    return rc;
}

int preset_apply(const struct key_row *key, struct prefs *p, struct fail *reterr)
{
    struct json_doc d;
    struct prefs preset;
    if (key == NULL || key->preset == NULL) {
        return 0;
    }
    json_init(&d);
    prefs_init(&preset);
    int ok = json_parse(&d, span_of(key->preset), reterr);
    if (ok == 0) {
        ok = prefs_read(&preset, &d, 0, reterr);
    }
    if (ok == 0) {
        prefs_inherit(p, &preset);
    }
    prefs_done(&preset);
    json_done(&d);
    return ok;
}
