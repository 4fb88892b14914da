/* POST /v1/chat/completions, the client's side. */
#include "providers/openai_door.h"

const struct door door_openai = {
    .id = DOOR_OPENAI,
    .keep_alive = ": keep-alive\n\n",
    .read = openai_door_read,
    .open = openai_door_open,
    .write = openai_door_write,
    .close = openai_door_close,
};
