/* What uplink.c builds on: a handle with CURLOPT_CONNECT_ONLY in a multi handle opens a connection
 * and is then done; the descriptor is ours to send and receive on, libcurl neither reads from it
 * nor closes it for as long as the handle stays added, however often the multi handle is run;
 * removing the handle closes the connection at once, through CURLOPT_CLOSESOCKETFUNCTION.
 * curl_easy_send and curl_easy_recv find the connection with a connection cache of the handle's
 * own (CURLSH), and say CURLE_AGAIN instead of waiting. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <fcntl.h>

#include "tests/probe/probe.h"

enum { N_LINKS = 3 };

static int n_closed;

static int on_close(void *ctx, curl_socket_t fd)
{
    (void)ctx;
    n_closed++;
    return close(fd);
}

struct link {
    CURL *easy;
    CURLSH *share;
    int ours, theirs;
};

static void open_link(struct link *l, CURLM *multi, int listener, uint16_t port)
{
    char url[64];
    int running = 1, left = 0;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", (unsigned)port);
    l->easy = curl_easy_init();
    l->share = curl_share_init();
    curl_share_setopt(l->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
    curl_easy_setopt(l->easy, CURLOPT_SHARE, l->share);
    curl_easy_setopt(l->easy, CURLOPT_URL, url);
    curl_easy_setopt(l->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(l->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(l->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(l->easy, CURLOPT_BUFFERSIZE, 1024L);
    curl_easy_setopt(l->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_multi_add_handle(multi, l->easy);
    for (int i = 0; i < 500 && running > 0; i++) {
        curl_multi_perform(multi, &running);
        curl_multi_poll(multi, NULL, 0, 10, NULL);
    }
    CURLMsg *msg = curl_multi_info_read(multi, &left);
    EXPECT(msg != NULL && msg->easy_handle == l->easy && msg->data.result == CURLE_OK,
           "the connection is there");
    curl_socket_t fd = CURL_SOCKET_BAD;
    CURLcode code = curl_easy_getinfo(l->easy, CURLINFO_ACTIVESOCKET, &fd);
    EXPECT(code == CURLE_OK && fd >= 0, "its descriptor is known");
    EXPECT((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, "it does not block");
    l->ours = fd;
    l->theirs = accept(listener, NULL, NULL);
    probe_need(l->theirs >= 0, "accept");
}

static void close_link(struct link *l, CURLM *multi)
{
    int before = n_closed;
    char byte;
    curl_multi_remove_handle(multi, l->easy);
    EXPECT(n_closed == before + 1, "removing the handle closes the connection");
    EXPECT(recv(l->theirs, &byte, 1, 0) == 0, "the peer sees its end");
    curl_easy_cleanup(l->easy);
    curl_share_cleanup(l->share);
    close(l->theirs);
    EXPECT(n_closed == before + 1, "and closes it once");
}

/* Bytes on the descriptor, both ways, while the multi handle is run. */
static void talk_plainly(struct link *l, CURLM *multi)
{
    char got[16];
    int running = 0;
    probe_send(l->ours, "ping");
    probe_read(l->theirs, got, sizeof(got), "ping", 5000);
    EXPECT(strcmp(got, "ping") == 0, "what is sent on the descriptor arrives");
    probe_send(l->theirs, "pong");
    for (int i = 0; i < 20; i++) {
        curl_multi_perform(multi, &running);
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    probe_read(l->ours, got, sizeof(got), "pong", 5000);
    EXPECT(strcmp(got, "pong") == 0, "libcurl leaves the answer alone");
}

static void talk_by_libcurl(struct link *l)
{
    char got[16];
    size_t n = 0;
    EXPECT(curl_easy_recv(l->easy, got, sizeof(got), &n) == CURLE_AGAIN, "nothing to receive");
    EXPECT(curl_easy_send(l->easy, "ping", 4, &n) == CURLE_OK && n == 4, "curl_easy_send sends");
    probe_read(l->theirs, got, sizeof(got), "ping", 5000);
    EXPECT(strcmp(got, "ping") == 0, "it arrives");
    probe_send(l->theirs, "pong");
    struct pollfd wait = {.fd = l->ours, .events = POLLIN};
    poll(&wait, 1, 5000);
    EXPECT(curl_easy_recv(l->easy, got, sizeof(got), &n) == CURLE_OK && n == 4 &&
               memcmp(got, "pong", 4) == 0,
           "curl_easy_recv receives");
}

int main(void)
{
    struct link links[N_LINKS];
    uint16_t port;
    int listener = probe_listen(&port);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < N_LINKS; i++)
        open_link(&links[i], multi, listener, port);
    for (int i = 0; i < N_LINKS; i++) {
        talk_plainly(&links[i], multi);
        talk_by_libcurl(&links[i]);
    }
    EXPECT(n_closed == 0, "all stay open");
    for (int i = 0; i < N_LINKS; i++)
        close_link(&links[i], multi);
    curl_multi_cleanup(multi);
    curl_global_cleanup();
    close(listener);
    return EXIT_SUCCESS;
}
