#define _GNU_SOURCE
/* libcurl sends a POST again, silently, when a kept connection dies before the first byte of
 * the answer: the provider may have worked twice.  CURLOPT_PREREQFUNCTION sees both sends and
 * can refuse the second (CURLE_ABORTED_BY_CALLBACK, 42).  Pins: the guard in upstream.c. */
#include <curl/curl.h>
#include <pthread.h>

#include "tests/probe/probe.h"

struct provider {
    int listener;
    int n_second; /* how often "gen-2" was received */
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* Answers gen-1, takes gen-2 and closes; answers gen-2 on a further connection. */
static void *serve(void *cls)
{
    struct provider *p = cls;
    char got[4096];
    int first = accept(p->listener, NULL, NULL);
    probe_read(first, got, sizeof(got), "gen-1", 5000);
    probe_send(first, answer);
    probe_read(first, got, sizeof(got), "gen-2", 5000);
    p->n_second += strstr(got, "gen-2") != NULL;
    close(first);
    struct pollfd wait = {.fd = p->listener, .events = POLLIN};
    if (poll(&wait, 1, 1000) == 1) {
        int second = accept(p->listener, NULL, NULL);
        probe_read(second, got, sizeof(got), "gen-2", 1000);
        if (strstr(got, "gen-2") != NULL) {
            p->n_second++;
            probe_send(second, answer);
        }
        close(second);
    }
    return NULL;
}

static size_t discard(char *data, size_t size, size_t n, void *cls)
{
    (void)data, (void)cls;
    return size * n;
}

static int guard(void *cls, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    int *n_sends = cls;
    return ++*n_sends > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Two POSTs on one handle; what became of the second. */
static CURLcode try_second(bool guarded, int *ret_n_second)
{
    uint16_t port;
    char url[64];
    int n_sends = 0;
    pthread_t thread;
    struct provider provider = {.listener = probe_listen(&port)};
    probe_need(pthread_create(&thread, NULL, serve, &provider) == 0, "pthread_create");
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)port);
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "gen-1");
    CURLcode rc = curl_easy_perform(easy);
    EXPECT(rc == CURLE_OK, "the first POST is answered");
    if (guarded) {
        curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, guard);
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, &n_sends);
    }
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "gen-2");
    rc = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    pthread_join(thread, NULL);
    close(provider.listener);
    *ret_n_second = provider.n_second;
    return rc;
}

int main(void)
{
    int n = 0;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLcode rc = try_second(false, &n);
    EXPECT(rc == CURLE_OK && n == 2, "without a guard: success, and sent %d times", n);
    rc = try_second(true, &n);
    EXPECT(rc == CURLE_ABORTED_BY_CALLBACK && n == 1, "with the guard: error %d, sent %d times",
           (int)rc, n);
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
