/* Stored routing preferences: checked, and applied to a request. */
#include "router/preset.h"

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

int preset_check(const struct json_doc *doc, const char *what, const char *const *also,
                 struct fail *reterr)
{
    if (json_kind(doc, 0) != JSON_OBJECT) {
        return fail_set(reterr, ERR_bad_request, what, "%s must be a JSON object", what);
    }
    for (json_ref m = json_first(doc, 0); m != JSON_NONE; m = json_next(doc, m)) {
        const struct json_node *node = json_at(doc, m);
        /* Its keys would be secrets, which are not stored: without them the call would go to the
         * operator's account. */
        if (json_key_is(doc, m, "provider_configs")) {
            return fail_set(reterr, ERR_bad_request, "provider_configs",
                            "provider_configs belong to a request: nothing else can bring any");
        }
        bool preference = prefs_is_routing_member(doc, m) && !json_key_is(doc, m, "models");
        if (!preference && !json_key_is_any(doc, m, also)) {
            return fail_set(reterr, ERR_bad_request, what, "%s: %.*s is not a routing preference",
                            what, (int)(node->key_len < 64 ? node->key_len : 64),
                            doc->text.ptr + node->key_begin + 1);
        }
    }
    return 0;
}

int preset_read(struct prefs *p, const char *field, struct span text, struct fail *reterr)
{
    static const char *const none[] = {NULL};
    struct json_doc doc;
    json_init(&doc);
    struct fail why;
    int rc = json_parse(&doc, text, &why);
    if (rc != 0) {
        rc = fail_set(reterr, why.code, field, "%s: %s", field, why.text);
    } else {
        rc = preset_check(&doc, field, none, reterr);
    }
    if (rc == 0) {
        rc = prefs_read(p, &doc, 0, reterr);
    }
    json_done(&doc);
    return rc;
}
