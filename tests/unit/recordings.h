/* The recorded exchanges with real providers, where they are to be had: WAYFARE_SHARED, default
 * "../shared", folder recordings/<provider>/.  Shared by the suites that replay them. */
#ifndef TESTS_UNIT_RECORDINGS_H
#define TESTS_UNIT_RECORDINGS_H

#include <json-c/json.h>
#include <stdint.h>

#include "providers/door.h"
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

/* An answer, told by its adapter to a door's client. */
#define RECORDING_GENERATION "gen_1"
struct recording_told {
    struct buf stream, body; /* as the client gets it, NUL behind it */
    struct reply_whole told;
    struct reply_whole told_in_time; /* without the signatures that come too late for a stream */
    /* While it is told: */
    const char *file;
    const struct door *door;
    struct door_writer *streaming, *whole;
    struct reply_grammar grammar;
};
/* The test fails on bad grammar (schema/reply.h) and on an end that does not fit the verdict. */
void recording_tell(struct recording_told *ret, const char *file, const struct provider *p,
                    const struct provider_target *target, struct json_object *response,
                    const struct door *door);
void recording_told_done(struct recording_told *t);

#endif
