/* A key's preset: routing preferences that hold where the request says nothing. */
#ifndef ROUTER_PRESET_H
#define ROUTER_PRESET_H

#include "router/identity.h"

/* Reads an object of routing preferences, and of nothing else: a misspelt one must not sit there
 * without effect.  field: what the text is called in messages.  p is initialised. */
int preset_read(struct prefs *p, const char *field, struct span text, struct fail *reterr);
/* 0, or -1 with reterr when the stored preset can no longer be read (it was checked when it
 * was stored). key may be NULL. */
int preset_apply(const struct key_row *key, struct prefs *p, struct fail *reterr);

#endif
