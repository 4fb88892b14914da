/* Reading operation arguments by their rows. */
#include "router/args.h"

#include <assert.h>
#include <string.h>

#include "schema/utf8.h"
#include "schema/when.h"

enum { NAME_BYTES_MAX = 63 };

static const char *const kind_words[] = {[ARG_TEXT] = "a string",
                                         [ARG_COUNT] = "an integer of 0 or more",
                                         [ARG_FLAG] = "true or false",
                                         [ARG_TIME] = "a date (2026-12-31) or an RFC 3339 time",
                                         [ARG_JSON] = "a value"};

static int wrong(const struct arg_spec *s, struct fail *reterr)
{
    return fail_set(reterr, ERR_bad_request, s->name, "%s must be %s", s->name,
                    kind_words[s->kind]);
}

/* A string that holds a NUL would be cut by every char pointer after this. */
static const char *whole_string(struct json_object *v)
{
    if (!json_object_is_type(v, json_type_string))
        return NULL;
    const char *text = json_object_get_string(v);
    return strlen(text) == (size_t)json_object_get_string_len(v) ? text : NULL;
}

static int read_text(const struct arg_spec *s, struct json_object *v, struct arg_text *out,
                     struct fail *reterr)
{
    const char *text = v != NULL ? whole_string(v) : NULL;
    if (v != NULL && text == NULL)
        return wrong(s, reterr);
    *out = (struct arg_text){.given = true, .value = text};
    return 0;
}

static int read_count(const struct arg_spec *s, struct json_object *v, struct arg_count *out,
                      struct fail *reterr)
{
    if (v != NULL && (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0))
        return wrong(s, reterr);
    *out = (struct arg_count){.given = true, .value = v != NULL ? json_object_get_int64(v) : 0};
    return 0;
}

static int read_time(const struct arg_spec *s, struct json_object *v, struct arg_count *out,
                     struct fail *reterr)
{
    int64_t ms = 0;
    const char *text = v != NULL ? whole_string(v) : NULL;
    if (v != NULL && (text == NULL || !when_parse(span_of(text), &ms)))
        return wrong(s, reterr);
    *out = (struct arg_count){.given = true, .value = ms};
    return 0;
}

static int read_flag(const struct arg_spec *s, struct json_object *v, struct arg_flag *out,
                     struct fail *reterr)
{
    if (!json_object_is_type(v, json_type_boolean))
        return wrong(s, reterr);
    *out = (struct arg_flag){.given = true, .value = json_object_get_boolean(v)};
    return 0;
}

static int read_one(const struct arg_spec *s, struct json_object *v, void *out, struct fail *reterr)
{
    void *at = (char *)out + s->offset;
    switch (s->kind) {
    case ARG_TEXT:
        return read_text(s, v, at, reterr);
    case ARG_COUNT:
        return read_count(s, v, at, reterr);
    case ARG_FLAG:
        return read_flag(s, v, at, reterr);
    case ARG_TIME:
        return read_time(s, v, at, reterr);
    case ARG_JSON:
        *(struct arg_json *)at = (struct arg_json){.given = true, .value = v};
        return 0;
    }
    assert(false); /* not a kind */
    return -1;
}

static const struct arg_spec *find(const struct arg_spec *specs, const char *name)
{
    for (const struct arg_spec *s = specs; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

int args_read(struct json_object *args, const struct arg_spec *specs, void *out,
              struct fail *reterr)
{
    if (args != NULL && !json_object_is_type(args, json_type_object))
        return fail_set(reterr, ERR_bad_request, NULL, "the arguments must be an object");
    if (args != NULL) {
        json_object_object_foreach(args, key, value)
        {
            const struct arg_spec *s = find(specs, key);
            if (s == NULL)
                return fail_set(reterr, ERR_bad_request, key, "unknown argument %s", key);
            if (read_one(s, value, out, reterr) != 0)
                return -1;
        }
    }
    for (const struct arg_spec *s = specs; s->name != NULL; s++) {
        if (s->required && json_object_object_get(args, s->name) == NULL)
            return fail_set(reterr, ERR_bad_request, s->name, "%s is required", s->name);
    }
    return 0;
}

/* ---- lists ---- */

static int list_add(const char *name, struct json_object *list, struct span word,
                    struct fail *reterr)
{
    while (word.len > 0 && word.ptr[0] == ' ')
        word = (struct span){word.ptr + 1, word.len - 1};
    while (word.len > 0 && word.ptr[word.len - 1] == ' ')
        word.len--;
    if (word.len == 0 || word.len > ARG_ITEM_MAX)
        return fail_set(reterr, ERR_bad_request, name, "%s has an empty or overlong entry", name);
    if (json_object_array_length(list) == ARG_LIST_MAX)
        return fail_set(reterr, ERR_bad_request, name, "%s has more than %d entries", name,
                        ARG_LIST_MAX);
    json_object_array_add(list, json_object_new_string_len(word.ptr, (int)word.len));
    return 0;
}

static int list_of_text(const char *name, const char *text, struct json_object *list,
                        struct fail *reterr)
{
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        if (list_add(name, list, (struct span){text, n}, reterr) != 0)
            return -1;
        text += n;
        text += *text == ',';
    }
    return 0;
}

static int list_of_array(const char *name, struct json_object *array, struct json_object *list,
                         struct fail *reterr)
{
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *entry = json_object_array_get_idx(array, i);
        const char *word = entry != NULL ? whole_string(entry) : NULL;
        if (word == NULL)
            return fail_set(reterr, ERR_bad_request, name, "%s must be a list of strings", name);
        if (list_add(name, list, span_of(word), reterr) != 0)
            return -1;
    }
    return 0;
}

int args_list(const char *name, struct json_object *value, struct json_object **ret,
              struct fail *reterr)
{
    struct json_object *list = json_object_new_array();
    const char *text = value != NULL ? whole_string(value) : "";
    int rc;
    if (text != NULL)
        rc = list_of_text(name, text, list, reterr);
    else if (json_object_is_type(value, json_type_array))
        rc = list_of_array(name, value, list, reterr);
    else
        rc = fail_set(reterr, ERR_bad_request, name, "%s must be a list of strings", name);
    if (rc != 0 || json_object_array_length(list) == 0) {
        json_object_put(list);
        list = NULL;
    }
    if (rc == 0)
        *ret = list;
    return rc;
}

struct span args_json_text(struct json_object *v)
{
    struct span text;
    if (json_object_is_type(v, json_type_string))
        return (struct span){json_object_get_string(v), (size_t)json_object_get_string_len(v)};
    text.ptr = json_object_to_json_string_length(v, JSON_C_TO_STRING_PLAIN, &text.len);
    return text;
}

/* ---- names ---- */

int args_check_name(const char *field, const char *name, struct fail *reterr)
{
    size_t len = strlen(name);
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* a path's segment of no name */
    bool good = len > 0 && len <= NAME_BYTES_MAX && name[0] != '-' && name[0] != ' ' &&
                name[len - 1] != ' ' && !dots;
    const uint8_t *p = (const uint8_t *)name, *end = p + len;
    while (good && p < end) {
        bool valid;
        if (*p < 0x20 || *p == 0x7f || *p == '/')
            good = false;
        p += utf8_step(p, end, &valid);
        good = good && valid;
    }
    if (good)
        return 0;
    return fail_set(reterr, ERR_bad_request, field,
                    "%s must be 1 to %d bytes of text without control characters or slashes, not "
                    "starting with a dash or blank, and not . or ..",
                    field, NAME_BYTES_MAX);
}
