/* Whose the files beside a database are: what root makes there belongs to whom the database belongs
 * to, so that its service can still open it. */
#ifndef ROUTER_OWNER_H
#define ROUTER_OWNER_H

#include "schema/err.h"

/* Opens for reading and writing, or makes with mode 0600.  A file that root makes gets the owner
 * and group of `like` (may be NULL), or else of its directory.  What belongs to another file is
 * never a link: whoever owns the directory could have it lead anywhere, and root writes there.
 * -1 with errno. */
int owner_open(const char *path, const char *like);

/* -1 with reterr: what could not be opened (`what` begins the line), and after EACCES whose the
 * file is that stands in the way. */
int owner_fail(const char *what, const char *path, int error, struct fail *reterr);

#endif
