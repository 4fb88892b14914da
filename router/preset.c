/* Applying a key's preset to a request. */
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
