/* Recordings played back as answers.  A recording is one JSON file with
 * response.status, response.headers, one of response.body (JSON), body_text or
 * body_base64, and maybe response.chunk_sizes.  Each is read once and kept. */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "sim/answer.h"

enum {
    REPLAY_FILE_MAX = 64 * 1024 * 1024,
    REPLAY_FILES_MAX = 4096,
    REPLAY_NAME_MAX = 512,
    REPLAY_PATH_MAX = 8192
};

struct recording;

struct replay {
    char *dir; /* NULL = no --replay */
    int n;
    struct recording *all[REPLAY_FILES_MAX];
};

void replay_init(struct replay *r, const char *dir);
void replay_done(struct replay *r);
/* Fills status, headers, body and piece sizes of a; not sealed.  false: no such
 * recording, *ret_why says why (a static string). */
bool replay_answer(struct replay *r, struct span name, struct answer *a, const char **ret_why);

#endif
