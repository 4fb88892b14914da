/* The unit tests of json_block.h once more, as machines without SSE2 have it. */
#define JSON_PORTABLE 1
#define json_block_suite json_block_portable_suite
#define JSON_BLOCK_SUITE "json_block_portable"
#include "tests/unit/check_json_block.c"
