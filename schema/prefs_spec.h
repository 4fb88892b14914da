/* The routing fields: one row each, from which prefs.c reads, prefs_write.c writes and
 * the tests make their cases.  Adding a field is adding a row (and a member of struct
 * prefs, and whoever acts on it).  Rows follow the table of docs/api.md.
 *
 * FIELD(flat, level, nested, type, member, arg)
 *   flat    name at the top level, NULL: only inside `provider`
 *   level   where the nested name stands: PROVIDER, MAX_PRICE, or FLAT for nowhere
 *   nested  name there, NULL with FLAT
 *   type    picks read_<type> in prefs.c and write_<type> in prefs_write.c
 *   member  of struct prefs
 *   arg     for caps: decimal places of the integer they are kept as */
#ifndef SCHEMA_PREFS_SPEC_H
#define SCHEMA_PREFS_SPEC_H

#define PREFS_FIELDS(FIELD)                                                                        \
    FIELD("provider_order", PROVIDER, "order", slugs, order, 0)                                    \
    FIELD("provider_only", PROVIDER, "only", slugs, only, 0)                                       \
    FIELD("provider_ignore", PROVIDER, "ignore", slugs, ignore, 0)                                 \
    FIELD("provider_sort", PROVIDER, "sort", sort, sort, 0)                                        \
    FIELD("provider_quantizations", PROVIDER, "quantizations", quants, quantizations, 0)           \
    FIELD("provider_max_prompt_price", MAX_PRICE, "prompt", mtok_cap, max_prompt,                  \
          MONEY_SCALE_MTOK)                                                                        \
    FIELD("provider_max_completion_price", MAX_PRICE, "completion", mtok_cap, max_completion,      \
          MONEY_SCALE_MTOK)                                                                        \
    FIELD("provider_max_request_price", MAX_PRICE, "request", cap, max_request, MONEY_SCALE_UNIT)  \
    FIELD("provider_max_image_price", MAX_PRICE, "image", cap, max_image, MONEY_SCALE_UNIT)        \
    FIELD(NULL, MAX_PRICE, "audio", cap, max_audio, MONEY_SCALE_MTOK)                              \
    FIELD(NULL, PROVIDER, "max_price", prices, max_prompt, 0)                                      \
    FIELD("provider_max_total_cost", FLAT, NULL, cap, max_total, MONEY_SCALE_NUSD)                 \
    FIELD("provider_require_parameters", PROVIDER, "require_parameters", flag, require_parameters, \
          0)                                                                                       \
    FIELD("provider_data_collection", PROVIDER, "data_collection", collection,                     \
          data_collection_deny, 0)                                                                 \
    FIELD("provider_zdr", PROVIDER, "zdr", flag, zdr, 0)                                           \
    FIELD("provider_enforce_distillable_text", PROVIDER, "enforce_distillable_text", flag,         \
          distillable, 0)                                                                          \
    FIELD("provider_allow_fallbacks", PROVIDER, "allow_fallbacks", fallbacks, allow_fallbacks, 0)  \
    FIELD("provider_preferred_max_latency", PROVIDER, "preferred_max_latency", perf, max_latency,  \
          0)                                                                                       \
    FIELD("provider_preferred_min_throughput", PROVIDER, "preferred_min_throughput", perf,         \
          min_throughput, 0)                                                                       \
    FIELD("provider_configs", FLAT, NULL, configs, configs, 0)

enum prefs_level { PREFS_FLAT, PREFS_PROVIDER, PREFS_MAX_PRICE, PREFS_LEVEL_COUNT };

/* Decimal places of preferred latency (seconds, kept in ms) and throughput. */
enum { PREFS_PERF_SCALE = 3 };

#endif
