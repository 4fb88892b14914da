/* Unit tests of router/experiment.c and experiment_read.c: definitions, assignment, what an arm
 * changes.  Salts are fixed, so a distribution is good or bad for ever, not by chance. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "plan_world.h"
#include "router/experiment.h"
#include "schema/chat_reader.h"

static struct world world;

static void set_up(void)
{
    world = world_from_text("provider acme\n"
                            "model acme/large alias=large\n"
                            "endpoint acme prompt=1 completion=2\n"
                            "model acme/small alias=small\n"
                            "endpoint acme prompt=1 completion=2\n");
}

static void tear_down(void)
{
    plan_world_end(&world);
}

/* ---- definitions ---- */

static int read_text(const char *json, struct experiment *e, int *share, struct fail *f)
{
    struct json_object *args = json_tokener_parse(json);
    ck_assert_ptr_nonnull(args);
    int rc = experiment_read(args, e, share, f);
    json_object_put(args);
    return rc;
}

static struct experiment good(const char *json)
{
    struct experiment e;
    struct fail f = {0};
    int share;
    ck_assert_msg(read_text(json, &e, &share, &f) == 0, "%s: %s", json, f.text);
    snprintf(e.salt, sizeof(e.salt), "00112233445566778899aabbccddeeff");
    snprintf(e.layer, sizeof(e.layer), "acme/large");
    e.slot_to = EXPERIMENT_SLOTS;
    return e;
}

#define ARMS "\"arms\":[{\"name\":\"a\",\"weight\":50},{\"name\":\"b\",\"weight\":50}]"

static const struct {
    const char *json, *field, *text;
} refused[] = {
    {"{\"model\":\"m\"," ARMS "}", "name", "name is required"},
    {"{\"name\":\"-x\",\"model\":\"m\"," ARMS "}", "name", "name must be 1 to 63 letters"},
    {"{\"name\":\"..\",\"model\":\"m\"," ARMS "}", "name", "name must be 1 to 63 letters"},
    {"{\"name\":\"x y\",\"model\":\"m\"," ARMS "}", "name", "name must be 1 to 63 letters"},
    {"{\"name\":\"x\"," ARMS "}", "model", "model is required"},
    {"{\"name\":\"x\",\"model\":\"m\"}", "arms", "arms is required"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":{\"name\":\"a\"}}", "arms",
     "an experiment needs two"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[],\"shadow_arms\":[{\"name\":\"s\"}]}", "arms",
     "an experiment needs an arm that answers"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "arms",
     "two arms are called a"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"weight\":0},{\"name\":\"b\"}]}",
     "arms", "arm a: the weight must be an integer from 1 to 1000000"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"shadow_arms\":{\"name\":\"s\",\"weight\":101}}",
     "arms", "arm s: the weight must be per cent of the units from 1 to 100"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":{\"provider_sort\":"
     "\"prise\"}},{\"name\":\"b\"}]}",
     "arms", "arm a: provider_sort must be one of price, throughput, latency"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":{\"provider_zort\":1}},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: provider_zort"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":{\"temperature\":1}},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: prefs: temperature is not a routing preference"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":{\"model\":\"\"}},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: model must be the name of a model"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":{\"provider_configs\":{}}"
     "},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: provider_configs belong to a request"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":\"[1]\"},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: prefs must be a JSON object"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"prefs\":\"\"},"
     "{\"name\":\"b\"}]}",
     "arms", "arm a: not valid JSON"},
    {"{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"a\",\"colour\":1},{\"name\":\"b\"}]}",
     "colour", ""},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"unit\":\"team\"}", "unit",
     "unit must be key, user"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"ramp\":\"0\"}", "ramp", "ramp must be per cent"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"ramp\":\"100.01\"}", "ramp", "ramp must be per"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"share\":[5]}", "share", "share must be per cent"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"metrics\":\"liked\"}", "metrics",
     "metrics: liked must be NAME:higher or NAME:lower"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"metrics\":[\"a:lower\",\"a:higher\"]}", "metrics",
     "metrics: a is given twice"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"metrics\":\"cost:lower\"}", "metrics",
     "metrics: cost is in every report"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"guardrails\":\"tokens:5\"}", "guardrails",
     "guardrails: tokens:5 must be error_rate:SHARE"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"guardrails\":\"error_rate:10\"}", "guardrails",
     "guardrails: error_rate:10 can never be passed: a share is below 1"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"guardrails\":\"cancel_rate:1\"}", "guardrails",
     "guardrails: cancel_rate:1 can never be passed"},
    {"{\"name\":\"x\",\"model\":\"m\"," ARMS ",\"guardrails\":\"cost:many\"}", "guardrails",
     "guardrails: cost:many must be error_rate:SHARE"},
};

START_TEST(names_what_is_wrong)
{
    struct experiment e;
    struct fail f = {0};
    int share;
    ck_assert_msg(read_text(refused[_i].json, &e, &share, &f) == -1, "%s", refused[_i].json);
    ck_assert_msg(strncmp(f.text, refused[_i].text, strlen(refused[_i].text)) == 0, "%s", f.text);
    ck_assert_str_eq(f.field, refused[_i].field);
    ck_assert_int_eq(f.code, ERR_bad_request);
    experiment_done(&e);
}
END_TEST

START_TEST(keeps_a_definition)
{
    struct buf out;
    struct experiment e =
        good("{\"name\":\"x.1\",\"model\":\"large\",\"unit\":\"session\",\"ramp\":\"12.5\","
             "\"arms\":[{\"name\":\"a\",\"weight\":3},{\"name\":\"b\",\"weight\":1,\"prefs\":"
             "{\"provider_sort\":\"price\",\"model\":\"small:nitro\",\"models\":[\"large\"]}}],"
             "\"shadow_arms\":{\"name\":\"s\",\"prefs\":\"{\\\"models\\\":[\\\"small\\\"]}\"},"
             "\"metrics\":[\"liked:higher\",\"turns:lower\"],\"guardrails\":[\"cost:007.50\"]}");
    ck_assert_int_eq(e.ramp, 1250);
    ck_assert_int_eq(e.unit, UNIT_SESSION);
    ck_assert_int_eq(e.n_arms, 3);
    ck_assert_str_eq(e.arms[0].text, "{}");
    ck_assert_str_eq(e.arms[1].text, "{\"provider_sort\":\"price\",\"model\":\"small:nitro\","
                                     "\"models\":[\"large\"]}");
    ck_assert_str_eq(e.arms[2].text, "{\"models\":[\"small\"]}");
    ck_assert(e.arms[2].shadow && e.arms[2].weight == 100 && !e.arms[2].has_model);
    buf_init(&out, EXPERIMENT_TEXT_MAX);
    experiment_write_metrics(&e, &out);
    experiment_write_guardrails(&e, &out);
    ck_assert_str_eq(out.ptr, "[{\"name\":\"liked\",\"better\":\"higher\"},"
                              "{\"name\":\"turns\",\"better\":\"lower\"}]"
                              "[{\"metric\":\"cost\",\"max\":7.5}]");
    buf_done(&out);
    experiment_done(&e);
}
END_TEST

/* ---- requests ---- */

static struct json_doc doc;
static struct chat chat;

static void read_chat(const char *body)
{
    struct fail f = {0};
    json_init(&doc);
    chat_init(&chat);
    ck_assert_msg(json_parse(&doc, span_of(body), &f) == 0, "%s", f.text);
    ck_assert_msg(chat_read_anthropic(&chat, &doc, false, &f) == 0, "%s", f.text);
}

static void done_chat(void)
{
    chat_done(&chat);
    json_done(&doc);
}

#define BODY(more)                                                                                 \
    "{\"model\":\"acme/large\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"

static struct experiment_who who_of(const char *key)
{
    struct experiment_who who = {0};
    who.names[UNIT_KEY].part[0] = span_of(key);
    return who;
}

static struct experiment_place assign(struct experiment *const *list, int n,
                                      const struct experiment_who *who)
{
    struct experiments x = {.n = n, .refs = 1};
    struct experiment_place at;
    for (int i = 0; i < n; i++)
        x.rows[i] = list[i];
    experiments_assign(&x, world.catalog, NULL, &chat, who, &at);
    return at;
}

/* ---- distribution ---- */

enum { UNITS = 1000000, ARMS_HERE = 3 };

static double chi_square(const double *seen, const double *expected, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    return sum;
}

/* One pass over a million keys through two experiments of the same arms and other salts, both
 * with half the units: arms by weight, ramps by half, and nothing of one is seen in the other.
 * Bounds: the 99.9 per cent points of chi-square. */
START_TEST(spreads_evenly_and_independently)
{
    static const double weights[ARMS_HERE] = {5, 3, 2};
    struct experiment e[2];
    double arms[2][ARMS_HERE] = {{0}}, both[16] = {0}, n[2] = {0}, expected[16];
    for (int k = 0; k < 2; k++) {
        e[k] = good("{\"name\":\"x\",\"model\":\"large\",\"ramp\":50,\"arms\":[{\"name\":\"0\","
                    "\"weight\":5},{\"name\":\"1\",\"weight\":3},{\"name\":\"2\",\"weight\":2}]}");
        e[k].salt[0] = (char)('a' + k);
    }
    read_chat(BODY());
    for (int i = 0; i < UNITS; i++) {
        char key[32];
        int at[2];
        snprintf(key, sizeof(key), "key_%016x", (unsigned)i);
        struct experiment_who who = who_of(key);
        for (int k = 0; k < 2; k++) {
            struct experiment *one = &e[k];
            struct experiment_place p = assign(&one, 1, &who);
            at[k] = p.experiment != NULL ? p.arm->name[0] - '0' : ARMS_HERE;
            if (at[k] < ARMS_HERE) {
                arms[k][at[k]]++;
                n[k]++;
            }
        }
        both[at[0] * 4 + at[1]]++;
    }
    for (int k = 0; k < 2; k++) {
        double half[2] = {n[k], UNITS - n[k]}, halves[2] = {UNITS / 2.0, UNITS / 2.0};
        for (int i = 0; i < ARMS_HERE; i++)
            expected[i] = n[k] * weights[i] / 10;
        ck_assert_double_lt(chi_square(arms[k], expected, ARMS_HERE), 13.82); /* 2 degrees */
        ck_assert_double_lt(chi_square(half, halves, 2), 10.83);              /* 1 degree */
        experiment_done(&e[k]);
    }
    for (int a = 0; a < 4; a++) {
        for (int b = 0; b < 4; b++) {
            double row = 0, column = 0;
            for (int i = 0; i < 4; i++) {
                row += both[a * 4 + i];
                column += both[i * 4 + b];
            }
            expected[a * 4 + b] = row * column / UNITS;
        }
    }
    ck_assert_double_lt(chi_square(both, expected, 16), 27.88); /* 9 degrees */
    done_chat();
}
END_TEST

/* What an independent SHA-256 (Python's hashlib) gives for these inputs: other servers, other
 * builds and other days agree. */
START_TEST(is_the_same_everywhere)
{
    struct experiment e = good("{\"name\":\"x\",\"model\":\"large\"," ARMS "}"), *list = &e;
    read_chat(BODY());
    struct experiment_who who = who_of("key_0123456789abcdef");
    struct experiment_place p = assign(&list, 1, &who);
    ck_assert_ptr_eq(p.experiment, &e);
    ck_assert_int_eq(p.hash, INT64_C(-733297256615656498));
    ck_assert_str_eq(p.arm->name, "b");
    ck_assert_int_eq(p.unit, UNIT_KEY);
    done_chat();
    experiment_done(&e);
}
END_TEST

START_TEST(a_higher_ramp_moves_nobody)
{
    enum { KEYS = 2000, STEPS = 5 };
    static const int ramps[STEPS] = {100, 1000, 2500, 5000, 10000};
    struct experiment e = good("{\"name\":\"x\",\"model\":\"large\"," ARMS "}"), *list = &e;
    int before = 0;
    read_chat(BODY());
    const struct experiment_arm **had = calloc(KEYS, sizeof(*had));
    for (int s = 0; s < STEPS; s++) {
        int n = 0;
        e.ramp = ramps[s];
        for (int i = 0; i < KEYS; i++) {
            char key[32];
            snprintf(key, sizeof(key), "key_%d", i);
            struct experiment_who who = who_of(key);
            struct experiment_place p = assign(&list, 1, &who);
            ck_assert_msg(had[i] == NULL || had[i] == p.arm, "%s moved at ramp %d", key, e.ramp);
            had[i] = p.experiment != NULL ? p.arm : NULL;
            n += p.experiment != NULL;
        }
        ck_assert_int_gt(n, before);
        before = n;
    }
    ck_assert_int_eq(before, KEYS);
    free(had);
    done_chat();
    experiment_done(&e);
}
END_TEST

/* Two in one layer share it out; a third, of another layer but the same model, gets who is left. */
START_TEST(a_layer_excludes)
{
    enum { KEYS = 20000 };
    struct experiment e[2];
    int n[3] = {0};
    for (int k = 0; k < 2; k++) {
        e[k] = good("{\"name\":\"x\",\"model\":\"large\"," ARMS "}");
        e[k].salt[0] = (char)('a' + k);
        e[k].slot_from = k * 3000;
        e[k].slot_to = 3000 + k * 3000;
    }
    read_chat(BODY());
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        struct experiment *one = &e[0], *two = &e[1];
        snprintf(key, sizeof(key), "key_%d", i);
        struct experiment_who who = who_of(key);
        bool in_one = assign(&one, 1, &who).experiment != NULL;
        bool in_two = assign(&two, 1, &who).experiment != NULL;
        ck_assert(!in_one || !in_two);
        n[in_one ? 0 : in_two ? 1 : 2]++;
    }
    for (int k = 0; k < 3; k++) /* 30, 30 and 40 per cent; five standard deviations are 350 */
        ck_assert_int_lt(abs(n[k] - KEYS * (k < 2 ? 3 : 4) / 10), 350);
    done_chat();
    experiment_done(&e[0]);
    experiment_done(&e[1]);
}
END_TEST

/* ---- who ---- */

static const struct {
    const char *body, *header, *user, *session;
} names[] = {
    {BODY(), "", "", ""},
    {BODY(), "h", "", "h"},
    {BODY(",\"session_id\":\"s\""), "", "", "s"},
    {BODY(",\"session_id\":\"s\""), "h", "", "h"},
    {BODY(",\"session_id\":5,\"metadata\":{\"user_id\":\"u\"}"), "", "u", ""},
    {BODY(",\"metadata\":{\"user_id\":\"my_session_user\"}"), "", "my_session_user", ""},
    {BODY(",\"metadata\":{\"user_id\":\"user_1_account_2_session_3\"}"), "",
     "user_1_account_2_session_", "3"},
    {BODY(",\"metadata\":{\"user_id\":\"{\\\"device_id\\\":\\\"d\\\",\\\"session_id\\\":\\\"s\\\","
          "\\\"x\\\":1}\"}"),
     "", "{\\\"device_id\\\":\\\"d\\\",\\\"session_id\\\":\\\"|\\\",\\\"x\\\":1}", "s"},
    {BODY(",\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"s\\\"}\"}"), "h",
     "{\\\"session_id\\\":\\\"|\\\"}", "h"},
};

START_TEST(finds_who_asks)
{
    struct experiment_who who = {0};
    char user[128];
    read_chat(names[_i].body);
    experiment_who_read(&chat, span_of(names[_i].header), &who);
    const struct experiment_name *u = &who.names[UNIT_USER], *s = &who.names[UNIT_SESSION];
    snprintf(user, sizeof(user), "%.*s%s%.*s", (int)u->part[0].len, u->part[0].ptr,
             u->part[1].len > 0 ? "|" : "", (int)u->part[1].len, u->part[1].ptr);
    ck_assert_str_eq(user, names[_i].user);
    ck_assert(span_is(s->part[0], names[_i].session));
    done_chat();
}
END_TEST

START_TEST(a_missing_unit_is_the_key)
{
    struct experiment e = good("{\"name\":\"x\",\"model\":\"large\",\"unit\":\"user\"," ARMS "}");
    struct experiment *list = &e;
    read_chat(BODY());
    struct experiment_who who = who_of("key_1");
    ck_assert_int_eq(assign(&list, 1, &who).unit, UNIT_KEY);
    who.names[UNIT_USER].part[0] = span_of("u");
    ck_assert_int_eq(assign(&list, 1, &who).unit, UNIT_USER);
    who = who_of("");
    ck_assert_ptr_null(assign(&list, 1, &who).experiment);
    done_chat();
    experiment_done(&e);
}
END_TEST

/* ---- whose requests ---- */

static const char *const only_large[] = {"large", NULL}, *const only_small[] = {"small", NULL};

START_TEST(only_requests_that_every_arm_could_serve)
{
    struct experiment e = good("{\"name\":\"x\",\"model\":\"large\",\"arms\":[{\"name\":\"a\"},"
                               "{\"name\":\"b\",\"prefs\":{\"model\":\"small\"}}]}");
    struct experiment *list = &e;
    struct experiments x = {.n = 1, .rows = {&e}, .refs = 1};
    const struct policy policy = {.models = only_large}, other = {.models = only_small};
    struct experiment_who who = who_of("key_1");
    struct experiment_place at;
    read_chat(BODY());
    ck_assert_ptr_nonnull(assign(&list, 1, &who).experiment);
    experiments_assign(&x, world.catalog, &policy, &chat, &who, &at);
    ck_assert_ptr_null(at.experiment);
    experiments_assign(&x, world.catalog, &other, &chat, &who, &at);
    ck_assert_ptr_null(at.experiment);
    snprintf(chat.pinned_state, sizeof(chat.pinned_state), "file_1");
    ck_assert_ptr_null(assign(&list, 1, &who).experiment);
    done_chat();
    read_chat("{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    ck_assert_ptr_null(assign(&list, 1, &who).experiment);
    done_chat();
    read_chat("{\"model\":\"unheard-of\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    ck_assert_ptr_null(assign(&list, 1, &who).experiment);
    done_chat();
    experiment_done(&e);
}
END_TEST

/* ---- what an arm changes ---- */

static const struct {
    const char *body, *prefs, *models, *written;
} applied[] = {
    {BODY(), "{}", "acme/large", "{}"},
    {BODY(), "{\"provider_sort\":\"price\"}", "acme/large", "{\"provider_sort\":\"price\"}"},
    {BODY(",\"provider_sort\":\"latency\""), "{\"provider_sort\":\"price\",\"provider_zdr\":true}",
     "acme/large", "{\"provider_sort\":\"latency\",\"provider_zdr\":true}"},
    {BODY(), "{\"model\":\"small\"}", "small", "{}"},
    {BODY(",\"models\":[\"other\"]"), "{\"model\":\"small\",\"models\":[\"x\"]}", "small other",
     "{}"},
    {BODY(",\"models\":[\"small\"]"), "{\"model\":\"small\"}", "small", "{}"},
    {BODY(), "{\"model\":\"small\",\"models\":[\"acme/large\",\"small\"]}", "small acme/large",
     "{}"},
    {BODY(), "{\"models\":[\"small\"]}", "acme/large small", "{}"},
    {"{\"model\":\"large:floor\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"small:nitro\"}", "small:floor", "{}"},
    {BODY(), "{\"model\":\"small:nitro\"}", "small:nitro", "{}"},
};

START_TEST(an_arm_fills_in)
{
    static const char *const suffixes[] = {"", ":floor", ":nitro"};
    struct experiment_arm arm = {.name = "a"};
    struct fail f = {0};
    struct buf out;
    buf_init(&out, 4096);
    prefs_init(&arm.prefs);
    ck_assert_msg(experiment_read_prefs(&arm, applied[_i].prefs, &f) == 0, "%s", f.text);
    read_chat(applied[_i].body);
    experiment_apply(&arm, &chat);
    for (int i = 0; i < chat.n_models; i++)
        buf_addf(&out, "%s%s%s", i > 0 ? " " : "", chat.models[i].name,
                 suffixes[chat.models[i].suffix]);
    ck_assert_str_eq(out.ptr, applied[_i].models);
    buf_reset(&out);
    prefs_write(&chat.prefs, &out);
    buf_addc(&out, '\0');
    ck_assert_str_eq(out.ptr, applied[_i].written);
    buf_done(&out);
    done_chat();
    struct experiment e = {.n_arms = 1, .arms = {arm}};
    experiment_done(&e);
}
END_TEST

START_TEST(shadows_by_per_cent)
{
    struct experiment_arm arm = {.shadow = true, .weight = 25};
    struct experiment_place at = {.shadow_draw = 124};
    ck_assert(experiment_shadows(&arm, &at));
    at.shadow_draw = 125;
    ck_assert(!experiment_shadows(&arm, &at));
    arm.shadow = false;
    at.shadow_draw = 0;
    ck_assert(!experiment_shadows(&arm, &at));
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

Suite *experiment_suite(void);
Suite *experiment_suite(void)
{
    Suite *s = suite_create("experiment");
    TCase *t = tcase_create("experiment");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, names_what_is_wrong, 0, COUNT(refused));
    tcase_add_test(t, keeps_a_definition);
    tcase_add_test(t, spreads_evenly_and_independently);
    tcase_add_test(t, is_the_same_everywhere);
    tcase_add_test(t, a_higher_ramp_moves_nobody);
    tcase_add_test(t, a_layer_excludes);
    tcase_add_loop_test(t, finds_who_asks, 0, COUNT(names));
    tcase_add_test(t, a_missing_unit_is_the_key);
    tcase_add_test(t, only_requests_that_every_arm_could_serve);
    tcase_add_loop_test(t, an_arm_fills_in, 0, COUNT(applied));
    tcase_add_test(t, shadows_by_per_cent);
    suite_add_tcase(s, t);
    return s;
}
