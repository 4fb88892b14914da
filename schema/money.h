/* Money is integers.  Prices are pico-USD (1e-12 USD) per unit, balances and
 * charges are nano-USD (1e-9 USD).  No floating point anywhere; every operation
 * that can overflow says so.
 *
 * A token price of "3" USD per million tokens is 3,000,000 pico-USD per token:
 * decimals of USD per million tokens have six exact places. */
#ifndef SCHEMA_MONEY_H
#define SCHEMA_MONEY_H

#include <stdint.h>

#include "schema/span.h"

enum {
    MONEY_SCALE_MTOK = 6,  /* USD per million tokens -> pico-USD per token */
    MONEY_SCALE_UNIT = 12, /* USD per unit or per token -> pico-USD per unit */
    MONEY_SCALE_NUSD = 9,  /* USD -> nano-USD */
    MONEY_TEXT_MAX = 32
};

enum money_parse {
    MONEY_OK = 0,
    MONEY_SYNTAX,   /* not a plain decimal number */
    MONEY_NEGATIVE, /* well-formed and below zero */
    MONEY_INEXACT,  /* more decimals than the scale holds; *ret is the floor */
    MONEY_RANGE     /* does not fit int64; *ret is INT64_MAX */
};

/* Parses `digits[.digits][e[+-]digits]` (a JSON number without quotes) exactly
 * into an integer number of 10^-scale.  "-0" is zero.  On SYNTAX and NEGATIVE
 * *ret is left alone. */
enum money_parse money_parse(struct span text, int scale, int64_t *ret);
/* As money_parse but refuses an exponent and "-0": the form of caps and prices in strings. */
enum money_parse money_parse_plain(struct span text, int scale, int64_t *ret);

/* Whether text is a number that an IEEE double holds as a finite one.  Larger numbers are
 * Infinity to most JSON readers; what is stated as a limit must not depend on the reader. */
bool money_is_finite(struct span text);

/* Writes `amount` of 10^-scale as the shortest exact decimal ("0.000123457",
 * "3", "0").  Returns out.  Negative amounts get a leading minus. */
const char *money_print(int64_t amount, int scale, char out[MONEY_TEXT_MAX]);

/* false on overflow, *acc unchanged then. */
bool money_add(int64_t *acc, int64_t amount);
bool money_add_product(int64_t *acc, int64_t price, int64_t count);

/* ceil(pico / 1000): the one rounding, once per attempt, never in favour of
 * overspending a cap. pusd >= 0. */
int64_t money_charge_nusd(int64_t cost_pusd);

#endif
