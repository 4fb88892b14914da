/* A key's preset: routing preferences that hold where the request says nothing. */
#ifndef ROUTER_PRESET_H
#define ROUTER_PRESET_H

#include "router/identity.h"

/* Reads an object of routing preferences, and of nothing else (preset_check).  field: what the text
 * is called in messages.  p is initialised. */
int preset_read(struct prefs *p, const char *field, struct span text, struct fail *reterr);
/* 0, or -1 with reterr when the stored preset can no longer be read (it was checked when it
 * was stored). key may be NULL. */
int preset_apply(const struct key_row *key, struct prefs *p, struct fail *reterr);

/* Preferences that are stored may hold routing fields and nothing else: a misspelt one must not
 * sit there without effect.  also: other members that are allowed, NULL-terminated.  Their values
 * are not looked at.  0, or -1 with reterr, which begins with `what`. */
int preset_check(const struct json_doc *doc, const char *what, const char *const *also,
                 struct fail *reterr);

#endif
