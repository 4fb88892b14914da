/* What asks in the tests of server/upstream.c and server/uplink.c: transfers on a real loop against
 * a scripted provider, plain or over TLS.  One loop at a time, made by set_up. */
#ifndef TESTS_UNIT_UPSTREAM_CALLER_H
#define TESTS_UNIT_UPSTREAM_CALLER_H

#include "server/upstream.h"
#include "tests/unit/scripted_provider.h"

enum { WAIT_MS = 30000 };

/* Most tests run once over each. */
enum { PLAIN, TLS, N_WIRES };

#define JSON_ANSWER "HTTP/1.1 200 OK\r\nrequest-id: r1\r\nContent-Length: 5\r\n\r\nhello"

struct caller {
    struct transfer *t;
    struct upreq req;
    char url[64];
    int http_status, n_heads, n_done, n_bodies;
    struct buf body, headers;
    enum transfer_result result;
    bool sent;
    size_t pause_at; /* refuses what would come after so many bytes, until let in */
    bool paused, cancel_on_body, refuse_first;
};

extern uv_loop_t loop;
extern uv_prepare_t prepare;
extern struct upstream *up;
extern const struct transfer_ops ops;
extern const struct uplink_how usual;

void set_up(void);
void tear_down(void);
void begin(struct provider *v, int wire);
void begin_tls(struct provider *v, const char *name);
void end(struct provider *v);

void caller_init(struct caller *c, const struct provider *v);
void caller_start(struct caller *c);
void caller_done(struct caller *c);

/* Runs the loop until *n has reached want: every callback stops it. */
void wait_for(const int *n, int want);
void wait_for_pause(const struct caller *c); /* or for its end */
void wait_for_requests(struct provider *v, int want);
void run_loop_ms(int ms);
/* JSON_ANSWER came whole. */
void expect_hello(struct caller *c);
int n_descriptors(void);

#endif
