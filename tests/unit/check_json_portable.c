/* The unit tests of the JSON reader once more, for the reader as machines without SSE2 have it. */
#define JSON_PORTABLE 1
#define json_init portable_json_init
#define json_done portable_json_done
#define json_parse portable_json_parse
#define json_first portable_json_first
#define json_raw portable_json_raw
#define json_inner portable_json_inner
#define json_suite json_portable_suite
#define JSON_SUITE "json_portable"
#include "schema/json.c"
#include "tests/unit/check_json.c"
