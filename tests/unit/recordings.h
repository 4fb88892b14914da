/* The recorded exchanges with real providers, where they are to be had: WAYFARE_SHARED, default
 * "../shared", folder recordings/<provider>/.  Shared by the suites that replay them. */
#ifndef TESTS_UNIT_RECORDINGS_H
#define TESTS_UNIT_RECORDINGS_H

#include <json-c/json.h>
#include <stdint.h>

#include "providers/provider.h"

/* Calls use(path, exchange) for every file of a provider's folder (NULL: of every folder), and
 * counts those that it says true to.  0, and a line "skip <suite>", where there are no recordings;
 * the test fails where fewer than `at_least` were counted. */
int recordings_replay(const char *suite, const char *folder, int at_least,
                      bool (*use)(const char *path, struct json_object *exchange));

/* Looking into JSON without a word about what is not there: NULL, 0, "". */
struct json_object *recording_member(struct json_object *object, const char *key);
struct json_object *recording_item(struct json_object *array, size_t i);
size_t recording_length(struct json_object *array);
const char *recording_word(struct json_object *object, const char *key);
int64_t recording_number(struct json_object *object, const char *key);

/* Standard base64; freed by the caller. */
char *recording_base64(const char *text, size_t *ret_len);

/* The bytes of a response's body as the provider sent them (a JSON body: as json-c writes it).
 * Freed by the caller.  Empty: there is none. */
char *recording_bytes(struct json_object *response, size_t *ret_len);

/* The adapter whose protocol an answer is in, and the endpoint as a catalog would have it
 * (in memory of its own until the next call).  NULL: there is none. */
const struct provider *recording_reader(struct json_object *exchange, struct provider_target *ret);

/* The answer, at once, through the adapter; what it means goes to the reading's sink. */
enum verdict recording_read(const struct provider *p, const struct provider_reading *reading,
                            struct json_object *response);

#endif
