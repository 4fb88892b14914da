/* What error answers say of the credential: a row for each sign and for what looks like one. */
#include <check.h>

#include "providers/refusal.h"
#include "schema/when.h"

Suite *refusal_suite(void);

static const int64_t NOW_MS = INT64_C(1795910400000); /* 2026-11-29T00:00:00Z */

#define ANTHROPIC(type, message)                                                                   \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
#define OPENAI(code, message)                                                                      \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" code "\",\"code\":\"" code "\"}}"

static const struct {
    const char *protocol;
    int http_status;
    const char *body;
    enum refusal_kind kind;
    const char *reset; /* NULL = nobody knows */
} ROWS[] = {
    {"anthropic", 429, ANTHROPIC("rate_limit_error", "slow down"), REFUSAL_LIMITED, NULL},
    {"anthropic", 429,
     "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\",\"details\":{\"error_code\":"
     "\"enforced_spend_limit_reached\"}}}",
     REFUSAL_SPENT, "2026-12-01T00:00:00.000Z"},
    {"anthropic", 429, ANTHROPIC("enforced_spend_limit_reached", "x"), REFUSAL_SPENT,
     "2026-12-01T00:00:00.000Z"},
    {"anthropic", 429, ANTHROPIC("rate_limit_error", "Your organization's spend limit is reached"),
     REFUSAL_SPENT, "2026-12-01T00:00:00.000Z"},
    {"anthropic", 400,
     ANTHROPIC("invalid_request_error", "You have reached your specified API usage limits. You "
                                        "will regain access on 2027-01-01 at 00:30 UTC."),
     REFUSAL_SPENT, "2027-01-01T00:30:00.000Z"},
    /* A day that has passed is no reset. */
    {"anthropic", 400,
     ANTHROPIC("invalid_request_error", "You have reached your specified API usage limits. You "
                                        "will regain access on 2026-01-01 at 00:00 UTC."),
     REFUSAL_SPENT, "2026-12-01T00:00:00.000Z"},
    {"anthropic", 400,
     ANTHROPIC("invalid_request_error", "Your credit balance is too low to access the API."),
     REFUSAL_SPENT, NULL},
    {"anthropic", 400, ANTHROPIC("invalid_request_error", "max_tokens: too large"), REFUSAL_NONE,
     NULL},
    {"openai", 400, OPENAI("invalid_request_error", "specified API usage limits"), REFUSAL_NONE,
     NULL},
    {"openai", 429, OPENAI("insufficient_quota", "You exceeded your current quota"), REFUSAL_SPENT,
     "2026-12-01T00:00:00.000Z"},
    {"azure-openai", 429, OPENAI("insufficient_quota", ""), REFUSAL_SPENT,
     "2026-12-01T00:00:00.000Z"},
    {"openai", 400, OPENAI("billing_hard_limit_reached", ""), REFUSAL_SPENT,
     "2026-12-01T00:00:00.000Z"},
    {"openai", 429, OPENAI("rate_limit_exceeded", "insufficient_quota is not what this is"),
     REFUSAL_LIMITED, NULL},
    {"openai", 429, OPENAI("no_insufficient_quota_at_all", ""), REFUSAL_LIMITED, NULL},
    {"openai", 402, "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}",
     REFUSAL_SPENT, NULL},
    {"openai", 402,
     "{\"error\":{\"code\":402,\"message\":\"This request requires more credits, or fewer "
     "max_tokens.\"}}",
     REFUSAL_NONE, NULL},
    {"openai", 403,
     "{\"error\":{\"code\":403,\"message\":\"requires moderation and your input was flagged\"}}",
     REFUSAL_NONE, NULL},
    {"openai", 403, "{\"error\":{\"code\":403,\"message\":\"Key limit exceeded (daily limit).\"}}",
     REFUSAL_SPENT, NULL},
    {"vertex", 403,
     "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"x\",\"details\":[1,"
     "{\"reason\":\"BILLING_DISABLED\"}]}}",
     REFUSAL_SPENT, NULL},
    {"gemini", 403, "{\"error\":{\"status\":\"PERMISSION_DENIED\"}}", REFUSAL_BARRED, NULL},
    {"anthropic", 401, ANTHROPIC("authentication_error", "invalid x-api-key"), REFUSAL_INVALID,
     NULL},
    {"anthropic", 401, "", REFUSAL_INVALID, NULL},
    {"anthropic", 403, "<html>", REFUSAL_BARRED, NULL},
    {"anthropic", 429, "[]", REFUSAL_LIMITED, NULL},
    {"anthropic", 402, "null", REFUSAL_SPENT, NULL},
    {"anthropic", 500, ANTHROPIC("api_error", "spend limit"), REFUSAL_NONE, NULL},
    {"anthropic", 404, ANTHROPIC("not_found_error", "model"), REFUSAL_NONE, NULL},
};

START_TEST(every_sign)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        char text[WHEN_TEXT_MAX];
        struct refusal r =
            refusal_read(ROWS[i].protocol, ROWS[i].http_status, span_of(ROWS[i].body), NOW_MS);
        const char *reset = r.reset_ms < 0 ? NULL : when_print(r.reset_ms, text);
        ck_assert_msg(r.kind == ROWS[i].kind, "row %zu: %d", i, (int)r.kind);
        ck_assert_msg((reset == NULL) == (ROWS[i].reset == NULL) &&
                          (reset == NULL || strcmp(reset, ROWS[i].reset) == 0),
                      "row %zu: %s", i, reset != NULL ? reset : "none");
    }
}
END_TEST

START_TEST(the_year_turns)
{
    char text[WHEN_TEXT_MAX];
    int64_t december = NOW_MS + INT64_C(10) * 86400000;
    struct refusal r =
        refusal_read("openai", 429, span_of(OPENAI("insufficient_quota", "")), december);
    ck_assert_str_eq(when_print(r.reset_ms, text), "2027-01-01T00:00:00.000Z");
}
END_TEST

Suite *refusal_suite(void)
{
    Suite *s = suite_create("refusal");
    TCase *t = tcase_create("refusal");
    tcase_add_test(t, every_sign);
    tcase_add_test(t, the_year_turns);
    suite_add_tcase(s, t);
    return s;
}
