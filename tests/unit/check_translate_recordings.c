/* Recorded requests of real clients, where they are to be had (tests/unit/recordings.h): accepted
 * by the door of their protocol, which reads every string of them, and written for every provider.
 * Nothing that the dialog holds may be missing from what is sent, unless the adapter named it
 * (x-wayfare-dropped) or refused the request naming the field.  The bodies are taken apart by
 * json-c.  And recorded answers of every protocol, told to a client of Anthropic's
 * (check_openai_door_recordings.c: to one of OpenAI's). */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/provider.h"
#include "tests/unit/anthropic_client.h"
#include "tests/unit/recordings.h"

enum {
    REQUESTS_MIN = 170,
    WRITTEN_MIN = 3000, /* of all pairs of a request and a target */
    ANSWERS_MIN = 205,
    THINGS_MAX = 8192,
    LEAVES_MAX = 65536,
    PARSED_MAX = 16384,
    USER_MAX = 64,
    SHOWN_MAX = 500 /* libcheck takes messages of 8 KiB */
};

/* ---- where to ---- */

static const struct provider_target targets[] = {
    {.slug = "anthropic", .base_url = "https://x.example", .upstream_model = "claude-sonnet-4-5"},
    {.slug = "openai", .base_url = "https://x.example/v1", .upstream_model = "gpt-4.1"},
    {.slug = "openrouter", .base_url = "https://x.example/v1", .upstream_model = "a/b"},
    {.slug = "mistral", .base_url = "https://x.example/v1", .upstream_model = "mistral-large"},
    {.slug = "deepseek", .base_url = "https://x.example/v1", .upstream_model = "deepseek-chat"},
    {.slug = "groq", .base_url = "https://x.example/v1", .upstream_model = "llama"},
    {.slug = "zai", .base_url = "https://x.example/v1", .upstream_model = "glm-4.7"},
    {.slug = "perplexity", .base_url = "https://x.example", .upstream_model = "sonar"},
    {.slug = "ollama", .base_url = "https://x.example/v1", .upstream_model = "qwen3"},
    {.slug = "azure-openai", .base_url = "https://x.example", .upstream_model = "gpt-4.1"},
    {.slug = "gemini", .base_url = "https://x.example", .upstream_model = "gemini-2.5-flash"},
    {.slug = "gemini", .base_url = "https://x.example", .upstream_model = "gemini-3-flash"},
    {.slug = "vertex", .base_url = "https://x.example", .upstream_model = "gemini-2.5-pro"},
    {.slug = "vertex", .base_url = "https://x.example", .upstream_model = "claude-sonnet-4-5"},
    {.slug = "bedrock", .base_url = "https://x.example", .upstream_model = "amazon.nova-pro-v1:0"},
    {.slug = "bedrock",
     .base_url = "https://x.example",
     .upstream_model = "anthropic.claude-sonnet-4-5-20250929-v1:0"},
    {.slug = "bedrock",
     .base_url = "https://x.example",
     .upstream_model = "converse/anthropic.claude-sonnet-4-5-20250929-v1:0"},
    {.slug = "cohere", .base_url = "https://x.example/v2", .upstream_model = "command-a"},
};

enum { N_TARGETS = sizeof(targets) / sizeof(targets[0]) };

/* Slugs that are no catalog word of a protocol are servers of OpenAI's. */
static const struct provider *adapter_of(const struct provider_target *t)
{
    const struct provider *p = provider_find(t->slug);
    return p != NULL ? p : &provider_openai;
}

START_TEST(test_every_adapter_has_a_target)
{
    for (const struct provider *const *p = provider_all; *p != NULL; p++) {
        bool found = false;
        for (int i = 0; i < N_TARGETS; i++)
            found |= adapter_of(&targets[i]) == *p;
        ck_assert_msg(found, "%s", (*p)->protocol);
    }
}
END_TEST

/* ---- what a request holds ---- */

/* And by which names an adapter says that it cannot carry it. */
/* clang-format off */
#define THINGS(T) \
    T(text,        "a text",               NULL) \
    T(tool_name,   "a tool's name",        "tools tools.type") \
    T(tool_text,   "a tool's description", "tools tools.type") \
    T(tool_schema, "a tool's schema",      "tools tools.type") \
    T(call_name,   "a call's name",        "tool_use tool_calls") \
    T(arguments,   "a call's arguments",   "tool_use tool_calls") \
    T(stop,        "a stop sequence",      "stop stop_sequences") \
    T(image,       "an image",             "image image_url") \
    T(document,    "a document",           "document file") \
    T(audio,       "audio",                "audio input_audio") \
    T(title,       "a document's title",   "document file") \
    T(choice,      "the tool to call",     "tools tool_choice tool_choice.name tool_choice.function") \
    T(format,      "the answer's schema",  "output_config.format response_format " \
                   "output_config.format.schema response_format.json_schema") \
    T(user,        "the user",             "metadata metadata.user_id user") \
    T(setting,     "a setting",            NULL)
/* clang-format on */

enum thing_kind {
#define T(id, words, names) THING_##id,
    THINGS(T)
#undef T
};

static const struct {
    const char *words, *names;
} kinds[] = {
#define T(id, words, names) [THING_##id] = {words, names},
    THINGS(T)
#undef T
};

struct thing {
    enum thing_kind kind;
    struct span text;
    struct json_object *json; /* instead of a text: an object that must be there as it is */
    const char *name;         /* of a setting */
};

static struct thing things[THINGS_MAX];
static int n_things;
static struct json_object *parsed[PARSED_MAX];
static int n_parsed;

static bool is_blank(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (memchr(" \t\r\n\f\v", s.ptr[i], 6) == NULL)
            return false;
    }
    return true;
}

static struct json_object *parse(struct span text)
{
    struct json_tokener *t = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(t, text.ptr, (int)text.len);
    json_tokener_free(t);
    ck_assert_int_lt(n_parsed, PARSED_MAX);
    if (o != NULL)
        parsed[n_parsed++] = o;
    return o;
}

static void forget_parsed(void)
{
    while (n_parsed > 0)
        json_object_put(parsed[--n_parsed]);
}

static struct thing *add_thing(enum thing_kind kind, struct span text)
{
    static struct thing none;
    /* Claude Code's line about its version has no meaning elsewhere and is left out. */
    if (is_blank(text) || strncmp(text.ptr, "x-anthropic-billing-header", 26) == 0)
        return &none;
    ck_assert_int_lt(n_things, THINGS_MAX);
    things[n_things] = (struct thing){.kind = kind, .text = text};
    return &things[n_things++];
}

static void add_json(enum thing_kind kind, struct span text)
{
    if (text.len > 0)
        add_thing(kind, text)->json = parse(text);
}

/* Bedrock takes few characters in the name of a document. */
static void add_words(struct span title)
{
    for (size_t i = 0, n = 0; i < title.len; i += n + 1) {
        for (n = 0; i + n < title.len && isalnum((unsigned char)title.ptr[i + n]); n++)
            ;
        add_thing(THING_title, (struct span){title.ptr + i, n});
    }
}

static void add_media(enum thing_kind kind, const struct dialog_media *m)
{
    add_thing(m->from == MEDIA_TEXT ? THING_text : kind, m->data);
    add_words(m->title);
    add_thing(THING_text, m->context);
}

static void add_blocks(const struct dialog_blocks *list)
{
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next) {
        if (b->kind == BLOCK_TEXT || b->kind == BLOCK_REFUSAL)
            add_thing(THING_text, b->text);
        if (b->kind == BLOCK_IMAGE)
            add_media(THING_image, &b->media);
        if (b->kind == BLOCK_DOCUMENT)
            add_media(THING_document, &b->media);
        if (b->kind == BLOCK_AUDIO)
            add_media(THING_audio, &b->media);
        if (b->kind == BLOCK_TOOL_CALL) {
            add_thing(THING_call_name, b->name);
            add_json(THING_arguments, b->json);
        }
        add_blocks(&b->children);
    }
}

static void add_tools(const struct dialog *d)
{
    for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next) {
        if (t->raw_of != NULL)
            continue; /* of one provider alone */
        add_thing(THING_tool_name, t->name);
        add_thing(THING_tool_text, t->description);
        add_json(THING_tool_schema, t->schema_json);
    }
}

static void list_things(const struct dialog *d)
{
    n_things = 0;
    add_blocks(&d->system);
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next)
        add_blocks(&m->blocks);
    add_tools(d);
    for (int i = 0; i < d->n_stops; i++)
        add_thing(THING_stop, d->stops[i]);
    if (d->choice == CHOICE_TOOL && d->n_tools > 1) /* of one tool "any" says the same */
        add_thing(THING_choice, d->choice_name);
    add_json(THING_format, d->format.schema_json);
    if (d->user.len <= USER_MAX) /* OpenAI's servers get a short name of a longer one */
        add_thing(THING_user, d->user);
    for (int i = 0; i < NUMBER_COUNT; i++)
        add_thing(THING_setting, d->numbers[i])->name = dialog_number_name((enum dialog_number)i);
}

/* ---- what is sent ---- */

static struct json_object *leaves[LEAVES_MAX]; /* strings, numbers and objects */
static int n_leaves;

static void add_leaf(struct json_object *o)
{
    ck_assert_int_lt(n_leaves, LEAVES_MAX);
    leaves[n_leaves++] = o;
}

static void list_leaves(struct json_object *o)
{
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++)
            list_leaves(json_object_array_get_idx(o, i));
    } else if (json_object_is_type(o, json_type_object)) {
        add_leaf(o);
        json_object_object_foreach(o, key, value)
        {
            (void)key;
            list_leaves(value);
        }
    } else if (o != NULL) {
        add_leaf(o);
    }
    if (json_object_is_type(o, json_type_string) && json_object_get_string(o)[0] == '{')
        list_leaves(
            parse((struct span){json_object_get_string(o), (size_t)json_object_get_string_len(o)}));
}

static int count_in(struct json_object *string, struct span text)
{
    const char *at = json_object_get_string(string);
    const char *end = at + json_object_get_string_len(string);
    int n = 0;
    while ((size_t)(end - at) >= text.len) {
        const char *first = memchr(at, text.ptr[0], (size_t)(end - at) - text.len + 1);
        if (first == NULL)
            break;
        bool here = memcmp(first, text.ptr, text.len) == 0;
        n += here;
        at = first + (here ? text.len : 1);
    }
    return n;
}

static bool same_number(struct json_object *o, struct span text)
{
    bool number = json_object_is_type(o, json_type_double) || json_object_is_type(o, json_type_int);
    return number && json_object_get_double(o) == strtod(text.ptr, NULL);
}

static int count_leaf(struct json_object *leaf, const struct thing *t)
{
    if (t->json != NULL)
        return json_object_equal(leaf, t->json);
    if (t->kind == THING_setting)
        return same_number(leaf, t->text);
    return json_object_is_type(leaf, json_type_string) ? count_in(leaf, t->text) : 0;
}

/* As often as it is among the things up to this one. */
static bool is_sent(const struct thing *t)
{
    int want = 0, seen = 0;
    for (const struct thing *other = things; other <= t; other++)
        want += (other->json != NULL) == (t->json != NULL) && span_eq(other->text, t->text);
    if (t->kind == THING_setting)
        want = 1;
    for (int i = 0; i < n_leaves && seen < want; i++)
        seen += count_leaf(leaves[i], t);
    return seen >= want;
}

static bool is_named(const struct thing *t, const struct drops *drops)
{
    const char *names = t->name != NULL ? t->name : kinds[t->kind].names;
    for (int i = 0; names != NULL && i < drops->n; i++) {
        const char *at = strstr(names, drops->names[i]);
        size_t n = strlen(drops->names[i]);
        if (at != NULL && (at == names || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    }
    return false;
}

static int n_written;

static void check_target(const char *file, const struct chat *read_chat,
                         const struct dialog *dialog, const struct provider_target *model)
{
    struct provider_target target = *model;
    struct client_headers headers = {.n_other = 0};
    struct drops drops = {.n = 0};
    struct fail fail = {.code = ERR_OK};
    struct chat chat = *read_chat;
    struct upreq up;
    target.project = "p";
    target.region = "eu-west-1";
    target.secret = "key";
    struct provider_ask ask = {.target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = dialog,
                               .max_tokens = chat.max_tokens,
                               .drops = &drops};
    upreq_init(&up);
    if (adapter_of(&target)->build(&ask, &up, &fail) != 0) {
        ck_assert_msg(fail.code == ERR_bad_request && fail.field[0] != '\0', "%s: %s: %s", file,
                      target.slug, fail.text);
        upreq_done(&up);
        return;
    }
    char *body = malloc(up.body_len + 1);
    ck_assert_ptr_nonnull(body);
    struct json_object *sent = parse((struct span){body, upreq_read(&up, 0, body, up.body_len)});
    ck_assert_msg(sent != NULL, "%s: %s: no JSON", file, target.slug);
    n_leaves = 0;
    list_leaves(sent);
    for (int i = 0; i < n_things; i++) {
        const struct thing *t = &things[i];
        ck_assert_msg(is_sent(t) || is_named(t, &drops), "%s: %s, %s: %s is missing: %.*s", file,
                      target.slug, target.upstream_model, kinds[t->kind].words,
                      (int)(t->text.len < SHOWN_MAX ? t->text.len : SHOWN_MAX), t->text.ptr);
    }
    n_written++;
    free(body);
    upreq_done(&up);
}

/* ---- what the client wrote is in the dialog ---- */

/* Words of the protocols' own; what is not text is compared by check_*_door.c. */
static bool is_protocols_own(const char *key)
{
    static const char *const keys[] = {"type",   "role", "media_type",   "format",
                                       "detail", "ttl",  "cache_control"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0)
            return true;
    }
    return false;
}

static void list_strings(struct json_object *o)
{
    for (size_t i = 0; i < recording_length(o); i++)
        list_strings(json_object_array_get_idx(o, i));
    if (json_object_is_type(o, json_type_string))
        add_leaf(o);
    if (!json_object_is_type(o, json_type_object))
        return;
    json_object_object_foreach(o, key, value)
    {
        if (!is_protocols_own(key))
            list_strings(value);
    }
}

static void add_span(struct buf *out, struct span s)
{
    buf_add_span(out, s);
    buf_addc(out, '\n');
}

/* The strings in it, and itself: arguments are a string in one protocol and JSON in the other. */
static void add_strings(struct buf *out, struct span json)
{
    int before = n_leaves;
    add_span(out, json);
    if (json.len > 0)
        list_leaves(parse(json));
    for (int i = before; i < n_leaves; i++) {
        if (json_object_is_type(leaves[i], json_type_string))
            add_span(out, span_of(json_object_get_string(leaves[i])));
    }
    n_leaves = before;
}

static void add_all(struct buf *out, const struct dialog_blocks *list)
{
    for (const struct dialog_block *b = list->first; b != NULL; b = b->next) {
        const struct span spans[] = {b->text,       b->id,           b->name,
                                     b->signature,  b->media.data,   b->media.title,
                                     b->media.type, b->media.context};
        for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
            add_span(out, spans[i]);
        add_strings(out, b->json);
        add_strings(out, b->citations_json);
        add_all(out, &b->children);
    }
}

static void add_dialog(struct buf *out, const struct dialog *d)
{
    add_all(out, &d->system);
    for (const struct dialog_message *m = d->first_message; m != NULL; m = m->next) {
        add_span(out, m->name);
        add_all(out, &m->blocks);
    }
    for (const struct dialog_tool *t = d->first_tool; t != NULL; t = t->next) {
        add_span(out, t->name);
        add_span(out, t->description);
        add_strings(out, t->schema_json);
        add_strings(out, t->raw_json);
    }
    add_span(out, d->format.name);
    add_span(out, d->format.description);
    add_strings(out, d->format.schema_json);
    add_span(out, d->reasoning.effort);
    for (int i = 0; i < d->n_stops; i++)
        add_span(out, d->stops[i]);
    add_span(out, d->choice_name);
    add_span(out, d->user);
}

/* Of a data URL the data: its type stands elsewhere. */
static const char *without_scheme(const char *text)
{
    const char *data = strncmp(text, "data:", 5) == 0 ? strstr(text, ";base64,") : NULL;
    return data != NULL ? data + strlen(";base64,") : text;
}

static void check_read(const char *file, struct json_object *body, const struct dialog *d)
{
    static const char *const members[] = {
        "messages",       "system",          "tools",         "functions", "stop",
        "stop_sequences", "response_format", "output_config", "user",      "metadata"};
    struct json_object *choice = recording_member(body, "tool_choice");
    struct buf held;
    buf_init(&held, DIALOG_MEMORY_MAX);
    n_leaves = 0;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        list_strings(recording_member(body, members[i]));
    if (json_object_is_type(choice, json_type_object))
        list_strings(choice);
    int n = n_leaves;
    add_dialog(&held, d);
    for (int i = 0; i < n; i++) {
        const char *text = without_scheme(json_object_get_string(leaves[i]));
        ck_assert_msg(strstr(held.ptr, text) != NULL, "%s: the door lost: %.500s", file, text);
    }
    buf_done(&held);
    forget_parsed();
}

/* ---- the requests ---- */

static const struct door *door_of(struct json_object *exchange)
{
    const char *api = recording_word(exchange, "api");
    if (strcmp(api, "openai.chat") == 0)
        return &door_openai;
    return strcmp(api, "anthropic.messages") == 0 || strcmp(api, "vertex.rawPredict") == 0 ||
                   strcmp(api, "vertex.streamRawPredict") == 0
               ? &door_anthropic
               : NULL;
}

/* Wayfare answers once. */
static bool wants_several(struct json_object *body)
{
    return recording_number(body, "n") > 1;
}

static bool read_request(const struct door *door, struct json_doc *doc, struct chat *chat,
                         struct dialog *dialog, struct fail *ret)
{
    int read = door->id == DOOR_OPENAI ? chat_read_openai(chat, doc, ret)
                                       : chat_read_anthropic(chat, doc, false, ret);
    return read == 0 && door->read(chat, dialog, ret) == 0;
}

static bool check_request(const char *file, struct json_object *exchange)
{
    const struct door *door = door_of(exchange);
    struct json_object *body = recording_member(recording_member(exchange, "request"), "body");
    int64_t status = recording_number(recording_member(exchange, "response"), "status");
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct fail fail = {.code = ERR_OK};
    if (door == NULL || !json_object_is_type(body, json_type_object))
        return false;
    if (recording_member(body, "model") == NULL) /* Azure and Vertex have it in the path */
        json_object_object_add(body, "model", json_object_new_string("m"));
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_NOSLASHESCAPE);
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    ck_assert_msg(json_parse(&doc, span_of(text), &fail) == 0, "%s: %s", file, fail.text);
    if (read_request(door, &doc, &chat, &dialog, &fail)) {
        check_read(file, body, &dialog);
        for (int i = 0; i < N_TARGETS; i++) {
            list_things(&dialog);
            check_target(file, &chat, &dialog, &targets[i]);
            forget_parsed();
        }
    } else {
        ck_assert_msg((status == 400 || wants_several(body)) && fail.field[0] != '\0', "%s: %s",
                      file, fail.text);
    }
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
    return true;
}

START_TEST(test_requests)
{
    n_written = 0;
    int n = recordings_replay("translate_recordings", NULL, REQUESTS_MIN, check_request);
    ck_assert_msg(n == 0 || n_written >= WRITTEN_MIN, "only %d written", n_written);
}
END_TEST

/* ---- answers to a client of Anthropic's ---- */

/* The end is told to the client exactly when the provider told it. */
static void check_told(const char *file, struct recording_told *t)
{
    struct anthropic_client streamed, whole;
    anthropic_client_init(&streamed, file);
    anthropic_client_init(&whole, file);
    anthropic_client_stream(&streamed, t->stream.ptr);
    ck_assert_msg(streamed.ended == t->told.ended, "%s: the end", file);
    ck_assert_msg(streamed.failed == t->told.errored, "%s: the error", file);
    if (t->told.ended) {
        anthropic_client_body(&whole, t->body.ptr);
        anthropic_client_compare(&streamed, &t->told_in_time);
        anthropic_client_compare(&whole, &t->told);
    }
    anthropic_client_done(&streamed);
    anthropic_client_done(&whole);
}

static bool check_answer(const char *file, struct json_object *exchange)
{
    struct json_object *response = recording_member(exchange, "response");
    struct recording_told t;
    struct provider_target target;
    const struct provider *p = recording_reader(exchange, &target);
    if (p == NULL || recording_number(response, "status") / 100 != 2)
        return false;
    recording_tell(&t, file, p, &target, response, &door_anthropic);
    check_told(file, &t);
    recording_told_done(&t);
    return true;
}

START_TEST(test_answers)
{
    recordings_replay("translate_recordings", NULL, ANSWERS_MIN, check_answer);
}
END_TEST

Suite *translate_recordings_suite(void);

Suite *translate_recordings_suite(void)
{
    Suite *s = suite_create("translate_recordings");
    TCase *t = tcase_create("translate_recordings");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_every_adapter_has_a_target);
    tcase_add_test(t, test_requests);
    tcase_add_test(t, test_answers);
    suite_add_tcase(s, t);
    return s;
}
