#define _GNU_SOURCE
/* json-c accepts what our door must refuse: duplicate members (the last wins), NaN, a name cut
 * at \u0000.  Pins: the scanner of our own on the request's way (schema/json.c). */
#include <json-c/json.h>

#include "tests/probe/probe.h"

int main(void)
{
    struct json_object *o = json_tokener_parse("{\"a\": 1, \"a\": 2}");
    EXPECT(o != NULL && json_object_get_int(json_object_object_get(o, "a")) == 2,
           "a duplicate member is accepted, the last wins");
    json_object_put(o);
    o = json_tokener_parse("{\"a\": NaN}");
    EXPECT(o != NULL, "NaN is accepted");
    json_object_put(o);
    o = json_tokener_parse("{\"model\\u0000x\": 1}");
    EXPECT(o != NULL && json_object_object_get(o, "model") != NULL, "a name is cut at \\u0000");
    json_object_put(o);
    return EXIT_SUCCESS;
}
