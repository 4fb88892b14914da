/* Function call arguments in pieces: gemini.h.  Vertex AI sends them so when the client asks with
 * streamFunctionCallArguments (docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/
 * function-calling, "Streaming function call arguments"): each piece names a place by a JSON path
 * (RFC 9535, names and indexes only) and a value or the next part of a string there.  Places come
 * in the order of the text, so that the text can be written at once. */
#include "providers/gemini.h"

static bool is_path_name(char c)
{
    return c != '.' && c != '[' && c != ']';
}

/* Takes one step off the path at *at; false when it is none. */
static bool take_step(const char *path, size_t len, size_t *at, struct gemini_step *ret)
{
    if (path[*at] == '.') {
        *ret = (struct gemini_step){false, *at + 1, 0};
        while (*at + 1 + ret->len < len && is_path_name(path[*at + 1 + ret->len]))
            ret->len++;
        *at += 1 + ret->len;
        return ret->len > 0;
    }
    if (path[*at] != '[')
        return false;
    const char *close = memchr(path + *at, ']', len - *at);
    if (close == NULL)
        return false;
    *ret = (struct gemini_step){true, *at + 1, (size_t)(close - path) - *at - 1};
    *at += ret->len + 2;
    char quote = path[ret->at];
    if (ret->len >= 2 && (quote == '\'' || quote == '"') && path[ret->at + ret->len - 1] == quote)
        *ret = (struct gemini_step){false, ret->at + 1, ret->len - 2};
    return ret->len > 0;
}

/* "$.a[0].b" into a; false: not such a path. */
static bool read_path(struct gemini_args *a, const struct json_doc *doc, json_ref path)
{
    a->n_steps = 0;
    if (!json_text_fixed(doc, path, a->path, sizeof(a->path)) || a->path[0] != '$')
        return false;
    size_t len = strlen(a->path), at = 1;
    while (at < len) {
        if (a->n_steps == GEMINI_DEPTH_MAX || !take_step(a->path, len, &at, &a->steps[a->n_steps]))
            return false;
        a->n_steps++;
    }
    return a->n_steps > 0 && !a->steps[0].index;
}

static bool same_step(const struct gemini_args *a, const struct gemini_args *b, int i)
{
    const struct gemini_step *x = &a->steps[i], *y = &b->steps[i];
    return x->index == y->index && x->len == y->len &&
           memcmp(a->path + x->at, b->path + y->at, x->len) == 0;
}

static void open_step(const struct gemini_args *a, int i, bool first, struct buf *out)
{
    const struct gemini_step *s = &a->steps[i];
    buf_addc(out, !first ? ',' : s->index ? '[' : '{');
    if (!s->index) {
        json_write_string(out, (struct span){a->path + s->at, s->len});
        buf_addc(out, ':');
    }
}

/* From the place `a` to the place `next`; false: next lies inside or around a, or between them an
 * object turns into an array. */
static bool move(const struct gemini_args *a, const struct gemini_args *next, struct buf *out)
{
    int same = 0;
    while (same < a->n_steps && same < next->n_steps && same_step(a, next, same))
        same++;
    if (a->n_steps > 0) {
        if (same == a->n_steps || same == next->n_steps ||
            a->steps[same].index != next->steps[same].index)
            return false;
        for (int i = a->n_steps - 1; i > same; i--)
            buf_addc(out, a->steps[i].index ? ']' : '}');
    }
    open_step(next, same, a->n_steps == 0, out);
    for (int i = same + 1; i < next->n_steps; i++)
        open_step(next, i, true, out);
    return true;
}

static bool same_place(const struct gemini_args *a, const struct gemini_args *b)
{
    if (a->n_steps != b->n_steps)
        return false;
    for (int i = 0; i < a->n_steps; i++) {
        if (!same_step(a, b, i))
            return false;
    }
    return true;
}

static void end_string(struct gemini_args *a, struct buf *out)
{
    if (a->in_string)
        buf_addc(out, '"');
    a->in_string = false;
}

/* The value as JSON text; of a string what stands between the quotes. */
static bool find_value(const struct json_doc *doc, json_ref piece, struct span *ret_text,
                       bool *ret_string)
{
    static const struct {
        const char *name;
        enum json_kind first, last;
    } values[] = {{"stringValue", JSON_STRING, JSON_STRING},
                  {"numberValue", JSON_NUMBER, JSON_NUMBER},
                  {"boolValue", JSON_FALSE, JSON_TRUE}};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_ref value = json_get(doc, piece, values[i].name);
        if (value == JSON_NONE || json_kind(doc, value) < values[i].first ||
            json_kind(doc, value) > values[i].last)
            continue;
        *ret_string = values[i].first == JSON_STRING;
        *ret_text = *ret_string ? json_inner(doc, value) : json_raw(doc, value);
        return true;
    }
    *ret_string = false;
    *ret_text = SPAN("null");
    return json_get(doc, piece, "nullValue") != JSON_NONE;
}

void gemini_args_piece(struct gemini_args *a, const struct json_doc *doc, json_ref piece,
                       struct buf *out)
{
    struct gemini_args next = {.in_string = false};
    struct span text;
    bool string, more = false;
    if (!find_value(doc, piece, &text, &string) ||
        !read_path(&next, doc, json_get(doc, piece, "jsonPath")))
        return;
    json_truth(doc, json_get(doc, piece, "willContinue"), &more);
    if (!a->in_string || !string || !same_place(a, &next)) {
        end_string(a, out);
        if (!move(a, &next, out))
            return;
        *a = next;
        if (string)
            buf_addc(out, '"');
    }
    buf_add_span(out, text);
    a->in_string = string;
    if (!more)
        end_string(a, out);
}

void gemini_args_end(struct gemini_args *a, struct buf *out)
{
    end_string(a, out);
    if (a->n_steps == 0)
        buf_addc(out, '{');
    for (int i = a->n_steps - 1; i > 0; i--)
        buf_addc(out, a->steps[i].index ? ']' : '}');
    buf_addc(out, '}');
    a->n_steps = 0;
}
