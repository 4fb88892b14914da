#define _GNU_SOURCE
/* Owners of new files, and of those that cannot be opened. */
#include "router/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OWNER_NAME_MAX = 64, OWNER_PASSWD_MAX = 4096 };

static int stat_directory(const char *path, struct stat *ret)
{
    char dir[PATH_MAX + 16];
    snprintf(dir, sizeof(dir), "%s", path);
    return stat(dirname(dir), ret);
}

/* Only a file that nobody else can have put there, not even as a link, is given away.  A root who
 * may not (of a container) keeps it. */
static bool give(int fd, const char *path, const char *like)
{
    struct stat st;
    if (geteuid() != 0 ||
        ((like == NULL || stat(like, &st) != 0) && stat_directory(path, &st) != 0))
        return true;
    return fchown(fd, st.st_uid, st.st_gid) == 0;
}

int owner_open(const char *path, const char *like)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? open(path, O_RDWR | O_CLOEXEC | (like != NULL ? O_NOFOLLOW : 0))
                               : -1;
    (void)give(fd, path, like);
    return fd;
}

static void name_of(uid_t uid, char ret[OWNER_NAME_MAX])
{
    char text[OWNER_PASSWD_MAX];
    struct passwd row, *found = NULL;
    if (getpwuid_r(uid, &row, text, sizeof(text), &found) == 0 && found != NULL)
        snprintf(ret, OWNER_NAME_MAX, "%s", row.pw_name);
    else
        snprintf(ret, OWNER_NAME_MAX, "%lu", (unsigned long)uid);
}

int owner_fail(const char *what, const char *path, int error, struct fail *reterr)
{
    struct stat file, dir;
    char owner[OWNER_NAME_MAX], rightful[OWNER_NAME_MAX];
    if (error != EACCES || stat_directory(path, &dir) != 0)
        return fail_set(reterr, ERR_ledger_down, NULL, "%s: %s", what, strerror(error));
    name_of(dir.st_uid, rightful);
    if (stat(path, &file) != 0)
        return fail_set(reterr, ERR_ledger_down, NULL,
                        "%s: %s (the directory of the database must be writable, it belongs to %s)",
                        what, strerror(error), rightful);
    name_of(file.st_uid, owner);
    if (file.st_uid == geteuid())
        return fail_set(reterr, ERR_ledger_down, NULL, "%s: %s (its mode is %03o)", what,
                        strerror(error), (unsigned)file.st_mode & 0777u);
    if (file.st_uid == dir.st_uid)
        return fail_set(reterr, ERR_ledger_down, NULL, "%s: %s: it belongs to %s: run this as %s",
                        what, strerror(error), owner, owner);
    return fail_set(reterr, ERR_ledger_down, NULL,
                    "%s: %s: it belongs to %s: chown it to %s, or run this as %s", what,
                    strerror(error), owner, rightful, owner);
}
