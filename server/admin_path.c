#define _GNU_SOURCE
/* Names of the files beside the database. */
#include "server/admin_path.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool admin_path(const char *db_path, const char *suffix, char ret[ADMIN_PATH_MAX])
{
    char real[PATH_MAX];
    if (realpath(db_path, real) == NULL) { /* not there yet: then its directory must be */
        char dir[PATH_MAX], base[PATH_MAX], real_dir[PATH_MAX];
        if (strlen(db_path) >= PATH_MAX)
            return false;
        snprintf(dir, sizeof(dir), "%s", db_path);
        snprintf(base, sizeof(base), "%s", db_path);
        if (realpath(dirname(dir), real_dir) == NULL)
            return false;
        int n = snprintf(real, sizeof(real), "%s/%s", real_dir, basename(base));
        if (n < 0 || (size_t)n >= sizeof(real))
            return false;
    }
    int n = snprintf(ret, ADMIN_PATH_MAX, "%s%s", real, suffix);
    return n > 0 && n < ADMIN_PATH_MAX;
}

bool admin_path_socket(const char *db_path, char ret[ADMIN_SOCKET_MAX], int *ret_dir_fd)
{
    char whole[ADMIN_PATH_MAX], dir[ADMIN_PATH_MAX];
    if (!admin_path(db_path, ".sock", whole))
        return false;
    *ret_dir_fd = -1;
    if (strlen(whole) < ADMIN_SOCKET_MAX) {
        memcpy(ret, whole, strlen(whole) + 1);
        return true;
    }
    memcpy(dir, whole, sizeof(dir));
    int fd = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    int n = snprintf(ret, ADMIN_SOCKET_MAX, "/proc/self/fd/%d%s", fd, strrchr(whole, '/'));
    *ret_dir_fd = fd;
    return n > 0 && (size_t)n < ADMIN_SOCKET_MAX;
}
