/* Fuzz target of the JSON reader.  Oracles, for a text that parses:
 *   - the nodes, walked as a tree, cover the text: between the values there is nothing
 *     but space, brackets, commas, colons and the keys that the nodes name;
 *   - each value parses alone, into as many nodes;
 *   - a string is the same after unescaping, writing, parsing and unescaping;
 *   - any members cut from any object leave a text that parses, without them.
 * For any text: the reader as machines without SSE2 have it finds the same. */
#define JSON_PORTABLE 1
#define json_init portable_json_init
#define json_done portable_json_done
#define json_parse portable_json_parse
#define json_first portable_json_first
#define json_raw portable_json_raw
#define json_inner portable_json_inner
#include "schema/json.c"
#undef json_init
#undef json_done
#undef json_parse
#undef json_first
#undef json_raw
#undef json_inner

void json_init(struct json_doc *d);
int json_parse(struct json_doc *d, struct span text, struct fail *reterr);
json_ref json_first(const struct json_doc *d, json_ref container);
struct span json_raw(const struct json_doc *d, json_ref r);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NO_MARK = 0, MEMBERS_MAX = 256, CHECKED_VALUES_MAX = 64 };

static struct json_doc doc, other, portable;
static struct buf left, right, written;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves *at over space and exactly one `mark` (NO_MARK: none) to `to`. */
static void skip_to(uint32_t *at, uint32_t to, char mark)
{
    assert(*at <= to);
    int marks = 0;
    for (; *at < to; ++*at) {
        char c = doc.text.ptr[*at];
        assert(is_space(c) || (mark != NO_MARK && c == mark));
        marks += c == mark;
    }
    assert(marks == (mark != NO_MARK));
}

/* Not recursive: nodes stand in text order, so the walk is a loop over them with the
 * open containers on a stack. */
struct walk {
    uint32_t at;
    uint32_t depth;
    json_ref open[JSON_DEPTH_MAX];
    json_ref next[JSON_DEPTH_MAX]; /* the child that must come next */
    bool first[JSON_DEPTH_MAX];
};

static void close_all(struct walk *w, uint32_t to_depth)
{
    while (w->depth > to_depth) {
        w->depth--;
        const struct json_node *n = json_at(&doc, w->open[w->depth]);
        assert(w->next[w->depth] == JSON_NONE);
        skip_to(&w->at, n->end - 1, NO_MARK);
        assert(doc.text.ptr[w->at] == (n->kind == JSON_OBJECT ? '}' : ']'));
        w->at++;
        assert(w->at == n->end);
    }
}

static void enter_child(struct walk *w, json_ref r)
{
    const struct json_node *n = json_at(&doc, r);
    uint32_t top = w->depth - 1;
    assert(w->next[top] == r);
    w->next[top] = n->next;
    bool member = json_kind(&doc, w->open[top]) == JSON_OBJECT;
    assert(member == (n->key_begin > 0));
    skip_to(&w->at, member ? n->key_begin : n->begin, w->first[top] ? NO_MARK : ',');
    w->first[top] = false;
    if (!member)
        return;
    assert(n->key_len <= JSON_KEY_MAX);
    assert(doc.text.ptr[w->at] == '"' && doc.text.ptr[w->at + n->key_len + 1] == '"');
    w->at += n->key_len + 2;
    skip_to(&w->at, n->begin, ':');
}

static void walk_value(struct walk *w, json_ref r)
{
    const struct json_node *n = json_at(&doc, r);
    assert(n->begin < n->end && n->end <= doc.text.len && n->depth == w->depth);
    if (n->kind != JSON_ARRAY && n->kind != JSON_OBJECT) {
        assert(json_first(&doc, r) == JSON_NONE);
        w->at = n->end;
        return;
    }
    w->at = n->begin + 1;
    w->open[w->depth] = r;
    w->next[w->depth] = json_first(&doc, r);
    w->first[w->depth] = true;
    w->depth++;
}

static void check_cover(void)
{
    static struct walk w;
    w.at = 0;
    w.depth = 0;
    for (json_ref r = 0; r < doc.count; r++) {
        close_all(&w, json_at(&doc, r)->depth);
        if (r == 0)
            skip_to(&w.at, json_at(&doc, r)->begin, NO_MARK);
        else
            enter_child(&w, r);
        walk_value(&w, r);
    }
    close_all(&w, 0);
    skip_to(&w.at, (uint32_t)doc.text.len, NO_MARK);
}

static uint32_t count_below(json_ref r)
{
    json_ref end = r + 1;
    while (end < doc.count && json_at(&doc, end)->begin < json_at(&doc, r)->end)
        end++;
    return end - r;
}

static void check_alone(json_ref r)
{
    int rc = json_parse(&other, json_raw(&doc, r), NULL);
    assert(rc == 0);
    assert(other.count == count_below(r));
    assert(other.nodes[0].kind == json_at(&doc, r)->kind);
    assert(other.nodes[0].escaped == json_at(&doc, r)->escaped);
}

static void check_string(json_ref r)
{
    buf_reset(&left);
    buf_reset(&right);
    buf_reset(&written);
    if (!json_text(&doc, r, &left)) {
        assert(left.len == 0);
        return;
    }
    bool ok = json_write_string(&written, buf_span(&left));
    assert(ok);
    int rc = json_parse(&other, buf_span(&written), NULL);
    assert(rc == 0);
    ok = json_text(&other, 0, &right);
    assert(ok && span_eq(buf_span(&left), buf_span(&right)));
    if (memchr(left.ptr, '\0', left.len) == NULL)
        assert(json_text_is(&doc, r, left.len > 0 ? left.ptr : ""));
}

static void check_key(json_ref r, json_ref object)
{
    buf_reset(&left);
    bool ok = json_key_text(&doc, r, &left);
    assert(ok && memchr(left.ptr, '\0', left.len) == NULL);
    const char *name = left.len > 0 ? left.ptr : "";
    assert(json_key_is(&doc, r, name) && json_key_has_prefix(&doc, r, name));
    assert(json_count_key(&doc, object, name) >= 1);
    assert(json_get(&doc, object, name) <= r);
}

/* Cuts the members that `mask` picks; the rest of the text must parse, and have all
 * other members in order. */
static void check_cuts(json_ref object, uint64_t mask)
{
    static json_ref members[MEMBERS_MAX], kept[MEMBERS_MAX];
    static struct json_cut cuts[MEMBERS_MAX];
    size_t n = 0, n_kept = 0;
    for (json_ref m = json_first(&doc, object); m != JSON_NONE; m = json_next(&doc, m)) {
        if (n == MEMBERS_MAX || n_kept == MEMBERS_MAX)
            return;
        bool cut = (mask >> ((n + n_kept) % 64)) & 1;
        *(cut ? &members[n++] : &kept[n_kept++]) = m;
    }
    size_t n_cuts = json_cut_members(&doc, object, members, n, cuts);
    const struct json_node *o = json_at(&doc, object);
    uint32_t at = o->begin;
    buf_reset(&left);
    for (size_t i = 0; i < n_cuts; i++) {
        assert(at <= cuts[i].begin && cuts[i].begin < cuts[i].end && cuts[i].end < o->end);
        buf_add(&left, doc.text.ptr + at, cuts[i].begin - at);
        at = cuts[i].end;
    }
    buf_add(&left, doc.text.ptr + at, o->end - at);
    int rc = json_parse(&other, buf_span(&left), NULL);
    assert(rc == 0);
    json_ref m = json_first(&other, 0);
    for (size_t i = 0; i < n_kept; i++, m = json_next(&other, m)) {
        assert(m != JSON_NONE);
        const struct json_node *a = json_at(&doc, kept[i]);
        const struct json_node *b = json_at(&other, m);
        assert(span_eq((struct span){doc.text.ptr + a->key_begin, a->end - a->key_begin},
                       (struct span){left.ptr + b->key_begin, b->end - b->key_begin}));
    }
    assert(m == JSON_NONE);
}

static void check_value(json_ref r, json_ref parent)
{
    check_alone(r);
    if (json_at(&doc, r)->key_begin > 0)
        check_key(r, parent);
    switch (json_kind(&doc, r)) {
    case JSON_STRING:
        check_string(r);
        break;
    case JSON_OBJECT:
        check_cuts(r, UINT64_MAX);
        check_cuts(r, UINT64_C(0x5555555555555555));
        check_cuts(r, UINT64_C(0x9e3779b97f4a7c15) * (doc.text.len + 1));
        break;
    default:
        break;
    }
}

static void init_once(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    json_init(&doc);
    json_init(&other);
    portable_json_init(&portable);
    buf_init(&left, 1 << 24);
    buf_init(&right, 1 << 24);
    buf_init(&written, 1 << 27);
}

static void check_portable(struct span text, int rc, const struct fail *fail)
{
    struct fail told;
    int again = portable_json_parse(&portable, text, &told);
    assert(again == rc && portable.count == doc.count);
    assert(rc == 0 || strcmp(told.text, fail->text) == 0);
    assert(doc.count == 0 ||
           memcmp(portable.nodes, doc.nodes, doc.count * sizeof(*doc.nodes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    init_once();
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *text = malloc(size > 0 ? size : 1);
    assert(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    struct fail fail;
    int rc = json_parse(&doc, (struct span){text, size}, &fail);
    check_portable((struct span){text, size}, rc, &fail);
    if (rc != 0) {
        assert(fail.code == ERR_bad_request && doc.count == 0);
        free(text);
        return 0;
    }
    check_cover();
    json_ref parents[JSON_DEPTH_MAX + 1] = {0};
    for (json_ref r = 0; r < doc.count && r < CHECKED_VALUES_MAX; r++) {
        uint32_t depth = json_at(&doc, r)->depth;
        parents[depth] = r;
        check_value(r, depth > 0 ? parents[depth - 1] : 0);
    }
    free(text);
    return 0;
}
