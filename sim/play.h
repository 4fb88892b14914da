/* Plays an answer on a connection: waits, paces, cuts into pieces, pings, and
 * stops where the script says.  Driven by the connection: play_run is called when the
 * answer is ready, when the socket has room again, and when its timer fires. */
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

struct play {
    size_t pos;        /* body bytes sent */
    size_t mark;       /* first mark that is not due yet */
    size_t piece;      /* next of answer.sizes */
    uint64_t start_ms; /* loop time */
    uint64_t ping_ms;  /* loop time of the last byte sent */
    bool head_sent;
    bool reset_due; /* the last bytes are out, the RST follows */
};

enum {
    PLAY_TURN = 64,   /* pieces sent before other connections get a turn */
    PLAY_RESET_MS = 5 /* the peer gets the bytes before the RST overtakes them */
};

void play_begin(struct conn *c);
void play_run(struct conn *c);
/* Tokens generated in what was sent so far. */
int64_t play_tokens(const struct conn *c);

#endif
