/* Exact decimal arithmetic on integers.  See money.h for the units. */
#include "schema/money.h"

#include <assert.h>
#include <stdbool.h>

enum { MONEY_SCALE_MAX = 18 }; /* 10^18 fits int64 */

/* Beyond any exponent that a text of less than 2^40 digits can balance. */
#define EXPONENT_LIMIT (INT64_C(1) << 40)

/* The parts of a decimal number; the digits are those of whole and fraction, one
 * after the other. */
struct decimal {
    bool negative;
    struct span whole, fraction;
    int64_t exponent; /* clamped to +-EXPONENT_LIMIT */
};

static struct span take_digits(struct span *text)
{
    struct span digits = {text->ptr, 0};
    while (digits.len < text->len && text->ptr[digits.len] >= '0' && text->ptr[digits.len] <= '9')
        digits.len++;
    text->ptr += digits.len;
    text->len -= digits.len;
    return digits;
}

static bool take_char(struct span *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

static bool take_exponent(struct span *text, int64_t *ret)
{
    bool negative = take_char(text, '-');
    if (!negative)
        take_char(text, '+');
    struct span digits = take_digits(text);
    int64_t value = 0;
    for (size_t i = 0; i < digits.len && value < EXPONENT_LIMIT; i++)
        value = value * 10 + (digits.ptr[i] - '0');
    if (value > EXPONENT_LIMIT)
        value = EXPONENT_LIMIT;
    *ret = negative ? -value : value;
    return digits.len > 0;
}

static bool split(struct span text, bool exponent_allowed, struct decimal *ret)
{
    *ret = (struct decimal){.negative = take_char(&text, '-')};
    ret->whole = take_digits(&text);
    if (ret->whole.len == 0)
        return false;
    if (take_char(&text, '.')) {
        ret->fraction = take_digits(&text);
        if (ret->fraction.len == 0)
            return false;
    }
    if (exponent_allowed && (take_char(&text, 'e') || take_char(&text, 'E'))) {
        if (!take_exponent(&text, &ret->exponent))
            return false;
    }
    return text.len == 0;
}

/* Digits are pushed from the left; `place` is the power of ten of the next one in
 * units of the result. */
struct sum {
    int64_t value;
    int64_t place;
    bool range, inexact;
};

static void times_ten_plus(struct sum *s, int64_t digit)
{
    if (__builtin_mul_overflow(s->value, 10, &s->value) ||
        __builtin_add_overflow(s->value, digit, &s->value))
        s->range = true;
}

static void push_digits(struct sum *s, struct span digits)
{
    for (size_t i = 0; i < digits.len && !s->range; i++, s->place--) {
        if (s->place >= 0)
            times_ten_plus(s, digits.ptr[i] - '0');
        else if (digits.ptr[i] != '0')
            s->inexact = true;
    }
}

static bool is_zero(const struct decimal *d)
{
    for (size_t i = 0; i < d->whole.len; i++) {
        if (d->whole.ptr[i] != '0')
            return false;
    }
    for (size_t i = 0; i < d->fraction.len; i++) {
        if (d->fraction.ptr[i] != '0')
            return false;
    }
    return true;
}

static char digit_at(const struct decimal *d, size_t i)
{
    return i < d->whole.len ? d->whole.ptr[i] : d->fraction.ptr[i - d->whole.len];
}

/* Compares with the largest double, 1.7976931348623157e308, by its 17 digits. */
bool money_is_finite(struct span text)
{
    static const char largest[] = "17976931348623157";
    struct decimal d;
    if (!split(text, true, &d))
        return false;
    if (is_zero(&d))
        return true;
    size_t first = 0;
    while (digit_at(&d, first) == '0')
        first++;
    int64_t magnitude = (int64_t)d.whole.len - 1 - (int64_t)first + d.exponent;
    size_t total = d.whole.len + d.fraction.len;
    for (size_t i = 0; magnitude == 308 && i < sizeof(largest) - 1; i++) {
        char digit = first + i < total ? digit_at(&d, first + i) : '0';
        if (digit != largest[i])
            return digit < largest[i];
    }
    return magnitude <= 308;
}

static enum money_parse parse(struct span text, bool plain, int scale, int64_t *ret)
{
    assert(scale >= 0 && scale <= MONEY_SCALE_MAX);
    struct decimal d;
    if (!split(text, !plain, &d) || (plain && d.negative && is_zero(&d)))
        return MONEY_SYNTAX;
    if (is_zero(&d)) {
        *ret = 0;
        return MONEY_OK;
    }
    if (d.negative)
        return MONEY_NEGATIVE;
    struct sum s = {.place = (int64_t)d.whole.len - 1 + d.exponent + scale};
    push_digits(&s, d.whole);
    push_digits(&s, d.fraction);
    /* value > 0 here, so that this ends by overflow after 19 rounds at most */
    for (; s.place >= 0 && !s.range; s.place--)
        times_ten_plus(&s, 0);
    *ret = s.range ? INT64_MAX : s.value;
    return s.range ? MONEY_RANGE : s.inexact ? MONEY_INEXACT : MONEY_OK;
}

enum money_parse money_parse(struct span text, int scale, int64_t *ret)
{
    return parse(text, false, scale, ret);
}

enum money_parse money_parse_plain(struct span text, int scale, int64_t *ret)
{
    return parse(text, true, scale, ret);
}

const char *money_print(int64_t amount, int scale, char out[MONEY_TEXT_MAX])
{
    assert(scale >= 0 && scale <= MONEY_SCALE_MAX);
    uint64_t rest = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    char text[MONEY_TEXT_MAX]; /* filled from its end */
    size_t at = sizeof(text);
    text[--at] = '\0';
    bool significant = false;
    for (int i = 0; i < scale; i++, rest /= 10) {
        significant = significant || rest % 10 != 0;
        if (significant)
            text[--at] = (char)('0' + rest % 10);
    }
    if (significant)
        text[--at] = '.';
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (amount < 0)
        text[--at] = '-';
    memcpy(out, text + at, sizeof(text) - at);
    return out;
}

bool money_add(int64_t *acc, int64_t amount)
{
    int64_t sum;
    if (__builtin_add_overflow(*acc, amount, &sum))
        return false;
    *acc = sum;
    return true;
}

bool money_add_product(int64_t *acc, int64_t price, int64_t count)
{
    int64_t product;
    return !__builtin_mul_overflow(price, count, &product) && money_add(acc, product);
}

int64_t money_charge_nusd(int64_t cost_pusd)
{
    assert(cost_pusd >= 0);
    return cost_pusd / 1000 + (cost_pusd % 1000 != 0);
}
