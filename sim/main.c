#define _GNU_SOURCE
/* wayfare-sim: a provider that does what a test, a demo or a benchmark asks of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "sim/http_sim.h"

static const char usage_text[] =
    "usage: wayfare-sim [--listen HOST:PORT[=NAME]]... [--name NAME] [--log FILE]\n"
    "                   [--log-bodies] [--seed N] [--replay DIR] | --help | --keys\n"
    "\n"
    "Speaks the protocols of Anthropic, OpenAI, Azure OpenAI, Gemini, Vertex and Bedrock on each\n"
    "listener (default 127.0.0.1:9090; port 0 picks a free one) and prints \"listening on\n"
    "http://HOST:PORT\" for each when ready.\n"
    "\n"
    "  --listen HOST:PORT[=NAME]  one simulated provider; may be given several times\n"
    "  --name NAME                name of listeners that have none (default \"sim\")\n"
    "  --log FILE                 append one JSON line per request begun and ended\n"
    "  --log-bodies               with request bodies, base64\n"
    "  --seed N                   makes random cuts and fail_rate repeatable\n"
    "  --replay DIR               recordings, asked for as model \"replay:FILE\"\n"
    "\n"
    "Behaviour is scripted in the model name (\"any?status=529&fail_first=2\"), in the last\n"
    "user text (\"[[sim:ttft_ms=300,tps=50]]\") or with POST /_sim/script\n"
    "({\"model\": \"any\", \"status\": 529}); POST /_sim/reset, GET /_sim/stats. What\n"
    "stands in a path before the protocol's own names a provider of its own. --keys lists the "
    "keys.\n";

struct options {
    const char *listen[SIM_LISTENERS_MAX];
    int n_listen;
    const char *name;
    const char *log;
    const char *replay;
    bool log_bodies;
    uint64_t seed;
};

uint64_t sim_random(struct sim *sim)
{
    sim->rng ^= sim->rng >> 12;
    sim->rng ^= sim->rng << 25;
    sim->rng ^= sim->rng >> 27;
    return sim->rng * 2685821657736338717u;
}

int64_t sim_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Command line */

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "wayfare-sim: %s%s%s (--help lists the options)\n", what,
            value != NULL ? ": " : "", value != NULL ? value : "");
    return 2;
}

static bool read_seed(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0')
        return false;
    *ret = n;
    return true;
}

static bool set_option(struct options *o, const char *key, const char *value)
{
    if (strcmp(key, "--listen") == 0 && o->n_listen < SIM_LISTENERS_MAX)
        o->listen[o->n_listen++] = value;
    else if (strcmp(key, "--name") == 0)
        o->name = value;
    else if (strcmp(key, "--log") == 0)
        o->log = value;
    else if (strcmp(key, "--replay") == 0)
        o->replay = value;
    else if (strcmp(key, "--seed") == 0)
        return read_seed(value, &o->seed);
    else
        return false;
    return true;
}

static void print_keys(void)
{
    struct buf text;
    buf_init(&text, SCRIPT_TEXT_MAX);
    script_write_keys(&text);
    printf("Keys of a script; fail_first and fail_rate switch those marked !\n%s", text.ptr);
    buf_done(&text);
}

/* 0, or the exit status plus one. */
static int read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage_text, stdout);
            return 1;
        }
        if (strcmp(argv[i], "--keys") == 0) {
            print_keys();
            return 1;
        }
        if (strcmp(argv[i], "--log-bodies") == 0) {
            o->log_bodies = true;
            continue;
        }
        if (i + 1 == argc)
            return 1 + usage_error("not an option, or its value is missing", argv[i]);
        if (!set_option(o, argv[i], argv[i + 1]))
            return 1 + usage_error("cannot use", argv[i]);
        i++;
    }
    if (o->n_listen == 0)
        o->listen[o->n_listen++] = "127.0.0.1:9090";
    return 0;
}

/* Listeners */

static void on_connection(uv_stream_t *stream, int status)
{
    if (status == 0)
        conn_accept(stream->data);
}

/* HOST:PORT[=NAME], an IPv6 host in brackets. */
static bool parse_listen(const char *text, const char *name, struct listener *ret)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const char *colon = NULL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ':')
            colon = text + i;
    }
    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(ret->host))
        return false;
    const char *host = text;
    size_t host_len = (size_t)(colon - text);
    if (host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    }
    memcpy(ret->host, host, host_len);
    ret->host[host_len] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || (*end != '\0' && *end != '=') || port > 65535)
        return false;
    ret->port = (int)port;
    snprintf(ret->name, sizeof(ret->name), "%s", equals != NULL ? equals + 1 : name);
    return true;
}

static int bind_listener(struct sim *sim, struct listener *l)
{
    struct sockaddr_storage addr;
    int rc = uv_ip4_addr(l->host, l->port, (struct sockaddr_in *)&addr);
    if (rc != 0)
        rc = uv_ip6_addr(l->host, l->port, (struct sockaddr_in6 *)&addr);
    if (rc != 0)
        return rc;
    uv_tcp_init(&sim->loop, &l->tcp);
    l->tcp.data = l;
    l->sim = sim;
    rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, SIM_BACKLOG, on_connection);
    int len = sizeof(addr);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&addr, &len);
    if (rc == 0) /* the port stands at the same place in both families */
        l->port = ntohs(((const struct sockaddr_in *)&addr)->sin_port);
    return rc;
}

static bool open_listeners(struct sim *sim, const struct options *o)
{
    for (int i = 0; i < o->n_listen; i++) {
        struct listener *l = &sim->listeners[i];
        if (!parse_listen(o->listen[i], o->name, l)) {
            usage_error("not HOST:PORT[=NAME]", o->listen[i]);
            return false;
        }
        int rc = bind_listener(sim, l);
        sim->n_listeners = i + 1;
        if (rc != 0) {
            fprintf(stderr, "wayfare-sim: cannot listen on %s: %s\n", o->listen[i],
                    uv_strerror(rc));
            return false;
        }
    }
    for (int i = 0; i < sim->n_listeners; i++) {
        const struct listener *l = &sim->listeners[i];
        bool v6 = strchr(l->host, ':') != NULL;
        printf("listening on http://%s%s%s:%d\n", v6 ? "[" : "", l->host, v6 ? "]" : "", l->port);
    }
    fflush(stdout);
    return true;
}

/* Life */

static void sim_stop(struct sim *sim)
{
    for (int i = 0; i < sim->n_listeners; i++) {
        uv_handle_t *h = (uv_handle_t *)&sim->listeners[i].tcp;
        if (h->loop != NULL && !uv_is_closing(h))
            uv_close(h, NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (!uv_is_closing((uv_handle_t *)&sim->signals[i]))
            uv_close((uv_handle_t *)&sim->signals[i], NULL);
    }
    for (struct conn *c = sim->conns; c != NULL; c = c->next)
        conn_close(c, "shutdown", false);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    sim_stop(handle->data);
}

static bool sim_init(struct sim *sim, const struct options *o)
{
    sim->rng = o->seed * 2 + 1;
    roster_init(&sim->roster);
    cache_init(&sim->cache);
    replay_init(&sim->replay, o->replay);
    json_init(&sim->doc);
    script_arena_init(&sim->arena);
    buf_init(&sim->model, SCRIPT_TEXT_MAX);
    buf_init(&sim->scratch, HTTP_BODY_MAX);
    buf_init(&sim->prefix, HTTP_BODY_MAX);
    static const int signums[2] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&sim->loop, &sim->signals[i]);
        sim->signals[i].data = sim;
        uv_signal_start(&sim->signals[i], on_signal, signums[i]);
    }
    if (!witness_open(&sim->witness, o->log, o->log_bodies)) {
        fprintf(stderr, "wayfare-sim: cannot open %s: %s\n", o->log, strerror(errno));
        return false;
    }
    return open_listeners(sim, o);
}

static void sim_done(struct sim *sim)
{
    witness_close(&sim->witness);
    replay_done(&sim->replay);
    roster_done(&sim->roster);
    cache_done(&sim->cache);
    json_done(&sim->doc);
    buf_done(&sim->arena);
    buf_done(&sim->model);
    buf_done(&sim->scratch);
    buf_done(&sim->prefix);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.name = "sim", .seed = 1};
    int rc = read_options(argc, argv, &o);
    if (rc != 0)
        return rc - 1;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL || uv_loop_init(&sim->loop) != 0) {
        free(sim);
        return usage_error("out of memory", NULL);
    }
    bool ok = sim_init(sim, &o);
    if (!ok)
        sim_stop(sim);
    uv_run(&sim->loop, UV_RUN_DEFAULT);
    int leaked = uv_loop_close(&sim->loop);
    sim_done(sim);
    free(sim);
    if (leaked != 0)
        fputs("wayfare-sim: handles were left open\n", stderr);
    return ok && leaked == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
