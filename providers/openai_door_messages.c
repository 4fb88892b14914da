/* Reads the messages of a Chat Completions body into a dialog's turns. */
#include "providers/openai_door.h"
#include "schema/toolsig.h"

static const struct span none = {"", 0};

/* ---- tool calls ---- */

/* An id holds the call's signature where its maker gave one. */
static struct span split_id(struct openai_body *b, struct span id, struct span *ret_signature)
{
    struct span plain = id;
    buf_reset(&b->piece);
    if (!toolsig_split(id, &plain, &b->piece))
        b->d->failed = true;
    *ret_signature = openai_body_keep(b);
    return plain;
}

/* {"KEY": "text"}: text where a JSON object has to be. */
static struct span wrap(struct openai_body *b, const char *key, struct span text)
{
    buf_reset(&b->piece);
    buf_addf(&b->piece, "{\"%s\":", key);
    json_write_string(&b->piece, text);
    buf_addc(&b->piece, '}');
    return openai_body_keep(b);
}

static bool is_json_object(struct openai_body *b, struct span text)
{
    return json_parse(&b->arguments, text, NULL) == 0 && json_kind(&b->arguments, 0) == JSON_OBJECT;
}

/* The arguments are text that should be a JSON object.  Models now and then write something else,
 * and a conversation with such a call in it must go on: the text goes into an object, under the
 * name that Anthropic's documentation gives to it (fine-grained tool streaming). */
static struct span read_arguments(struct openai_body *b, json_ref function)
{
    json_ref v = openai_body_get(b, function, "arguments", DOOR_KIND(STRING) | DOOR_KIND(OBJECT),
                                 "a string of JSON");
    if (v != JSON_NONE && json_kind(b->doc, v) == JSON_OBJECT)
        return json_raw(b->doc, v);
    struct span text = openai_body_value(b, v);
    if (text.len == 0)
        return SPAN("{}");
    return is_json_object(b, text) ? text : wrap(b, "INVALID_JSON", text);
}

static void name_call(struct openai_body *b, json_ref function, struct dialog_block *call)
{
    call->name = openai_body_text(b, function, "name");
    if (call->name.len == 0)
        openai_body_missing(b, function, "name", "the name of the function");
}

static void read_call(struct openai_body *b, const struct openai_place *place, json_ref v)
{
    static const char accepts[] = "a tool call, an object with id and function";
    if (json_kind(b->doc, v) != JSON_OBJECT) {
        openai_body_refuse(b, v, accepts);
        return;
    }
    struct span id = openai_body_text(b, v, "id");
    json_ref function = openai_body_get(b, v, "function", DOOR_KIND(OBJECT), "an object with name");
    json_ref custom = openai_body_get(b, v, "custom", DOOR_KIND(OBJECT), "an object with name");
    if (id.len == 0 || (function == JSON_NONE && custom == JSON_NONE)) {
        openai_body_missing(b, v, id.len == 0 ? "id" : "function", accepts);
        return;
    }
    struct dialog_block *call = openai_body_add(b, place, BLOCK_TOOL_CALL);
    call->id = split_id(b, id, &call->signature);
    name_call(b, function != JSON_NONE ? function : custom, call);
    if (function != JSON_NONE) {
        call->json = read_arguments(b, function);
    } else {
        call->text = openai_body_text(b, custom, "input");
        call->json = wrap(b, "input", call->text);
        call->raw_of = "openai";
    }
    call->cache = openai_body_cache(b, v);
}

/* The form before there were tools: one call, without an id. */
static void read_old_call(struct openai_body *b, const struct openai_place *place, json_ref message)
{
    json_ref v = openai_body_get(b, message, "function_call", DOOR_KIND(OBJECT),
                                 "an object with name and arguments");
    if (v == JSON_NONE)
        return;
    struct dialog_block *call = openai_body_add(b, place, BLOCK_TOOL_CALL);
    buf_reset(&b->piece);
    buf_addf(&b->piece, "call_%d", ++b->n_old_calls);
    call->id = openai_body_keep(b);
    name_call(b, v, call);
    call->json = read_arguments(b, v);
    b->old_call = call != &b->spare ? call : NULL;
}

/* ---- results ---- */

/* A result at its place: behind the results that stand first in the user's turn. */
static struct dialog_block *add_result(struct openai_body *b)
{
    struct openai_place place = {.role = ROLE_USER, .name = none};
    const struct dialog_message *last = b->d->last_message;
    bool same = last != NULL && last->role == ROLE_USER && span_eq(last->name, none);
    struct dialog_block *before = same ? last->blocks.last : NULL;
    struct dialog_block *anchor = same && b->results_turn == last ? b->last_result : NULL;
    struct dialog_block *result = openai_body_add(b, &place, BLOCK_TOOL_RESULT);
    if (result == &b->spare)
        return result;
    struct dialog_message *turn = b->d->last_message;
    if (before != anchor) { /* the user has spoken already */
        before->next = NULL;
        turn->blocks.last = before;
        result->next = anchor != NULL ? anchor->next : turn->blocks.first;
        *(anchor != NULL ? &anchor->next : &turn->blocks.first) = result;
    }
    b->results_turn = turn;
    b->last_result = result;
    return result;
}

/* A mark on a part is one behind the whole result. */
static void hoist_mark(struct dialog_block *result)
{
    for (struct dialog_block *k = result->children.first; k != NULL; k = k->next) {
        if (k->cache != CACHE_NONE)
            result->cache = k->cache;
        k->cache = CACHE_NONE;
    }
}

static void read_result(struct openai_body *b, json_ref message, struct span id)
{
    struct span signature;
    struct dialog_block *result = add_result(b);
    result->id = split_id(b, id, &signature);
    struct openai_place inside = {.list = &result->children};
    openai_body_content(b, &inside, openai_body_get(b, message, "content", ~0u, ""));
    hoist_mark(result);
    enum cache_mark mark = openai_body_cache(b, message);
    if (mark != CACHE_NONE)
        result->cache = mark;
}

static void read_tool(struct openai_body *b, json_ref message)
{
    struct span id = openai_body_text(b, message, "tool_call_id");
    if (id.len == 0)
        openai_body_missing(b, message, "tool_call_id", "the id of the call that this answers");
    else
        read_result(b, message, id);
}

/* A result of the old form names the function: it answers the last call. */
static void read_old_result(struct openai_body *b, json_ref message)
{
    struct span name = openai_body_text(b, message, "name");
    if (b->old_call == NULL || !span_eq(b->old_call->name, name))
        openai_body_missing(b, message, "name", "the name of the function that was called last");
    else
        read_result(b, message, b->old_call->id);
}

/* ---- messages ---- */

/* Of the blocks behind `before`, which is the last one of its list. */
static void check_instructions(struct openai_body *b, const struct openai_place *place,
                               const struct dialog_block *before, json_ref message)
{
    const struct dialog_block *k = openai_body_last(b, place);
    if (k == NULL || k == before)
        return;
    if (before != NULL && before->next != NULL)
        k = before->next;
    else
        k = place->list != NULL ? place->list->first : b->d->last_message->blocks.first;
    for (; k != NULL; k = k->next) {
        if (k->kind != BLOCK_TEXT)
            openai_body_refuse(b, message, "a message of text: instructions hold nothing else");
    }
}

static void read_content(struct openai_body *b, const struct openai_place *place, json_ref message)
{
    const struct dialog_block *before = openai_body_last(b, place);
    openai_body_content(b, place, openai_body_get(b, message, "content", ~0u, ""));
    openai_body_mark(b, place, before, message);
}

/* Before the first message it is the system prompt, later a message of its own. */
static void read_instructions(struct openai_body *b, json_ref message)
{
    bool leading = b->d->n_messages == 0;
    struct openai_place place = {leading ? &b->d->system : NULL, ROLE_SYSTEM, none};
    const struct dialog_block *before = openai_body_last(b, &place);
    read_content(b, &place, message);
    check_instructions(b, &place, before, message);
}

static void read_user(struct openai_body *b, json_ref message)
{
    struct openai_place place = {NULL, ROLE_USER, openai_body_text(b, message, "name")};
    read_content(b, &place, message);
}

static void read_assistant(struct openai_body *b, json_ref message)
{
    struct openai_place place = {NULL, ROLE_ASSISTANT, openai_body_text(b, message, "name")};
    const struct dialog_block *before = openai_body_last(b, &place);
    openai_body_thinking(b, &place, message);
    openai_body_content(b, &place, openai_body_get(b, message, "content", ~0u, ""));
    struct span refusal = openai_body_text(b, message, "refusal");
    if (refusal.len > 0)
        openai_body_add(b, &place, BLOCK_REFUSAL)->text = refusal;
    json_ref calls =
        openai_body_get(b, message, "tool_calls", DOOR_KIND(ARRAY), "an array of tool calls");
    for (json_ref c = openai_body_first(b, calls); c != JSON_NONE; c = json_next(b->doc, c))
        read_call(b, &place, c);
    read_old_call(b, &place, message);
    if (openai_body_get(b, message, "audio", ~0u, "") != JSON_NONE)
        drops_add(&b->d->unread, "messages.audio");
    openai_body_mark(b, &place, before, message);
}

static const struct {
    const char *role;
    void (*read)(struct openai_body *b, json_ref message);
} roles[] = {
    {"user", read_user},           {"assistant", read_assistant},    {"tool", read_tool},
    {"system", read_instructions}, {"developer", read_instructions}, {"function", read_old_result},
};

static void read_message(struct openai_body *b, json_ref message)
{
    json_ref role = openai_body_get(b, message, "role", DOOR_KIND(STRING), "a string");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (json_text_is(b->doc, role, roles[i].role)) {
            roles[i].read(b, message);
            return;
        }
    }
    if (role == JSON_NONE)
        openai_body_missing(b, message, "role", "the role of a message");
    else
        openai_body_refuse(b, role, "one of system, developer, user, assistant, tool");
}

/* Other protocols need someone who speaks: instructions alone become the user's message. */
static void let_user_speak(struct openai_body *b)
{
    struct dialog_blocks *system = &b->d->system;
    if (b->d->n_messages > 0 || b->refused || b->d->failed)
        return;
    if (system->first == NULL) {
        fail_set(b->reterr, ERR_bad_request, "messages",
                 "messages must say something: all are empty");
        b->refused = true;
        return;
    }
    struct dialog_message *turn = dialog_turn(b->d, ROLE_USER, none);
    if (turn != NULL) {
        turn->blocks = *system;
        *system = (struct dialog_blocks){.first = NULL};
    }
}

void openai_body_messages(struct openai_body *b)
{
    json_ref messages = openai_body_get(b, 0, "messages", DOOR_KIND(ARRAY), "an array of messages");
    for (json_ref m = openai_body_first(b, messages); m != JSON_NONE && !b->refused;
         m = json_next(b->doc, m))
        read_message(b, m);
    let_user_speak(b);
}
