#include "sim/aws_event.h"

#include <stdint.h>

enum { TYPE_STRING = 7, CRC_BYTES = 4 };

/* CRC-32 of IEEE 802.3, reflected. */
static uint32_t crc32_of(const char *bytes, size_t n)
{
    static uint32_t table[256];
    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = (c & 1) != 0 ? 0xedb88320u ^ c >> 1 : c >> 1;
            table[i] = c;
        }
    }
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ (unsigned char)bytes[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

static void store32(char *at, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(n >> (24 - 8 * i) & 0xff);
}

static void add_header(struct buf *out, const char *name, const char *value)
{
    size_t len = strlen(value);
    buf_addc(out, (char)strlen(name));
    buf_adds(out, name);
    buf_addc(out, TYPE_STRING);
    buf_addc(out, (char)(len >> 8));
    buf_addc(out, (char)(len & 0xff));
    buf_adds(out, value);
}

size_t aws_event_begin(struct buf *out, const char *type, bool exception)
{
    size_t begin = out->len;
    char empty[AWS_PRELUDE] = {0};
    buf_add(out, empty, sizeof(empty));
    add_header(out, exception ? ":exception-type" : ":event-type", type);
    add_header(out, ":content-type", "application/json");
    add_header(out, ":message-type", exception ? "exception" : "event");
    if (!out->failed)
        store32(out->ptr + begin + 4, (uint32_t)(out->len - begin - AWS_PRELUDE));
    return begin;
}

void aws_event_end(struct buf *out, size_t begin)
{
    char crc[CRC_BYTES];
    if (out->failed)
        return;
    store32(out->ptr + begin, (uint32_t)(out->len - begin + CRC_BYTES));
    store32(out->ptr + begin + 8, crc32_of(out->ptr + begin, 8));
    store32(crc, crc32_of(out->ptr + begin, out->len - begin));
    buf_add(out, crc, sizeof(crc));
}
