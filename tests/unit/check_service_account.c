/* Unit tests of server/service_account.c. */
#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/json_out.h"
#include "server/service_account.h"

static EVP_PKEY *key;
static char pem[8192];
static struct buf file, form;
static struct service_account account;
static struct fail fail;

static void write_pem(EVP_PKEY *k)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert(PEM_write_bio_PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL) == 1);
    int n = BIO_read(bio, pem, sizeof(pem) - 1);
    ck_assert_int_gt(n, 0);
    pem[n] = '\0';
    BIO_free(bio);
}

static void set_up(void)
{
    key = EVP_RSA_gen(2048);
    ck_assert_ptr_nonnull(key);
    write_pem(key);
    buf_init(&file, SERVICE_ACCOUNT_TEXT_MAX);
    buf_init(&form, SERVICE_ACCOUNT_TEXT_MAX);
}

static void tear_down(void)
{
    service_account_done(&account);
    EVP_PKEY_free(key);
    buf_done(&file);
    buf_done(&form);
}

static void write_file(const char *email, const char *private_key, const char *uri)
{
    struct json_out o = {.buf = &file};
    buf_reset(&file);
    json_open_object(&o, NULL);
    json_put_string(&o, "type", SPAN("service_account"));
    json_put_string(&o, "project_id", SPAN("p-1"));
    json_put_some_string(&o, "client_email", span_of(email));
    json_put_some_string(&o, "private_key", span_of(private_key));
    json_put_some_string(&o, "token_uri", span_of(uri));
    json_close_object(&o);
}

START_TEST(test_what_is_one)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {{"{\"type\": \"service_account\"}", true},
                 {"{\"type\": \"authorized_user\"}", false},
                 {"{}", false},
                 {"[]", false},
                 {"sk-key", false},
                 {"ya29.token", false},
                 {"", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(service_account_is(span_of(cases[i].text)) == cases[i].is, "%s",
                      cases[i].text);
}
END_TEST

START_TEST(test_file_is_read)
{
    write_file("robot@p", pem, "https://t.example/token");
    ck_assert_int_eq(service_account_read(&account, buf_span(&file), &fail), 0);
    ck_assert_str_eq(account.email, "robot@p");
    ck_assert_str_eq(account.private_key, pem);
    ck_assert_str_eq(account.token_uri, "https://t.example/token");
    ck_assert_str_eq(account.project, "p-1");
    ck_assert_ptr_null(account.key_id);
}
END_TEST

START_TEST(test_file_that_lacks_something)
{
    const char *const rows[][3] = {{"", pem, "u"}, {"e", "", "u"}, {"e", pem, ""}};
    for (size_t i = 0; i < 3; i++) {
        write_file(rows[i][0], rows[i][1], rows[i][2]);
        ck_assert_int_eq(service_account_read(&account, buf_span(&file), &fail), -1);
        ck_assert_ptr_null(strstr(fail.text, "BEGIN"));
        service_account_done(&account);
    }
    ck_assert_int_eq(service_account_read(&account, SPAN("{"), &fail), -1);
}
END_TEST

static struct buf unbase64(struct span s)
{
    struct buf b;
    char text[4096];
    ck_assert_uint_lt(s.len + 4, sizeof(text));
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        ck_assert_msg(memchr("+/=", s.ptr[i], 3) == NULL, "not url-safe");
        text[n++] = s.ptr[i] == '-' ? '+' : s.ptr[i] == '_' ? '/' : s.ptr[i];
    }
    size_t padding = (4 - n % 4) % 4;
    memset(text + n, '=', padding);
    buf_init(&b, sizeof(text));
    ck_assert(buf_reserve(&b, sizeof(text) - 1));
    int len =
        EVP_DecodeBlock((unsigned char *)b.ptr, (const unsigned char *)text, (int)(n + padding));
    ck_assert_int_ge(len, 0);
    b.len = (size_t)len - padding;
    return b;
}

static struct span part(struct span *rest)
{
    const char *dot = memchr(rest->ptr, '.', rest->len);
    struct span p = {rest->ptr, dot != NULL ? (size_t)(dot - rest->ptr) : rest->len};
    size_t skip = p.len + (dot != NULL);
    *rest = (struct span){rest->ptr + skip, rest->len - skip};
    return p;
}

START_TEST(test_grant_is_signed)
{
    static const char before[] =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    write_file("robot@p", pem, "https://t.example/token");
    ck_assert_int_eq(service_account_read(&account, buf_span(&file), &fail), 0);
    ck_assert_int_eq(service_account_grant(&account, 1700000000, &form, &fail), 0);
    ck_assert_uint_gt(form.len, sizeof(before));
    ck_assert_int_eq(memcmp(form.ptr, before, sizeof(before) - 1), 0);
    struct span rest = {form.ptr + sizeof(before) - 1, form.len - sizeof(before) + 1};
    const char *signed_text = rest.ptr;
    struct buf head = unbase64(part(&rest)), claims = unbase64(part(&rest));
    struct buf signature = unbase64(rest);
    ck_assert(span_is(buf_span(&head), "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"));
    ck_assert(span_is(buf_span(&claims),
                      "{\"iss\":\"robot@p\",\"scope\":\"https://www.googleapis.com/auth/"
                      "cloud-platform\",\"aud\":\"https://t.example/token\",\"iat\":1700000000,"
                      "\"exp\":1700003600}"));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ck_assert_int_eq(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    ck_assert_int_eq(EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                                      (const unsigned char *)signed_text,
                                      (size_t)(rest.ptr - 1 - signed_text)),
                     1);
    EVP_MD_CTX_free(ctx);
    buf_done(&head);
    buf_done(&claims);
    buf_done(&signature);
}
END_TEST

START_TEST(test_key_that_cannot_sign)
{
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    const char *const keys[] = {"no key", pem};
    for (size_t i = 0; i < 2; i++) {
        write_file("e", keys[i], "u");
        ck_assert_int_eq(service_account_read(&account, buf_span(&file), &fail), 0);
        ck_assert_int_eq(service_account_grant(&account, 1, &form, &fail), i == 0 ? -1 : 0);
        service_account_done(&account);
    }
    write_pem(ec);
    write_file("e", pem, "u");
    ck_assert_int_eq(service_account_read(&account, buf_span(&file), &fail), 0);
    ck_assert_int_eq(service_account_grant(&account, 1, &form, &fail), -1);
    EVP_PKEY_free(ec);
}
END_TEST

Suite *service_account_suite(void);
Suite *service_account_suite(void)
{
    Suite *s = suite_create("service_account");
    TCase *c = tcase_create("service_account");
    tcase_set_timeout(c, 60); /* making keys takes as long as it takes */
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, test_what_is_one);
    tcase_add_test(c, test_file_is_read);
    tcase_add_test(c, test_file_that_lacks_something);
    tcase_add_test(c, test_grant_is_signed);
    tcase_add_test(c, test_key_that_cannot_sign);
    suite_add_tcase(s, c);
    return s;
}
