/* The table of errors.def as data, and the one way to report a runtime error. */
#include "schema/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_info infos[ERR_COUNT_] = {
#define ERR(name, status, atype, otype, ocode, retry, text)                                        \
    [ERR_##name] = {#name, status, atype, otype, ocode, RETRY_##retry, text},
#include "schema/errors.def"
#undef ERR
};

const struct err_info *err_info(enum err code)
{
    assert(code > ERR_OK && code < ERR_COUNT_);
    return &infos[code];
}

/* A message that was cut must not end in half a character: it goes out as JSON. */
static void drop_half_character(char *text)
{
    size_t len = strlen(text);
    size_t start = len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (len - (start - 1) < want)
        text[start - 1] = '\0';
}

static void copy_cut(char *out, size_t cap, const char *from)
{
    int n = snprintf(out, cap, "%s", from);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= cap)
        drop_half_character(out);
}

int fail_set(struct fail *f, enum err code, const char *field, const char *fmt, ...)
{
    assert(code > ERR_OK && code < ERR_COUNT_);
    if (f == NULL)
        return -1;
    /* An argument may point into *f (a cause that is being wrapped). */
    char text[FAIL_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0)
        copy_cut(text, sizeof(text), infos[code].text);
    else if ((size_t)n >= sizeof(text))
        drop_half_character(text);
    char name[FAIL_FIELD_MAX];
    copy_cut(name, sizeof(name), field != NULL ? field : "");
    f->code = code;
    memcpy(f->field, name, sizeof(name));
    memcpy(f->text, text, sizeof(text));
    return -1;
}
