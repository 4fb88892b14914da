/* Definitions of experiments, read strictly: what is wrong is named, and nothing is guessed. */
#define _GNU_SOURCE
#include "router/experiment.h"

#include <stdio.h>
#include <stdlib.h>

#include "router/args.h"
#include "router/preset.h"
#include "schema/json_path.h"
#include "schema/money.h"

enum { MAX_SCALE = MONEY_SCALE_NUSD, MAX_ONE = 1000000000, PERCENT_SCALE = 2 };
enum { SHADOW_PERCENT_MAX = 100 };

struct definition {
    struct arg_text name, model, unit, layer;
    struct arg_json arms, shadow_arms, metrics, guardrails, share, ramp;
    struct arg_flag dry_run; /* of the command; nothing to read here */
};

#define AT(member) offsetof(struct definition, member)

static const struct arg_spec specs[] = {{"name", ARG_TEXT, AT(name), true},
                                        {"model", ARG_TEXT, AT(model), true},
                                        {"arms", ARG_JSON, AT(arms), true},
                                        {"shadow_arms", ARG_JSON, AT(shadow_arms), false},
                                        {"unit", ARG_TEXT, AT(unit), false},
                                        {"metrics", ARG_JSON, AT(metrics), false},
                                        {"guardrails", ARG_JSON, AT(guardrails), false},
                                        {"layer", ARG_TEXT, AT(layer), false},
                                        {"share", ARG_JSON, AT(share), false},
                                        {"ramp", ARG_JSON, AT(ramp), false},
                                        {"dry_run", ARG_FLAG, AT(dry_run), false},
                                        {0}};

/* ---- words ---- */

static int read_name(const char *field, const char *text, char ret[EXPERIMENT_NAME_MAX],
                     struct fail *reterr)
{
    if (text == NULL || !experiment_name_ok(text))
        return fail_set(reterr, ERR_bad_request, field,
                        "%s must be 1 to 63 letters, digits, dots, underscores or dashes, with no "
                        "dash at the start, and not . or ..",
                        field);
    snprintf(ret, EXPERIMENT_NAME_MAX, "%s", text);
    return 0;
}

/* Model names are longer, and hold slashes and colons. */
static int read_model(const char *field, const char *text, char ret[CHAT_MODEL_NAME_MAX],
                      struct fail *reterr)
{
    if (text == NULL || text[0] == '\0' || strlen(text) >= CHAT_MODEL_NAME_MAX)
        return fail_set(reterr, ERR_bad_request, field, "%s must be a name of 1 to 255 bytes",
                        field);
    snprintf(ret, CHAT_MODEL_NAME_MAX, "%s", text);
    return 0;
}

int experiment_read_percent(const char *field, struct json_object *value, int *ret,
                            struct fail *reterr)
{
    int64_t n = 0;
    const char *text = value != NULL ? json_object_get_string(value) : "";
    if (json_object_is_type(value, json_type_array) ||
        json_object_is_type(value, json_type_object) ||
        money_parse_plain(span_of(text), PERCENT_SCALE, &n) != MONEY_OK || n < 1 ||
        n > EXPERIMENT_SLOTS)
        return fail_set(reterr, ERR_bad_request, field,
                        "%s must be per cent, from 0.01 to 100 with at most two decimals", field);
    *ret = (int)n;
    return 0;
}

/* ---- what an arm prefers ---- */

/* Text of `reterr` gets the arm's name in front. */
static int blame(const struct experiment_arm *arm, struct fail *reterr)
{
    struct fail inner = *reterr;
    return fail_set(reterr, inner.code, "arms", "arm %s: %s", arm->name, inner.text);
}

/* Borrowed names of a chat that has nothing but models. */
static int take_models(struct experiment_arm *arm, const struct json_doc *doc, struct fail *reterr)
{
    json_ref model, models;
    if (json_get_once(doc, 0, "model", &model, reterr) != 0 ||
        json_get_once(doc, 0, "models", &models, reterr) != 0)
        return -1;
    arm->has_model = model != JSON_NONE && json_kind(doc, model) != JSON_NULL;
    struct chat_model *list = calloc(CHAT_MODELS_MAX, sizeof(*list));
    if (list == NULL)
        return fail_set(reterr, ERR_internal, NULL, "out of memory");
    arm->models = list;
    return chat_read_names(doc, arm->has_model ? model : JSON_NONE, models, list, &arm->n_models,
                           reterr);
}

static int keep_text(struct experiment_arm *arm, struct fail *reterr)
{
    struct buf out;
    buf_init(&out, EXPERIMENT_PREFS_MAX);
    prefs_write(&arm->prefs, &out);
    if (out.len > 0)
        out.len--; /* the closing bracket */
    for (int i = 0; i < arm->n_models; i++) {
        bool first = i == arm->has_model;
        char name[CHAT_MODEL_TEXT_MAX];
        if (out.len > 1 && (i == 0 || first))
            buf_addc(&out, ',');
        buf_adds(&out, i < arm->has_model ? "\"model\":" : first ? "\"models\":[" : ",");
        json_write_string(&out, span_of(chat_model_text(&arm->models[i], name)));
    }
    buf_adds(&out, arm->n_models > arm->has_model ? "]}" : "}");
    arm->text = buf_addc(&out, '\0') ? strdup(out.ptr) : NULL;
    bool full = out.failed;
    buf_done(&out);
    if (arm->text == NULL)
        return fail_set(reterr, full ? ERR_bad_request : ERR_internal, "prefs",
                        full ? "the preferences are too long" : "out of memory");
    return 0;
}

int experiment_read_prefs(struct experiment_arm *arm, const char *json, struct fail *reterr)
{
    static const char *const also[] = {"model", "models", NULL};
    struct json_doc doc;
    json_init(&doc);
    int rc = json_parse(&doc, span_of(json != NULL ? json : "{}"), reterr);
    if (rc == 0)
        rc = preset_check(&doc, "prefs", also, reterr);
    if (rc == 0)
        rc = prefs_read(&arm->prefs, &doc, 0, reterr);
    if (rc == 0)
        rc = take_models(arm, &doc, reterr);
    if (rc == 0)
        rc = keep_text(arm, reterr);
    json_done(&doc);
    return rc == 0 ? 0 : blame(arm, reterr);
}

/* ---- arms ---- */

struct arm_args {
    struct arg_text name;
    struct arg_json prefs;
    struct arg_count weight;
};

static int check_weight(const struct experiment_arm *arm, struct fail *reterr)
{
    int64_t max = arm->shadow ? SHADOW_PERCENT_MAX : EXPERIMENT_WEIGHT_MAX;
    if (arm->weight >= 1 && arm->weight <= max)
        return 0;
    fail_set(reterr, ERR_bad_request, "weight", "the weight must be %s from 1 to %d",
             arm->shadow ? "per cent of the units" : "an integer", (int)max);
    return blame(arm, reterr);
}

static const char *prefs_text(struct json_object *v)
{
    if (v == NULL || json_object_is_type(v, json_type_string))
        return v != NULL ? json_object_get_string(v) : NULL;
    return json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN);
}

static int read_arm(struct experiment *e, struct json_object *value, bool shadow,
                    struct fail *reterr)
{
    static const struct arg_spec arm_specs[] = {
        {"name", ARG_TEXT, offsetof(struct arm_args, name), true},
        {"prefs", ARG_JSON, offsetof(struct arm_args, prefs), false},
        {"weight", ARG_COUNT, offsetof(struct arm_args, weight), false},
        {0}};
    struct arm_args a = {0};
    if (e->n_arms == EXPERIMENT_ARMS_MAX)
        return fail_set(reterr, ERR_bad_request, "arms", "an experiment may have %d arms",
                        EXPERIMENT_ARMS_MAX);
    if (!json_object_is_type(value, json_type_object))
        return fail_set(reterr, ERR_bad_request, "arms",
                        "an arm must be an object of name, prefs and weight");
    struct experiment_arm *arm = &e->arms[e->n_arms];
    *arm = (struct experiment_arm){.shadow = shadow};
    if (args_read(value, arm_specs, &a, reterr) != 0 ||
        read_name("arms", a.name.value, arm->name, reterr) != 0)
        return -1;
    for (int i = 0; i < e->n_arms; i++) {
        if (strcmp(e->arms[i].name, arm->name) == 0)
            return fail_set(reterr, ERR_bad_request, "arms", "two arms are called %s", arm->name);
    }
    prefs_init(&arm->prefs);
    e->n_arms++; /* from here on experiment_done frees it */
    arm->weight = a.weight.given ? a.weight.value : shadow ? SHADOW_PERCENT_MAX : 1;
    if (check_weight(arm, reterr) != 0)
        return -1;
    return experiment_read_prefs(arm, prefs_text(a.prefs.value), reterr);
}

/* One object, or an array of them. */
static int read_arms(struct experiment *e, struct json_object *value, bool shadow,
                     struct fail *reterr)
{
    if (value == NULL)
        return 0;
    if (!json_object_is_type(value, json_type_array))
        return read_arm(e, value, shadow, reterr);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        if (read_arm(e, json_object_array_get_idx(value, i), shadow, reterr) != 0)
            return -1;
    }
    return 0;
}

static int check_arms(const struct experiment *e, struct fail *reterr)
{
    int answering = 0;
    for (int i = 0; i < e->n_arms; i++)
        answering += !e->arms[i].shadow;
    if (answering == 0)
        return fail_set(reterr, ERR_bad_request, "arms",
                        "an experiment needs an arm that answers: shadow arms get copies only");
    if (e->n_arms < 2)
        return fail_set(reterr, ERR_bad_request, "arms",
                        "an experiment needs two arms: there is nothing to compare");
    return 0;
}

/* ---- metrics and guardrails: "NAME:VALUE" ---- */

/* What every report has anyway, under these names. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"requests",    "errors",      "error_rate",
                                        "cost",        "latency",     "canceled",
                                        "cancel_rate", "first_token", "tokens"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* false: there is no colon, or the name in front of it is too long. */
static bool split(const char *text, char name[EXPERIMENT_NAME_MAX], const char **ret_value)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= EXPERIMENT_NAME_MAX)
        return false;
    snprintf(name, EXPERIMENT_NAME_MAX, "%.*s", (int)(colon - text), text);
    *ret_value = colon + 1;
    return true;
}

static int add_metric(struct experiment *e, const char *text, struct fail *reterr)
{
    struct experiment_metric *m = &e->metrics[e->n_metrics];
    const char *better = "";
    if (e->n_metrics == EXPERIMENT_METRICS_MAX)
        return fail_set(reterr, ERR_bad_request, "metrics", "an experiment may have %d metrics",
                        EXPERIMENT_METRICS_MAX);
    bool whole = split(text, m->name, &better) && experiment_name_ok(m->name);
    m->higher = strcmp(better, "higher") == 0;
    if (!whole || (!m->higher && strcmp(better, "lower") != 0))
        return fail_set(reterr, ERR_bad_request, "metrics",
                        "metrics: %.64s must be NAME:higher or NAME:lower, what is better", text);
    if (is_reserved(m->name))
        return fail_set(reterr, ERR_bad_request, "metrics",
                        "metrics: %s is in every report; a metric is what feedback brings",
                        m->name);
    for (int i = 0; i < e->n_metrics; i++) {
        if (strcmp(e->metrics[i].name, m->name) == 0)
            return fail_set(reterr, ERR_bad_request, "metrics", "metrics: %s is given twice",
                            m->name);
    }
    e->n_metrics++;
    return 0;
}

static int add_guardrail(struct experiment *e, const char *text, struct fail *reterr)
{
    struct experiment_guardrail *g = &e->guardrails[e->n_guardrails];
    const char *max = "";
    int64_t n = 0;
    if (e->n_guardrails == EXPERIMENT_GUARDRAILS_MAX)
        return fail_set(reterr, ERR_bad_request, "guardrails",
                        "an experiment may have %d guardrails", EXPERIMENT_GUARDRAILS_MAX);
    bool known = split(text, g->metric, &max) &&
                 (strcmp(g->metric, "error_rate") == 0 || strcmp(g->metric, "cancel_rate") == 0 ||
                  strcmp(g->metric, "cost") == 0 || strcmp(g->metric, "latency") == 0);
    if (!known || money_parse_plain(span_of(max), MAX_SCALE, &n) != MONEY_OK)
        return fail_set(reterr, ERR_bad_request, "guardrails",
                        "guardrails: %.64s must be error_rate:SHARE or cancel_rate:SHARE (such as "
                        "0.05), cost:USD per request, or latency:SECONDS",
                        text);
    /* Somebody meant per cent: such a guardrail would hold nothing, and say nothing. */
    if (strstr(g->metric, "_rate") != NULL && n >= MAX_ONE)
        return fail_set(reterr, ERR_bad_request, "guardrails",
                        "guardrails: %.64s can never be passed: a share is below 1, such as 0.05 "
                        "for 5 per cent",
                        text);
    money_print(n, MAX_SCALE, g->max); /* "007" is no JSON */
    e->n_guardrails++;
    return 0;
}

static int read_list(struct experiment *e, const char *field, struct json_object *value,
                     int (*add)(struct experiment *e, const char *text, struct fail *reterr),
                     struct fail *reterr)
{
    struct json_object *list = NULL;
    int rc = args_list(field, value, &list, reterr);
    for (size_t i = 0; list != NULL && rc == 0 && i < json_object_array_length(list); i++)
        rc = add(e, json_object_get_string(json_object_array_get_idx(list, i)), reterr);
    json_object_put(list);
    return rc;
}

/* Names and numbers need no escapes. */
void experiment_write_metrics(const struct experiment *e, struct buf *out)
{
    buf_addc(out, '[');
    for (int i = 0; i < e->n_metrics; i++)
        buf_addf(out, "%s{\"name\":\"%s\",\"better\":\"%s\"}", i > 0 ? "," : "", e->metrics[i].name,
                 e->metrics[i].higher ? "higher" : "lower");
    buf_addc(out, ']');
}

void experiment_write_guardrails(const struct experiment *e, struct buf *out)
{
    buf_addc(out, '[');
    for (int i = 0; i < e->n_guardrails; i++)
        buf_addf(out, "%s{\"metric\":\"%s\",\"max\":%s}", i > 0 ? "," : "", e->guardrails[i].metric,
                 e->guardrails[i].max);
    buf_addc(out, ']');
}

/* ---- all of it ---- */

static int read_words(const struct definition *d, struct experiment *e, struct fail *reterr)
{
    if (read_name("name", d->name.value, e->name, reterr) != 0 ||
        read_model("model", d->model.value, e->model, reterr) != 0)
        return -1;
    if (d->layer.value != NULL && read_model("layer", d->layer.value, e->layer, reterr) != 0)
        return -1;
    e->unit = UNIT_KEY;
    if (d->unit.value != NULL && !experiment_unit_parse(d->unit.value, &e->unit))
        return fail_set(reterr, ERR_bad_request, "unit",
                        "unit must be key, user, session or request");
    return 0;
}

int experiment_read(struct json_object *args, struct experiment *ret, int *ret_share_slots,
                    struct fail *reterr)
{
    struct definition d = {0};
    memset(ret, 0, sizeof(*ret));
    ret->ramp = *ret_share_slots = EXPERIMENT_SLOTS;
    if (args_read(args, specs, &d, reterr) != 0 || read_words(&d, ret, reterr) != 0 ||
        read_arms(ret, d.arms.value, false, reterr) != 0 ||
        read_arms(ret, d.shadow_arms.value, true, reterr) != 0 || check_arms(ret, reterr) != 0)
        return -1;
    if ((d.share.value != NULL &&
         experiment_read_percent("share", d.share.value, ret_share_slots, reterr) != 0) ||
        (d.ramp.value != NULL &&
         experiment_read_percent("ramp", d.ramp.value, &ret->ramp, reterr) != 0))
        return -1;
    return read_list(ret, "metrics", d.metrics.value, add_metric, reterr) == 0
               ? read_list(ret, "guardrails", d.guardrails.value, add_guardrail, reterr)
               : -1;
}
