#define _GNU_SOURCE
/* Recordings are turned into ready bytes when first asked for. */
#include "sim/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/json.h"
#include "sim/base64.h"

struct recording {
    char name[REPLAY_NAME_MAX];
    int status;
    bool is_stream;
    struct buf headers; /* name: value CRLF, repeated */
    struct buf body;
    struct buf sizes; /* array of uint32_t */
};

void replay_init(struct replay *r, const char *dir)
{
    *r = (struct replay){.n = 0};
    r->dir = dir != NULL ? strdup(dir) : NULL;
}

static void recording_free(struct recording *rec)
{
    buf_done(&rec->headers);
    buf_done(&rec->body);
    buf_done(&rec->sizes);
    free(rec);
}

void replay_done(struct replay *r)
{
    for (int i = 0; i < r->n; i++)
        recording_free(r->all[i]);
    free(r->dir);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return false;
    size_t n;
    do {
        if (!buf_reserve(out, 64 * 1024))
            break;
        n = fread(out->ptr + out->len, 1, 64 * 1024, f);
        out->len += n;
    } while (n > 0);
    bool ok = !ferror(f) && !out->failed;
    fclose(f);
    return ok;
}

/* Headers that describe the framing of the original connection are ours to write. */
static bool is_framing(const struct json_doc *doc, json_ref header)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "connection",
                                        "content-encoding", "keep-alive"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_key_is(doc, header, names[i]))
            return true;
    }
    return false;
}

static void take_headers(struct recording *rec, const struct json_doc *doc, json_ref headers)
{
    if (headers == JSON_NONE || json_kind(doc, headers) != JSON_OBJECT)
        return;
    for (json_ref h = json_first(doc, headers); h != JSON_NONE; h = json_next(doc, h)) {
        if (is_framing(doc, h) || json_kind(doc, h) != JSON_STRING)
            continue;
        json_key_text(doc, h, &rec->headers);
        buf_adds(&rec->headers, ": ");
        json_text(doc, h, &rec->headers);
        buf_adds(&rec->headers, "\r\n");
    }
    if (json_get(doc, headers, "content-type") == JSON_NONE)
        buf_adds(&rec->headers, rec->is_stream ? "content-type: text/event-stream\r\n"
                                               : "content-type: application/json\r\n");
}

static void take_body(struct recording *rec, const struct json_doc *doc, json_ref response)
{
    json_ref plain = json_get(doc, response, "body");
    json_ref text = json_get(doc, response, "body_text");
    json_ref coded = json_get(doc, response, "body_base64");
    if (text != JSON_NONE && json_kind(doc, text) == JSON_STRING)
        json_text(doc, text, &rec->body);
    else if (coded != JSON_NONE && json_kind(doc, coded) == JSON_STRING)
        base64_decode(&rec->body, json_inner(doc, coded));
    else if (plain != JSON_NONE && json_kind(doc, plain) != JSON_NULL)
        buf_add_span(&rec->body, json_raw(doc, plain));
    json_ref sizes = json_get(doc, response, "chunk_sizes");
    if (sizes == JSON_NONE || json_kind(doc, sizes) != JSON_ARRAY)
        return;
    for (json_ref s = json_first(doc, sizes); s != JSON_NONE; s = json_next(doc, s)) {
        int64_t n = 0;
        if (json_int64(doc, s, &n) && n > 0 && n < UINT32_MAX) {
            uint32_t size = (uint32_t)n;
            buf_add(&rec->sizes, &size, sizeof(size));
        }
    }
}

static bool take_recording(struct recording *rec, const struct json_doc *doc)
{
    json_ref response = json_get(doc, 0, "response");
    json_ref framing = json_get(doc, 0, "framing");
    int64_t status = 200;
    if (response == JSON_NONE || json_kind(doc, response) != JSON_OBJECT)
        return false;
    json_ref s = json_get(doc, response, "status");
    if (s != JSON_NONE)
        json_int64(doc, s, &status);
    rec->status = status >= 100 && status <= 999 ? (int)status : 200;
    rec->is_stream = framing != JSON_NONE && json_kind(doc, framing) == JSON_STRING;
    take_headers(rec, doc, json_get(doc, response, "headers"));
    take_body(rec, doc, response);
    return !rec->body.failed && !rec->headers.failed && !rec->sizes.failed;
}

static struct recording *load(const char *path, struct span name)
{
    struct recording *rec = calloc(1, sizeof(*rec));
    if (rec == NULL)
        return NULL;
    memcpy(rec->name, name.ptr, name.len);
    buf_init(&rec->headers, ANSWER_HEAD_MAX / 2);
    buf_init(&rec->body, ANSWER_BODY_MAX);
    buf_init(&rec->sizes, ANSWER_MARKS_MAX);
    struct buf file;
    struct json_doc doc;
    buf_init(&file, REPLAY_FILE_MAX);
    json_init(&doc);
    bool ok = read_file(path, &file) && json_parse(&doc, buf_span(&file), NULL) == 0 &&
              json_kind(&doc, 0) == JSON_OBJECT && take_recording(rec, &doc);
    json_done(&doc);
    buf_done(&file);
    if (ok)
        return rec;
    recording_free(rec);
    return NULL;
}

/* Names stay below the directory: no "..", not absolute. */
static bool name_is_safe(struct span name)
{
    if (name.len == 0 || name.len >= REPLAY_NAME_MAX || name.ptr[0] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '\0' ||
            (name.ptr[i] == '.' && i + 1 < name.len && name.ptr[i + 1] == '.'))
            return false;
    }
    return true;
}

static struct recording *find(struct replay *r, struct span name)
{
    for (int i = 0; i < r->n; i++) {
        if (span_is(name, r->all[i]->name))
            return r->all[i];
    }
    if (r->n == REPLAY_FILES_MAX)
        return NULL;
    struct buf path;
    buf_init(&path, REPLAY_PATH_MAX);
    buf_adds(&path, r->dir);
    buf_addc(&path, '/');
    buf_add_span(&path, name);
    struct recording *rec = path.failed ? NULL : load(path.ptr, name);
    buf_done(&path);
    if (rec != NULL)
        r->all[r->n++] = rec;
    return rec;
}

/* The ends of the events of a stream: after each blank line. */
static void mark_events(struct answer *a)
{
    const struct buf *b = &a->body;
    size_t line = 0;
    struct mark mark = {0, 0};
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] != '\n')
            continue;
        bool blank = i == line || (i == line + 1 && b->ptr[line] == '\r');
        line = i + 1;
        mark.end = (uint32_t)line;
        if (blank)
            buf_add(&a->marks, &mark, sizeof(mark));
    }
}

bool replay_answer(struct replay *r, struct span name, struct answer *a, const char **ret_why)
{
    *ret_why = "the simulator was started without --replay";
    if (r->dir == NULL)
        return false;
    *ret_why = "no such recording";
    struct recording *rec = name_is_safe(name) ? find(r, name) : NULL;
    if (rec == NULL)
        return false;
    answer_begin(a, rec->status, NULL);
    a->chunked = rec->is_stream;
    buf_add_span(&a->head, buf_span(&rec->headers));
    buf_add_span(&a->body, buf_span(&rec->body));
    buf_add_span(&a->sizes, buf_span(&rec->sizes));
    if (a->chunked)
        mark_events(a);
    return true;
}
