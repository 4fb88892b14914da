#define _GNU_SOURCE
/* Pausing a transfer holds the provider back by TCP alone: 200 MB on offer to a reader of
 * 1 MB/s stay out of our memory, and no byte is lost or doubled.  Relied on: back-pressure by
 * CURL_WRITEFUNC_PAUSE and curl_easy_pause (upstream.c, stream.c). */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>

#include "tests/probe/probe.h"

enum { HIGH = 65536, LOW = 16384, RUN_MS = 2000, RATE_PER_MS = 1000 };

static const uint64_t offered = 200ull * 1000 * 1000;

struct pipe {
    unsigned char bytes[HIGH + CURL_MAX_WRITE_SIZE];
    size_t n;
    bool paused;
    int n_pauses;
};

/* Byte i of the stream. */
static unsigned char pattern(uint64_t i)
{
    return (unsigned char)(i % 251);
}

static void *serve(void *cls)
{
    static unsigned char block[251 * 256];
    char got[4096], head[128];
    int fd = accept(*(int *)cls, NULL, NULL);
    probe_read(fd, got, sizeof(got), "\r\n\r\n", 5000);
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
             (unsigned long long)offered);
    probe_send(fd, head);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pattern(i);
    for (uint64_t sent = 0; sent < offered;) {
        size_t at = (size_t)(sent % sizeof(block));
        ssize_t n = send(fd, block + at, sizeof(block) - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (uint64_t)n;
    }
    close(fd);
    return NULL;
}

static size_t on_write(char *data, size_t size, size_t n, void *cls)
{
    struct pipe *p = cls;
    if (p->n + size * n > sizeof(p->bytes) || p->n >= HIGH) {
        p->paused = true;
        p->n_pauses++;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(p->bytes + p->n, data, size * n);
    p->n += size * n;
    return size * n;
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*s %ld", &pages) != 1)
        exit(PROBE_SKIP);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Takes n bytes out, checks them, unpauses at low water. */
static uint64_t drain(CURL *easy, struct pipe *p, size_t n, uint64_t pos)
{
    n = n < p->n ? n : p->n;
    for (size_t i = 0; i < n; i++) {
        if (p->bytes[i] != pattern(pos + i))
            EXPECT(false, "byte %llu is wrong", (unsigned long long)(pos + i));
    }
    memmove(p->bytes, p->bytes + n, p->n - n);
    p->n -= n;
    if (p->paused && p->n < LOW) {
        p->paused = false;
        curl_easy_pause(easy, CURLPAUSE_CONT);
    }
    return pos + n;
}

int main(void)
{
    static struct pipe p;
    uint16_t port;
    char url[64];
    pthread_t thread;
    int listener = probe_listen(&port);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    probe_need(pthread_create(&thread, NULL, serve, &listener) == 0, "pthread_create");
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)port);
    CURLM *multi = curl_multi_init();
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &p);
    curl_multi_add_handle(multi, easy);
    uint64_t pos = 0;
    int64_t start = probe_now_ms(), last = start;
    while (last - start < RUN_MS) {
        int running = 0;
        curl_multi_perform(multi, &running);
        curl_multi_poll(multi, NULL, 0, 5, NULL);
        int64_t now = probe_now_ms();
        pos = drain(easy, &p, (size_t)(now - last) * RATE_PER_MS, pos);
        last = now;
    }
    long kb = resident_kb();
    EXPECT(p.n_pauses > 5, "paused %d times", p.n_pauses);
    EXPECT(pos > RUN_MS * RATE_PER_MS / 3, "%llu bytes arrived in order", (unsigned long long)pos);
    EXPECT(kb < 32 * 1024, "resident: %ld KB", kb);
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    pthread_join(thread, NULL);
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
