/* Shared by the unit tests of doors: a dialog's prompt as one line of text.
 *   system[text:be brief*5m] u[text:hi image:image/png:iVBO] a[tool_call:c1:f:{}] u(ann)[..]
 * A block is its kind and what it holds, an error has "!", a cache mark "*5m" or "*1h"; a result's
 * own blocks stand in parentheses. */
#ifndef TESTS_UNIT_DIALOG_CASE_H
#define TESTS_UNIT_DIALOG_CASE_H

#include <check.h>

#include "schema/dialog.h"

static inline void print_block(struct buf *out, const struct dialog_block *b)
{
    const struct span shown[] = {b->text,       b->id,          b->name,
                                 b->json,       b->signature,   b->media.type,
                                 b->media.data, b->media.title, b->media.detail};
    buf_adds(out, dialog_kind_name(b->kind));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (shown[i].len > 0) {
            buf_addc(out, ':');
            buf_add_span(out, shown[i]);
        }
    }
    buf_adds(out, b->is_error ? "!" : "");
    buf_adds(out, b->cache == CACHE_5M ? "*5m" : b->cache == CACHE_1H ? "*1h" : "");
}

static inline void print_blocks(struct buf *out, const struct dialog_blocks *list)
{
    const struct dialog_block *last = NULL;
    int n = 0;
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next, n++) {
        buf_adds(out, n > 0 ? " " : "");
        print_block(out, b);
        for (const struct dialog_block *c = b->children.first; c != NULL; c = c->next) {
            buf_adds(out, c == b->children.first ? "(" : " ");
            print_block(out, c);
            ck_assert_ptr_null(c->children.first);
        }
        buf_adds(out, b->children.n > 0 ? ")" : "");
        last = b;
    }
    ck_assert_int_eq(n, list->n);
    ck_assert_ptr_eq(last, list->last);
}

static inline void print_prompt(struct buf *out, const struct dialog *d)
{
    static const char letters[] = {[ROLE_USER] = 'u', [ROLE_ASSISTANT] = 'a', [ROLE_SYSTEM] = 's'};
    int n = 0;
    if (d->system.n > 0) {
        buf_adds(out, "system[");
        print_blocks(out, &d->system);
        buf_adds(out, "] ");
    }
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next, n++) {
        buf_addc(out, letters[m->role]);
        if (m->name.len > 0)
            buf_addf(out, "(%.*s)", (int)m->name.len, m->name.ptr);
        buf_addc(out, '[');
        print_blocks(out, &m->blocks);
        buf_adds(out, m->next != NULL ? "] " : "]");
    }
    ck_assert_int_eq(n, d->n_messages);
}

/* What every reader keeps: schema/dialog.h "Normal form". */
static inline void check_normal_form(const struct dialog *d)
{
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        bool results = true;
        ck_assert_int_gt(m->blocks.n, 0);
        ck_assert(m->next == NULL || m->next->role != m->role || !span_eq(m->next->name, m->name));
        for (const struct dialog_block *b = m->blocks.first; b != NULL; b = b->next) {
            bool result = b->kind == BLOCK_TOOL_RESULT;
            ck_assert(!result || (results && m->role == ROLE_USER));
            results = result;
        }
    }
}

#endif
