/* The parts of the Anthropic adapter that its files share. */
#ifndef PROVIDERS_ANTHROPIC_H
#define PROVIDERS_ANTHROPIC_H

#include "providers/provider.h"
#include "schema/json.h"

/* The figures of a `usage` object as Anthropic writes them.  They are merged in this
 * form and turned into price buckets last: message_delta repeats the cache write total
 * but not its split into 5 minutes and 1 hour, so the two must not be mixed earlier. */
enum anthropic_figure {
    FIGURE_input,
    FIGURE_output,
    FIGURE_cache_read,
    FIGURE_cache_write, /* cache_creation_input_tokens: both kinds together */
    FIGURE_cache_write_5m,
    FIGURE_cache_write_1h,
    FIGURE_web_searches,
    FIGURE_COUNT
};

struct anthropic_figures {
    int64_t n[FIGURE_COUNT];
    uint32_t seen;
};

/* Larger numbers are nonsense and ignored, like negative and fractional ones. */
#define ANTHROPIC_FIGURE_MAX INT64_C(1000000000000)

/* Adds what the object states; other figures stay as they are. */
void anthropic_read_figures(struct anthropic_figures *f, const struct json_doc *doc,
                            json_ref usage);
void anthropic_merge_max(struct anthropic_figures *f, const struct anthropic_figures *newer);
void anthropic_figures_to_usage(const struct anthropic_figures *f, struct usage *ret);
bool anthropic_has_iterations(const struct json_doc *doc, json_ref usage);
/* usage.iterations[] into *r; leaves it alone when there are none. */
void anthropic_read_iterations(struct usage_report *r, const struct json_doc *doc, json_ref usage);

/* The provider's functions of anthropic_stream.c. */
void *anthropic_stream_open(const struct provider_reading *reading);
bool anthropic_stream_feed(void *stream, struct span bytes,
                           void (*on_event)(void *ctx, const struct event *ev), void *ctx);
bool anthropic_stream_at_boundary(const void *stream);
enum verdict anthropic_stream_state(const void *stream, struct usage_report *ret_usage,
                                    int64_t *ret_content_bytes);
void anthropic_stream_close(void *stream);

#endif
