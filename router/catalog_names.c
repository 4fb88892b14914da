/* Names of models and providers in what is stored: keys, presets, arms of experiments. */
#include "router/catalog_names.h"

#include "router/args.h"
#include "router/preset.h"
#include "schema/chat.h"

const struct model *names_model(const struct catalog *c, struct span name)
{
    if (chat_name_suffix(name) != SUFFIX_NONE) {
        do
            name.len--;
        while (name.ptr[name.len] != ':');
    }
    return catalog_model(c, name);
}

/* As requests may name it: slug, display name, or one variant. */
static bool is_provider(const struct catalog *c, const char *entry)
{
    if (catalog_provider(c, span_of(entry)) != NULL)
        return true;
    for (int i = 0; i < c->n_endpoints; i++) {
        if (endpoint_covered(&c->endpoints[i], entry))
            return true;
    }
    return false;
}

int names_check_prefs(const struct catalog *c, const struct prefs *p, const char *field,
                      const char *what, struct fail *reterr)
{
    const struct {
        const char *field;
        const struct slug_list *list;
    } lists[] = {{"provider_order", &p->order},
                 {"provider_only", &p->only},
                 {"provider_ignore", &p->ignore}};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < lists[k].list->n; i++) {
            const char *entry = prefs_str(p, lists[k].list->at[i]);
            if (!is_provider(c, entry))
                return fail_set(reterr, ERR_bad_request, field,
                                "%s: %s names %.128s, which is no provider of the catalog", what,
                                lists[k].field, entry);
        }
    }
    return 0;
}

/* ---- keys ---- */

static const char *const lists[] = {"models", "providers_only", "providers_ignore"};

static bool is_given(struct json_object *args, const char *name)
{
    return json_object_object_get_ex(args, name, NULL);
}

bool names_of_key_given(struct json_object *args)
{
    return is_given(args, lists[0]) || is_given(args, lists[1]) || is_given(args, lists[2]) ||
           is_given(args, "preset");
}

static int check_list(const struct catalog *c, const char *name, struct json_object *list,
                      struct fail *reterr)
{
    bool models = name == lists[0];
    for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
        const char *entry = json_object_get_string(json_object_array_get_idx(list, i));
        if (models ? names_model(c, span_of(entry)) == NULL : !is_provider(c, entry))
            return fail_set(reterr, ERR_bad_request, name,
                            "%s names %.255s, which is no %s of the catalog", name, entry,
                            models ? "model" : "provider");
    }
    return 0;
}

static int check_preset(const struct catalog *c, struct json_object *preset, struct fail *reterr)
{
    if (preset == NULL)
        return 0;
    struct prefs prefs;
    prefs_init(&prefs);
    int rc = preset_read(&prefs, "preset", args_json_text(preset), reterr);
    if (rc == 0)
        rc = names_check_prefs(c, &prefs, "preset", "preset", reterr);
    prefs_done(&prefs);
    return rc;
}

int names_check_key(const struct catalog *c, struct json_object *args, struct json_object *key,
                    struct fail *reterr)
{
    if (c->n_endpoints == 0)
        return 0;
    for (int i = 0; i < 3; i++) {
        if (is_given(args, lists[i]) &&
            check_list(c, lists[i], json_object_object_get(key, lists[i]), reterr) != 0)
            return -1;
    }
    if (!is_given(args, "preset"))
        return 0;
    return check_preset(c, json_object_object_get(key, "preset"), reterr);
}
