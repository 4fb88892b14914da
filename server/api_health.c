/* Probes: no key, no work. */
#define _GNU_SOURCE
#include "server/api.h"

void api_live(struct request *r)
{
    buf_adds(&r->reply_body, "{\"status\":\"ok\"}");
    request_reply(r, 200, "application/json");
}

void api_ready(struct request *r)
{
    if (state_draining(r->worker->site->state)) {
        struct fail f;
        fail_set(&f, ERR_draining, NULL, "%s", err_info(ERR_draining)->text);
        request_reply_fail(r, &f);
        return;
    }
    api_live(r);
}

/* Clients probe HEAD / and GET / before their first request. */
void api_root(struct request *r)
{
    request_reply(r, 200, NULL);
}
