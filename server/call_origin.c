/* State that a provider keeps for a conversation: what it issued is noted as it passes by, what a
 * request refers to is looked up.  Ids of Anthropic's protocol alone: no other one has such. */
#define _GNU_SOURCE
#include "server/call.h"

bool call_has_thread(const struct call *c)
{
    const char *state = c->chat.native_state;
    return state != NULL && strcmp(state, "container") != 0;
}

static void note(struct call *c, const struct json_doc *d, json_ref id)
{
    char text[CHAT_MODEL_NAME_MAX];
    struct origin from = {c->endpoint->provider->id, keyring_place(c->credential)};
    if (json_text_fixed(d, id, text, sizeof text) && text[0] != '\0') {
        state_origin_note(c->worker->site->state, c->key->team_id, span_of(text), &from,
                          worker_now_ms());
    }
}

/* A message, or the delta of one. */
static void note_message(struct call *c, const struct json_doc *d, json_ref message)
{
    json_ref container = json_get(d, message, "container");
    if (call_has_thread(c)) {
        note(c, d, json_get(d, message, "id"));
    }
    if (json_is_object(d, container)) {
        note(c, d, json_get(d, container, "id"));
    }
}

void call_origin_note(struct call *c, struct span json)
{
    static const char container[] = "\"container\"";
    bool here = c->kind == CALL_MESSAGES && !c->translated && c->chat.door == DOOR_ANTHROPIC &&
                c->credential != NULL && !c->own_credential && json.len > 0;
    if (!here || (!call_has_thread(c) &&
                  memmem(json.ptr, json.len, container, sizeof container - 1) == NULL)) {
        return;
    }
    struct json_doc doc;
    json_init(&doc);
    if (json_parse(&doc, json, NULL) == 0 && json_is_object(&doc, 0)) {
        json_ref message = json_get(&doc, 0, "message"), delta = json_get(&doc, 0, "delta");
        note_message(c, &doc,
                     json_is_object(&doc, message) ? message
                     : json_is_object(&doc, delta) ? delta
                                                   : 0);
    }
    json_done(&doc);
}

/* ---- a request that refers to it ---- */

static bool came_from(const struct endpoint *e, const struct origin *from)
{
    return e->provider->id == from->provider_id &&
           keyring_at(e->provider, from->credential) != NULL;
}

bool call_origin_pin(struct call *c)
{
    struct origin from;
    int n = 0;
    if (!state_origin_find(c->worker->site->state, c->key->team_id, span_of(c->chat.pinned_state),
                           worker_now_ms(), &from)) {
        return false;
    }
    for (int i = 0; i < c->plan.n_candidates; i++) {
        if (came_from(c->plan.candidates[i].endpoint, &from)) {
            c->plan.candidates[n++] = c->plan.candidates[i];
        }
    }
    c->plan.n_candidates = n > 0 ? n : c->plan.n_candidates;
    c->pinned_key = n > 0 ? from.credential : 0;
    return n > 0;
}
