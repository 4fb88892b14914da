/* Removing a transfer while its name is being looked up waits for the look-up; with
 * CURLOPT_QUICK_EXIT it does not.  Pins: that option in uplink.c. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <netdb.h>

#include "tests/probe/probe.h"

enum { LOOKUP_MS = 1500 };

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) __attribute__((visibility("default")));

/* Takes the place of the C library's: a name server that does not answer. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    (void)node, (void)service, (void)hints, (void)res;
    usleep(LOOKUP_MS * 1000);
    return EAI_AGAIN;
}

/* How long the removal took. */
static int64_t remove_ms(bool quick)
{
    CURLM *multi = curl_multi_init();
    CURL *easy = curl_easy_init();
    int running = 0;
    curl_easy_setopt(easy, CURLOPT_URL, "http://slow.example/");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, quick ? 1L : 0L);
    curl_multi_add_handle(multi, easy);
    for (int i = 0; i < 10; i++) {
        curl_multi_perform(multi, &running);
        usleep(10000);
    }
    EXPECT(running == 1, "the look-up is under way");
    int64_t start = probe_now_ms();
    curl_multi_remove_handle(multi, easy);
    int64_t took = probe_now_ms() - start;
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    return took;
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int64_t plain = remove_ms(false);
    int64_t quick = remove_ms(true);
    EXPECT(plain > LOOKUP_MS / 2, "without the option the removal takes %lld ms", (long long)plain);
    EXPECT(quick < 100, "with it %lld ms", (long long)quick);
    _exit(EXIT_SUCCESS); /* the look-up's thread is still asleep */
}
