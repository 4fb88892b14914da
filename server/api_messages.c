/* POST /v1/messages, /v1/messages/count_tokens, /v1/chat/completions and /v1/route. */
#define _GNU_SOURCE
#include <json-c/json.h>

#include "server/api.h"
#include "server/call.h"
#include "server/dry_run.h"
#include "server/no_endpoint.h"

void api_messages(struct request *r)
{
    call_begin(r, CALL_MESSAGES);
}

/* The door tells the protocol. */
void api_chat(struct request *r)
{
    call_begin(r, CALL_MESSAGES);
}

void api_count_tokens(struct request *r)
{
    call_begin(r, CALL_COUNT_TOKENS);
}

void api_route(struct request *r)
{
    struct json_object *answer = NULL;
    struct fail f;
    struct buf members;
    struct worker *w = r->worker;
    const struct reach_list allowed = serve_reach(&w->site->options);
    const struct dry_run ask = {.catalog = w->catalog,
                                .key = r->key,
                                .state = w->site->state,
                                .experiments = w->experiments,
                                .allowed = &allowed,
                                .body = buf_span(&r->body),
                                .session = request_session(r),
                                .now_ms = r->begun_ms,
                                .seed = worker_draw(w)};
    buf_init(&members, NO_ENDPOINT_MAX);
    if (dry_run(&ask, &answer, &members, &f) == 0) {
        request_reply_json(r, answer);
    } else {
        request_reply_fail_more(r, &f, -1, buf_span(&members));
    }
    buf_done(&members);
}
