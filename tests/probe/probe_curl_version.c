#define _GNU_SOURCE
/* With CURL_HTTP_VERSION_1_1 libcurl offers no HTTP/2 in the TLS handshake; by default it
 * would.  Pins: that option in uplink.c (libcurl before 8.4 reports truncated HTTP/2
 * bodies as complete). */
#include <curl/curl.h>
#include <pthread.h>

#include "tests/probe/probe.h"

enum { HELLO_MAX = 4096 };

struct listener {
    int fd;
    unsigned char hello[HELLO_MAX];
    size_t n;
};

/* Takes the first message of the handshake and hangs up. */
static void *take_hello(void *cls)
{
    struct listener *l = cls;
    int fd = accept(l->fd, NULL, NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (l->n < HELLO_MAX && poll(&p, 1, 200) == 1) {
        ssize_t n = recv(fd, l->hello + l->n, HELLO_MAX - l->n, 0);
        if (n <= 0)
            break;
        l->n += (size_t)n;
    }
    close(fd);
    return NULL;
}

static bool offers(const struct listener *l, const char *protocol)
{
    size_t len = strlen(protocol);
    for (size_t i = 0; i + len < l->n; i++) {
        if (l->hello[i] == len && memcmp(l->hello + i + 1, protocol, len) == 0)
            return true;
    }
    return false;
}

static void handshake(long version, struct listener *l)
{
    uint16_t port;
    char url[64];
    pthread_t thread;
    memset(l, 0, sizeof(*l));
    l->fd = probe_listen(&port);
    probe_need(pthread_create(&thread, NULL, take_hello, l) == 0, "pthread_create");
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", (unsigned)port);
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
    curl_easy_perform(easy); /* fails: nobody answers */
    curl_easy_cleanup(easy);
    pthread_join(thread, NULL);
    close(l->fd);
}

int main(void)
{
    static struct listener l;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    handshake(CURL_HTTP_VERSION_1_1, &l);
    EXPECT(offers(&l, "http/1.1") && !offers(&l, "h2"), "1.1 asked for: only http/1.1 is offered");
    handshake(CURL_HTTP_VERSION_NONE, &l);
    EXPECT(offers(&l, "h2"), "nothing asked for: h2 is offered");
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
