/* A fixed hash table of (site, model); entries are never removed before the end. */
#include "sim/roster.h"

#include <stdlib.h>

void roster_init(struct roster *r)
{
    memset(r, 0, sizeof(*r));
}

void roster_done(struct roster *r)
{
    for (int i = 0; i < r->n_models; i++) {
        free(r->all[i]->script);
        free(r->all[i]);
    }
}

void roster_reset(struct roster *r)
{
    for (int i = 0; i < r->n_models; i++) {
        struct roster_model *m = r->all[i];
        free(m->script);
        m->script = NULL;
        m->n_requests = m->n_complete = m->n_failed = m->n_turns = m->output_tok = 0;
    }
    r->n_scripts = 0;
}

static uint32_t hash(struct span site, struct span model)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < site.len; i++)
        h = (h ^ (unsigned char)site.ptr[i]) * 16777619u;
    h = (h ^ 0xffu) * 16777619u;
    for (size_t i = 0; i < model.len; i++)
        h = (h ^ (unsigned char)model.ptr[i]) * 16777619u;
    return h;
}

/* The slot that holds the pair, or the empty one where it belongs. */
static struct roster_model **find(struct roster *r, struct span site, struct span model)
{
    uint32_t i = hash(site, model) % ROSTER_SLOTS;
    while (r->slots[i] != NULL &&
           (!span_is(site, r->slots[i]->site) || !span_is(model, r->slots[i]->model)))
        i = (i + 1) % ROSTER_SLOTS;
    return &r->slots[i];
}

struct roster_model *roster_get(struct roster *r, struct span site, struct span model)
{
    if (site.len >= ROSTER_NAME_MAX || model.len >= ROSTER_NAME_MAX)
        return NULL;
    struct roster_model **slot = find(r, site, model);
    if (*slot != NULL)
        return *slot;
    if (r->n_models == ROSTER_MODELS_MAX)
        return NULL;
    struct roster_model *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    memcpy(m->site, site.ptr, site.len);
    memcpy(m->model, model.ptr, model.len);
    r->all[r->n_models++] = m;
    *slot = m;
    return m;
}

bool roster_set_script(struct roster *r, struct roster_model *m, struct span text)
{
    char *copy = NULL;
    if (text.len > 0) {
        copy = malloc(text.len + 1);
        if (copy == NULL)
            return false;
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    r->n_scripts += (copy != NULL) - (m->script != NULL);
    free(m->script);
    m->script = copy;
    m->n_turns = 0;
    return true;
}

void roster_apply(struct roster *r, struct span site, struct span model, struct script *s)
{
    if (r->n_scripts == 0)
        return;
    const struct span any = SPAN("*");
    const struct span keys[4][2] = {{any, any}, {any, model}, {site, any}, {site, model}};
    for (int i = 0; i < 4; i++) {
        struct roster_model *m = *find(r, keys[i][0], keys[i][1]);
        struct span bad;
        if (m != NULL && m->script != NULL)
            script_apply(s, span_of(m->script), "&", &bad);
    }
}
