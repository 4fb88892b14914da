/* Places and glimpses of json_path.h. */
#include "schema/json_path.h"

#include <assert.h>
#include <stdio.h>

/* A fixed text under construction; what does not fit is left out, whole characters. */
struct note {
    char *out;
    size_t cap, len;
};

static void add(struct note *n, struct span s)
{
    size_t room = n->cap - 1 - n->len;
    if (s.len > room) {
        s.len = room;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
            s.len--;
    }
    memcpy(n->out + n->len, s.ptr, s.len);
    n->len += s.len;
    n->out[n->len] = '\0';
}

static void add_index(struct note *n, size_t i)
{
    char text[32];
    snprintf(text, sizeof(text), "[%zu]", i);
    add(n, span_of(text));
}

static void add_key(struct note *n, const struct json_doc *d, json_ref member)
{
    const struct json_node *node = json_at(d, member);
    if (n->len > 0)
        add(n, SPAN("."));
    add(n, (struct span){d->text.ptr + node->key_begin + 1, node->key_len});
}

/* The child of the container that is or holds the value at r. */
static json_ref towards(const struct json_doc *d, json_ref container, json_ref r, size_t *ret_index)
{
    json_ref child = json_first(d, container);
    size_t i = 0;
    while (json_at(d, child)->end < json_at(d, r)->end) {
        child = json_next(d, child);
        i++;
    }
    *ret_index = i;
    return child;
}

const char *json_path(const struct json_doc *d, json_ref r, char out[FAIL_FIELD_MAX])
{
    assert(r < d->count);
    struct note n = {out, FAIL_FIELD_MAX, 0};
    out[0] = '\0';
    if (r == 0)
        add(&n, SPAN("the body"));
    for (json_ref at = 0; at != r;) {
        bool array = json_kind(d, at) == JSON_ARRAY;
        size_t i;
        at = towards(d, at, r, &i);
        if (array)
            add_index(&n, i);
        else
            add_key(&n, d, at);
    }
    return out;
}

const char *json_glimpse(const struct json_doc *d, json_ref r, char out[JSON_GLIMPSE_MAX])
{
    struct note n = {out, JSON_GLIMPSE_MAX, 0};
    struct span raw = json_raw(d, r);
    enum json_kind kind = json_kind(d, r);
    bool scalar = kind != JSON_ARRAY && kind != JSON_OBJECT;
    if (scalar && raw.len < JSON_GLIMPSE_MAX) {
        add(&n, raw);
    } else {
        add(&n, kind == JSON_STRING ? SPAN("a long string") : span_of(json_kind_name(kind)));
    }
    return out;
}

int json_refuse(const struct json_doc *d, json_ref v, const char *accepts, struct fail *reterr)
{
    char path[FAIL_FIELD_MAX], got[JSON_GLIMPSE_MAX];
    json_path(d, v, path);
    return fail_set(reterr, ERR_bad_request, v != 0 ? path : NULL, "%s must be %s; got %s", path,
                    accepts, json_glimpse(d, v, got));
}

int json_refuse_twice(const struct json_doc *d, json_ref member, struct fail *reterr)
{
    char path[FAIL_FIELD_MAX];
    json_path(d, member, path);
    return fail_set(reterr, ERR_bad_request, path, "%s is given twice", path);
}

int json_get_once(const struct json_doc *d, json_ref object, const char *name, json_ref *ret,
                  struct fail *reterr)
{
    json_ref found = JSON_NONE;
    bool inside = object != JSON_NONE && json_kind(d, object) == JSON_OBJECT;
    for (json_ref m = inside ? json_first(d, object) : JSON_NONE; m != JSON_NONE;
         m = json_next(d, m)) {
        if (!json_key_is(d, m, name))
            continue;
        if (found != JSON_NONE)
            return json_refuse_twice(d, m, reterr);
        found = m;
    }
    *ret = found != JSON_NONE && json_kind(d, found) != JSON_NULL ? found : JSON_NONE;
    return 0;
}
