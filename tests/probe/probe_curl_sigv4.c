/* libcurl's CURLOPT_AWS_SIGV4 signs the path as it is sent; AWS canonicalises it once more (but for
 * S3), so that a path with a percent-encoded colon, as every versioned model id of Bedrock has it,
 * gets a signature that AWS refuses.  Pins: schema/sigv4.c, which is used instead.  Red when a
 * libcurl signs such a path as AWS does: then it may be worth another look. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <pthread.h>

#include "schema/sigv4.h"
#include "schema/when.h"
#include "tests/probe/probe.h"

static char request[8192];

static void *serve(void *cls)
{
    int fd = accept(*(int *)cls, NULL, NULL);
    probe_read(fd, request, sizeof(request), "{}", 5000);
    probe_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    close(fd);
    return NULL;
}

static size_t read_body(char *to, size_t size, size_t n, void *cls)
{
    bool *done = cls;
    (void)size, (void)n;
    if (*done)
        return 0;
    *done = true;
    memcpy(to, "{}", 2);
    return 2;
}

static void post(const char *url)
{
    bool done = false;
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    /* SHA-256 of "{}": the body comes from a callback, libcurl cannot know it. */
    headers = curl_slist_append(headers, "x-amz-content-sha256: "
                                         "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f6"
                                         "1caaff8a");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, &done);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 2L);
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:bedrock");
    curl_easy_setopt(easy, CURLOPT_USERPWD, "AKIDEXAMPLE:s3cr3t");
    probe_need(curl_easy_perform(easy) == CURLE_OK, "curl_easy_perform");
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
}

/* What stands behind `name` in the request, up to the end of the line or a comma. */
static void find(const char *name, char *out, size_t size)
{
    const char *at = strcasestr(request, name);
    probe_need(at != NULL, name);
    at += strlen(name);
    snprintf(out, size, "%.*s", (int)strcspn(at, ",\r\n"), at);
}

/* The signature that AWS expects for this path at that time. */
static void sign(const char *base, const char *path, const char *amz_date, char *out, size_t size)
{
    char text[32];
    int64_t now_ms;
    struct upreq up;
    struct sigv4_key key = {SPAN("AKIDEXAMPLE"), SPAN("s3cr3t"), {"", 0}};
    snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", amz_date, amz_date + 4,
             amz_date + 6, amz_date + 9, amz_date + 11, amz_date + 13);
    probe_need(when_parse(span_of(text), &now_ms), "x-amz-date");
    upreq_init(&up);
    upreq_set_url(&up, base, path);
    upreq_add_header(&up, SPAN("content-type"), SPAN("application/json"));
    upreq_add_header(&up, SPAN("x-amz-content-sha256"),
                     SPAN("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"));
    upreq_add_own(&up, SPAN("{}"));
    probe_need(sigv4_sign(&up, "POST", &key, "us-east-1", "bedrock", now_ms), "sigv4_sign");
    const char *h = NULL;
    while ((h = upreq_next_header(&up, h)) != NULL) {
        const char *at = strstr(h, "Signature=");
        if (at != NULL)
            snprintf(out, size, "%s", at + 10);
    }
    upreq_done(&up);
}

static void ask(const char *path, bool right)
{
    uint16_t port;
    char base[64], url[256], amz_date[32], theirs[128], ours[128] = "";
    int listener = probe_listen(&port);
    pthread_t thread;
    probe_need(pthread_create(&thread, NULL, serve, &listener) == 0, "pthread_create");
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", (unsigned)port);
    snprintf(url, sizeof(url), "%s%s", base, path);
    post(url);
    pthread_join(thread, NULL);
    close(listener);
    find("x-amz-date: ", amz_date, sizeof(amz_date));
    find("Signature=", theirs, sizeof(theirs));
    sign(base, path, amz_date, ours, sizeof(ours));
    EXPECT((strcmp(ours, theirs) == 0) == right, "libcurl %s signs POST %s as AWS does%s",
           curl_version_info(CURLVERSION_NOW)->version, path, right ? "" : ": no");
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    /* The comparison itself works: on a path without anything to encode both agree. */
    ask("/model/amazon.titan-text-express-v1/converse", true);
    ask("/model/us.amazon.nova-micro-v1%3A0/converse", false);
    ask("/model/us.amazon.nova-micro-v1:0/converse", false);
    return EXIT_SUCCESS;
}
