/* A key's preset: routing preferences that hold where the request says nothing. */
#ifndef ROUTER_PRESET_H
#define ROUTER_PRESET_H

#include "router/identity.h"

/* 0, or -1 with reterr when the stored preset can no longer be read (it was checked when it
 * was stored). key may be NULL. */
int preset_apply(const struct key_row *key, struct prefs *p, struct fail *reterr);

#endif
