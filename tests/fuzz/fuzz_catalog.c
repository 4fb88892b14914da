/* Fuzz target of the catalog readers.  The first byte selects the format, the rest is the file.
 * Oracles:
 *   - a refusal is a 400 or 413 with a text; a note names what it is about and why;
 *   - what was read can be written, the written file is a valid wayfare file, and read and
 *     written again it is the same text;
 *   - every id and alias is found, and belongs to its model. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "router/catalog_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 26 };

static void check_note(void *ctx, const struct catalog_note *note)
{
    unsigned *n = ctx;
    assert(note->path != NULL && note->reason != NULL && note->reason[0] != '\0');
    (*n)++;
}

/* NULL when the file is refused. */
static struct catalog *read_catalog(struct span text, enum catalog_format format)
{
    struct catalog_builder *b = catalog_builder_new();
    struct catalog *c = NULL;
    struct fail fail = {.code = ERR_OK};
    unsigned notes = 0;
    assert(b != NULL);
    if (catalog_file_read(text, format, b, check_note, &notes, &fail) == 0) {
        c = catalog_freeze(b, 1, NULL, NULL);
        assert(c != NULL);
    } else {
        assert(fail.code == ERR_bad_request || fail.code == ERR_too_large);
        assert(fail.text[0] != '\0');
    }
    catalog_builder_free(b);
    return c;
}

static void check_names(const struct catalog *c)
{
    for (int i = 0; i < c->n_models; i++) {
        const struct model *m = &c->models[i];
        assert(catalog_model(c, span_of(m->slug)) == m);
        for (int k = 0; k < m->n_aliases; k++)
            assert(catalog_model(c, span_of(m->aliases[k])) == m);
        for (int k = 0; k < m->n_endpoints; k++) {
            const struct endpoint *e = m->endpoints[k];
            assert(e->model == m && endpoint_named(e, e->slug));
            assert(catalog_provider(c, span_of(e->provider->slug)) == e->provider);
            assert(catalog_by_upstream(c, e->provider, span_of(e->upstream_model)) != NULL);
        }
    }
}

static void check_written(const struct catalog *c)
{
    struct buf first, second;
    buf_init(&first, OUT_MAX);
    buf_init(&second, OUT_MAX);
    int rc = catalog_file_write(c, &first);
    assert(rc == 0);
    struct catalog *again = read_catalog(buf_span(&first), CATALOG_WAYFARE);
    assert(again != NULL);
    rc = catalog_file_write(again, &second);
    assert(rc == 0);
    assert(span_eq(buf_span(&first), buf_span(&second)));
    catalog_unref(again);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* Exactly its size, so that the sanitizer sees a read beyond the end. */
    char *text = malloc(size);
    assert(text != NULL);
    memcpy(text, data + 1, size - 1);
    struct span file = {text, size - 1};
    catalog_format_guess(file);
    struct catalog *c = read_catalog(file, (enum catalog_format)(data[0] % 4));
    if (c != NULL) {
        check_names(c);
        check_written(c);
        catalog_unref(c);
    }
    free(text);
    return 0;
}
