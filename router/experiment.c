/* Assignment to arms, and the set of running experiments. */
#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED /* router/identity.c says why */
#include "router/experiment.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/sha.h>

#include "router/plan_filter.h"

static const char *const unit_names[UNIT_COUNT] = {"key", "user", "session", "request"};

const char *experiment_unit_name(enum experiment_unit u)
{
    return unit_names[u];
}

bool experiment_unit_parse(const char *name, enum experiment_unit *ret)
{
    for (int i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(name, unit_names[i]) == 0) {
            *ret = (enum experiment_unit)i;
            return true;
        }
    }
    return false;
}

bool experiment_name_ok(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* a path's segment of no name */
    return n > 0 && n < EXPERIMENT_NAME_MAX && name[n] == '\0' && name[0] != '-' && !dots;
}

/* ---- memory ---- */

void experiment_done(struct experiment *e)
{
    for (int i = 0; i < e->n_arms; i++) {
        free(e->arms[i].models);
        free(e->arms[i].text);
        prefs_done(&e->arms[i].prefs);
    }
    e->n_arms = 0;
}

struct experiments *experiments_new(void)
{
    struct experiments *x = calloc(1, sizeof(*x));
    if (x != NULL)
        x->refs = 1;
    return x;
}

struct experiments *experiments_ref(struct experiments *x)
{
    if (x != NULL)
        __atomic_add_fetch(&x->refs, 1, __ATOMIC_RELAXED);
    return x;
}

void experiments_unref(struct experiments *x)
{
    if (x == NULL || __atomic_sub_fetch(&x->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < x->n; i++) {
        experiment_done(x->rows[i]);
        free(x->rows[i]);
    }
    free(x);
}

/* ---- digests ---- */

enum { DIGEST_WORDS = 4 };

struct words {
    uint64_t n[DIGEST_WORDS];
};

/* Lengths first: no two lists of parts give the same bytes. */
static void add(SHA256_CTX *ctx, struct span s)
{
    uint8_t len[8];
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)((uint64_t)s.len >> (8 * i));
    SHA256_Update(ctx, len, sizeof(len));
    if (s.len > 0)
        SHA256_Update(ctx, s.ptr, s.len);
}

static struct words digest(const char *what, const char *salt, enum experiment_unit unit,
                           const struct experiment_name *name)
{
    struct words w = {{0}};
    uint8_t out[SHA256_DIGEST_LENGTH];
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    add(&ctx, span_of(what));
    add(&ctx, span_of(salt));
    add(&ctx, span_of(unit_names[unit]));
    add(&ctx, name->part[0]);
    add(&ctx, name->part[1]);
    SHA256_Final(out, &ctx);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) /* little endian, on every machine */
        w.n[i / 8] |= (uint64_t)out[i] << (8 * (i % 8));
    return w;
}

/* ---- who ---- */

static bool is_named(const struct experiment_name *name)
{
    return name->part[0].len + name->part[1].len > 0;
}

static const char *find(struct span text, const char *what)
{
    return text.len > 0 ? memmem(text.ptr, text.len, what, strlen(what)) : NULL;
}

static bool begins(struct span text, const char *what)
{
    size_t n = strlen(what);
    return text.len >= n && memcmp(text.ptr, what, n) == 0;
}

/* Claude Code writes the session into metadata.user_id: as a JSON object in the string, or, before
 * that, as "user_..._account_..._session_...". false: there is none in it. */
static bool find_session(struct span user, struct span *ret)
{
    static const char member[] = "\\\"session_id\\\":\\\"", word[] = "_session_";
    const char *at = begins(user, "{") ? find(user, member) : NULL, *end = user.ptr + user.len;
    if (at != NULL) {
        at += sizeof(member) - 1;
        const char *quote = memchr(at, '\\', (size_t)(end - at));
        *ret = (struct span){at, (size_t)((quote != NULL ? quote : end) - at)};
        return true;
    }
    bool old = begins(user, "user_") && find(user, "_account_") != NULL;
    at = old ? find(user, word) : NULL;
    if (at == NULL)
        return false;
    at += sizeof(word) - 1;
    *ret = (struct span){at, (size_t)(end - at)};
    return true;
}

static struct span body_session(const struct json_doc *doc)
{
    json_ref v = json_get(doc, 0, "session_id");
    bool text = v != JSON_NONE && json_kind(doc, v) == JSON_STRING;
    return text ? json_inner(doc, v) : (struct span){"", 0};
}

void experiment_who_read(const struct chat *chat, struct span session_header,
                         struct experiment_who *ret)
{
    struct experiment_name *user = &ret->names[UNIT_USER], *session = &ret->names[UNIT_SESSION];
    struct span inner = {"", 0}, all = chat->user_id;
    *user = (struct experiment_name){{all, {"", 0}}};
    if (all.len > 0 && find_session(all, &inner)) {
        const char *behind = inner.ptr + inner.len;
        user->part[0] = (struct span){all.ptr, (size_t)(inner.ptr - all.ptr)};
        user->part[1] = (struct span){behind, (size_t)(all.ptr + all.len - behind)};
    }
    *session = (struct experiment_name){{session_header, {"", 0}}};
    if (session_header.len == 0)
        session->part[0] = body_session(chat->doc);
    if (session->part[0].len == 0)
        session->part[0] = inner;
}

/* ---- assignment ---- */

static bool may_use(const struct experiment *e, const struct catalog *catalog,
                    const struct policy *policy)
{
    for (int i = 0; policy != NULL && policy->models != NULL && i < e->n_arms; i++) {
        const struct experiment_arm *arm = &e->arms[i];
        for (int k = 0; k < arm->n_models; k++) {
            const struct model *m = catalog_model(catalog, span_of(arm->models[k].name));
            if (m != NULL && !policy_allows_model(policy, catalog, m))
                return false;
        }
    }
    return true;
}

static bool in_slots(const struct experiment *e, enum experiment_unit unit,
                     const struct experiment_name *name)
{
    if (e->slot_to - e->slot_from == EXPERIMENT_SLOTS)
        return true;
    int slot = (int)(digest("layer", e->layer, unit, name).n[0] % EXPERIMENT_SLOTS);
    return slot >= e->slot_from && slot < e->slot_to;
}

static const struct experiment_arm *draw_arm(const struct experiment *e, uint64_t draw)
{
    uint64_t sum = 0;
    for (int i = 0; i < e->n_arms; i++)
        sum += e->arms[i].shadow ? 0 : (uint64_t)e->arms[i].weight;
    assert(sum > 0);
    draw %= sum;
    for (int i = 0; i < e->n_arms; i++) {
        uint64_t weight = e->arms[i].shadow ? 0 : (uint64_t)e->arms[i].weight;
        if (draw < weight)
            return &e->arms[i];
        draw -= weight;
    }
    assert(false);
    return NULL;
}

static bool place(const struct experiment *e, const struct experiment_who *who,
                  struct experiment_place *ret)
{
    enum experiment_unit unit = is_named(&who->names[e->unit]) ? e->unit : UNIT_KEY;
    const struct experiment_name *name = &who->names[unit];
    if (!is_named(name) || !in_slots(e, unit, name))
        return false;
    struct words w = digest("unit", e->salt, unit, name);
    if ((int)(w.n[1] % EXPERIMENT_SLOTS) >= e->ramp)
        return false;
    *ret = (struct experiment_place){e, draw_arm(e, w.n[2]), unit, (int64_t)w.n[0], w.n[3]};
    return true;
}

int64_t experiment_unit_hash(const char *salt, enum experiment_unit unit,
                             const struct experiment_name *name)
{
    return (int64_t)digest("unit", salt, unit, name).n[0];
}

void experiments_assign(const struct experiments *x, const struct catalog *catalog,
                        const struct policy *policy, const struct chat *chat,
                        const struct experiment_who *who, struct experiment_place *ret)
{
    *ret = (struct experiment_place){0};
    /* State that one provider keeps is known to that one alone: an arm could only break it. */
    if (x == NULL || chat->pinned_state[0] != '\0')
        return;
    const struct model *m = catalog_model(catalog, span_of(chat->models[0].name));
    if (m != NULL && !policy_allows_model(policy, catalog, m))
        m = NULL; /* refused it is, whatever an arm would make of it */
    for (int i = 0; m != NULL && i < x->n; i++) {
        const struct experiment *e = x->rows[i];
        if (e->unreadable[0] == '\0' && catalog_model(catalog, span_of(e->model)) == m &&
            may_use(e, catalog, policy) && place(e, who, ret))
            return;
    }
}

bool experiment_shadows(const struct experiment_arm *arm, const struct experiment_place *at)
{
    return arm->shadow && at->shadow_draw % 100 < (uint64_t)arm->weight;
}

/* ---- what an arm changes ---- */

static void append_model(struct chat *chat, const struct chat_model *m)
{
    for (int i = 0; i < chat->n_models; i++) {
        if (strcmp(chat->models[i].name, m->name) == 0)
            return;
    }
    if (chat->n_models == CHAT_MODELS_MAX)
        return;
    chat->models[chat->n_models] = *m;
    if (chat->prefs.sort != SORT_none)
        chat->models[chat->n_models].suffix = SUFFIX_NONE;
    chat->n_models++;
}

/* A suffix is a way of sorting: the request's own, or its provider_sort, wins over the arm's. */
static void replace_model(struct chat *chat, const struct chat_model *m)
{
    enum chat_suffix stated = chat->models[0].suffix;
    int kept = 1;
    chat->models[0] = *m;
    if (stated != SUFFIX_NONE || chat->prefs.sort != SORT_none)
        chat->models[0].suffix = stated;
    for (int i = 1; i < chat->n_models; i++) {
        if (strcmp(chat->models[i].name, m->name) != 0)
            chat->models[kept++] = chat->models[i];
    }
    chat->n_models = kept;
}

void experiment_apply(const struct experiment_arm *arm, struct chat *chat)
{
    bool own_fallbacks = chat->n_models > 1;
    if (arm->has_model)
        replace_model(chat, &arm->models[0]);
    for (int i = arm->has_model; i < arm->n_models && !own_fallbacks; i++)
        append_model(chat, &arm->models[i]);
    prefs_inherit(&chat->prefs, &arm->prefs);
}
