/* Unit tests of schema/sigv4.c: vectors of AWS's signature test suite (awslabs/aws-c-auth,
 * tests/aws-signing-test-suite/v4), and calls of Bedrock's whose signatures an implementation in
 * Python (hmac, hashlib, urllib.parse.quote) gave; that one passes the suite's vectors too. */
#include <check.h>
#include <stdio.h>

#include "schema/sigv4.h"
#include "schema/when.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define ID "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SUITE_TOKEN                                                                                \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpS"  \
    "PfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYw" \
    "T7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKml" \
    "zm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static struct upreq up;

static void setup(void)
{
    upreq_init(&up);
}

static void teardown(void)
{
    upreq_done(&up);
}

/* The value of a header as it is sent; "" when there is none. */
static const char *header(const char *name)
{
    const char *h = NULL;
    while ((h = upreq_next_header(&up, h)) != NULL) {
        if (strncmp(h, name, strlen(name)) == 0 && h[strlen(name)] == ':')
            return h + strlen(name) + 2;
    }
    return "";
}

static const struct {
    const char *name, *method, *base, *path, *type, *token, *body, *service, *time;
    const char *names, *signature;
} rows[] = {
    {"get-vanilla", "GET", "https://example.amazonaws.com", "/", NULL, "", "", "service",
     "2015-08-30T12:36:00Z", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "https://example.amazonaws.com", "/", NULL, "", "", "service",
     "2015-08-30T12:36:00Z", "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-unreserved", "GET", "https://example.amazonaws.com",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", NULL, "", "", "service",
     "2015-08-30T12:36:00Z", "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"post-x-www-form-urlencoded", "POST", "https://example.amazonaws.com", "/",
     "application/x-www-form-urlencoded", "", "Param1=value1", "service", "2015-08-30T12:36:00Z",
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-sts-header-before", "POST", "https://example.amazonaws.com", "/", NULL, SUITE_TOKEN, "",
     "service", "2015-08-30T12:36:00Z", "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    /* The scheme's own port is not in the Host header that is sent. */
    {"port", "GET", "https://example.amazonaws.com:443", "/", NULL, "", "", "service",
     "2015-08-30T12:36:00Z", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"port, scheme in capitals", "GET", "HTTPS://example.amazonaws.com:443", "/", NULL, "", "",
     "service", "2015-08-30T12:36:00Z", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"colon in a model id", "POST", "https://bedrock-runtime.us-east-1.amazonaws.com",
     "/model/us.amazon.nova-micro-v1%3A0/converse", "application/json", "", "{\"messages\":[]}",
     "bedrock", "2026-11-28T21:00:00Z", "content-type;host;x-amz-date",
     "90eca6732ae93c8fb20f6c5f2aa131b99d87dcc72417ec72ac0ec1a1f490882a"},
    {"profile's name, token", "POST", "https://bedrock-runtime.us-east-1.amazonaws.com",
     "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
     "us.amazon.nova-micro-v1%3A0/converse",
     "application/json", "tok/en+1==", "{\"messages\":[]}", "bedrock", "2026-11-28T21:00:00Z",
     "content-type;host;x-amz-date;x-amz-security-token",
     "437ec6053bf9df4f5cec15d55e0ceecc004f37e55e8ad691b7e965196bed9d88"},
};

START_TEST(signatures_are_right)
{
    int64_t now_ms;
    char expected[512];
    struct sigv4_key key = {SPAN(ID), SPAN(SECRET), span_of(rows[_i].token)};
    ck_assert(when_parse(span_of(rows[_i].time), &now_ms));
    ck_assert(upreq_set_url(&up, rows[_i].base, rows[_i].path));
    if (rows[_i].type != NULL)
        ck_assert(upreq_add_header(&up, SPAN("Content-Type"), span_of(rows[_i].type)));
    ck_assert(upreq_add_header(&up, SPAN("User-Agent"), SPAN("not signed")));
    /* In two pieces: what is hashed is what is sent. */
    size_t half = strlen(rows[_i].body) / 2;
    ck_assert(upreq_add_borrowed(&up, (struct span){rows[_i].body, half}));
    ck_assert(upreq_add_own(&up, span_of(rows[_i].body + half)));
    ck_assert(sigv4_sign(&up, rows[_i].method, &key, "us-east-1", rows[_i].service, now_ms + 999));
    snprintf(expected, sizeof(expected),
             "AWS4-HMAC-SHA256 Credential=" ID "/%.4s%.2s%.2s/us-east-1/%s/aws4_request, "
             "SignedHeaders=%s, Signature=%s",
             rows[_i].time, rows[_i].time + 5, rows[_i].time + 8, rows[_i].service, rows[_i].names,
             rows[_i].signature);
    ck_assert_msg(strcmp(header("authorization"), expected) == 0, "%s: %s", rows[_i].name,
                  header("authorization"));
    ck_assert_str_eq(header("x-amz-security-token"), rows[_i].token);
}
END_TEST

START_TEST(time_is_sent_as_signed)
{
    struct sigv4_key key = {SPAN(ID), SPAN(SECRET), {"", 0}};
    ck_assert(upreq_set_url(&up, "http://127.0.0.1:8080", "/model/x/converse"));
    ck_assert(sigv4_sign(&up, "POST", &key, "eu-west-1", "bedrock", 1440938160999));
    ck_assert_str_eq(header("x-amz-date"), "20150830T123600Z");
}
END_TEST

START_TEST(what_cannot_be_signed_is_refused)
{
    struct sigv4_key key = {SPAN(ID), SPAN(SECRET), {"", 0}};
    struct sigv4_key bad = {SPAN("line\nbreak"), SPAN(SECRET), {"", 0}};
    ck_assert(!sigv4_sign(&up, "POST", &key, "r", "bedrock", 0)); /* no URL */
    ck_assert(upreq_set_url(&up, "https://h", "/model?x=1"));
    ck_assert(!sigv4_sign(&up, "POST", &key, "r", "bedrock", 0));
    ck_assert(upreq_set_url(&up, "https://h", "/model"));
    ck_assert(!sigv4_sign(&up, "POST", &bad, "r", "bedrock", 0));
    for (int i = 0; i <= SIGV4_HEADERS_MAX; i++)
        ck_assert(upreq_add_header(&up, SPAN("x-amz-meta"), SPAN("1")));
    ck_assert(!sigv4_sign(&up, "POST", &key, "r", "bedrock", 0));
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    const char *id, *secret, *token;
} keys[] = {
    {"AKIA:s3cr3t", true, "AKIA", "s3cr3t", ""},
    {"AKIA:s3/cr+3t:tok:en==", true, "AKIA", "s3/cr+3t", "tok:en=="},
    {"AKIA:s3cr3t:", true, "AKIA", "s3cr3t", ""},
    {"ABSKQmVkcm9jaw==", false, "", "", ""},
    {":s3cr3t", false, "", "", ""},
    {"AKIA:", false, "", "", ""},
    {"AKIA::token", false, "", "", ""},
    {"", false, "", "", ""},
};

START_TEST(keys_are_taken_apart)
{
    struct sigv4_key key;
    ck_assert_int_eq(sigv4_read_key(span_of(keys[_i].text), &key), keys[_i].ok);
    if (keys[_i].ok) {
        ck_assert(span_is(key.id, keys[_i].id));
        ck_assert(span_is(key.secret, keys[_i].secret));
        ck_assert(span_is(key.token, keys[_i].token));
    }
}
END_TEST

Suite *sigv4_suite(void);

Suite *sigv4_suite(void)
{
    Suite *s = suite_create("sigv4");
    TCase *c = tcase_create("sigv4");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, signatures_are_right, 0, ROWS(rows));
    tcase_add_test(c, time_is_sent_as_signed);
    tcase_add_test(c, what_cannot_be_signed_is_refused);
    tcase_add_loop_test(c, keys_are_taken_apart, 0, ROWS(keys));
    suite_add_tcase(s, c);
    return s;
}
