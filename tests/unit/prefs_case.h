/* Shared by the unit tests of the routing fields: one document, one prefs, and checks
 * that say which body they were about. */
#ifndef TESTS_UNIT_PREFS_CASE_H
#define TESTS_UNIT_PREFS_CASE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/money.h"
#include "schema/prefs.h"
#include "schema/prefs_spec.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { TEXT_MAX = 16 * 1024 };

#define SLUG_129                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaa"                                                                                         \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct json_doc doc;
static struct prefs prefs;
static struct fail fault;

static inline void setup(void)
{
    json_init(&doc);
    prefs_init(&prefs);
}

static inline void teardown(void)
{
    json_done(&doc);
    prefs_done(&prefs);
}

static inline int read_text(struct span text)
{
    fault = (struct fail){.code = ERR_OK};
    ck_assert_msg(json_parse(&doc, text, &fault) == 0, "%s", fault.text);
    return prefs_read(&prefs, &doc, 0, &fault);
}

static inline void good(const char *json)
{
    ck_assert_msg(read_text(span_of(json)) == 0, "%s: %s", json, fault.text);
}

static inline void bad(const char *json, const char *mention)
{
    ck_assert_msg(read_text(span_of(json)) == -1, "%s was taken", json);
    ck_assert_msg(fault.code == ERR_bad_request, "%s", json);
    ck_assert_msg(strstr(fault.text, mention) != NULL, "%s: \"%s\" lacks \"%s\"", json, fault.text,
                  mention);
    ck_assert_msg(fault.field[0] != '\0', "%s", json);
}

static inline const char *written(void)
{
    static struct buf out;
    buf_done(&out);
    buf_init(&out, PREFS_TEXT_MAX);
    prefs_write(&prefs, &out);
    ck_assert(!out.failed);
    return out.ptr;
}

#endif
