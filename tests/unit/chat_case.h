/* Shared by the unit tests of chat requests: one document, one chat. */
#ifndef TESTS_UNIT_CHAT_CASE_H
#define TESTS_UNIT_CHAT_CASE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/chat.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct json_doc doc;
static struct chat chat;
static struct fail fault;

static inline void setup(void)
{
    json_init(&doc);
    chat_init(&chat);
}

static inline void teardown(void)
{
    json_done(&doc);
    chat_done(&chat);
}

static inline int read_text(struct span text, bool for_count)
{
    fault = (struct fail){.code = ERR_OK};
    ck_assert_msg(json_parse(&doc, text, &fault) == 0, "%.300s: %s", text.ptr, fault.text);
    return chat_read_anthropic(&chat, &doc, for_count, &fault);
}

static inline void good(const char *json)
{
    ck_assert_msg(read_text(span_of(json), false) == 0, "%.300s: %s", json, fault.text);
}

static inline void bad(const char *json, const char *mention)
{
    ck_assert_msg(read_text(span_of(json), false) == -1, "%.300s was taken", json);
    ck_assert_msg(fault.code == ERR_bad_request, "%.300s", json);
    ck_assert_msg(strstr(fault.text, mention) != NULL, "%.300s: \"%s\" lacks \"%s\"", json,
                  fault.text, mention);
}

/* A smallest request with more members; *more begins with a comma or is "". */
#define REQUEST(more)                                                                              \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"
/* A request of one message whose content is this. */
#define CONTENT(blocks)                                                                            \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" blocks "]}]}"
#define TEXT(s) "{\"type\":\"text\",\"text\":\"" s "\"}"
#define CACHED(s)                                                                                  \
    "{\"type\":\"text\",\"text\":\"" s "\",\"cache_control\":{\"type\":\"ephemeral\"}}"

#endif
