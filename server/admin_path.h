/* Where the admin socket and the admin token of a database are: beside its file. */
#ifndef SERVER_ADMIN_PATH_H
#define SERVER_ADMIN_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

enum {
    ADMIN_PATH_MAX = PATH_MAX + 32,
    ADMIN_SOCKET_MAX = sizeof(((struct sockaddr_un *)0)->sun_path)
};

/* DB_PATH and suffix, links in DB_PATH resolved, so that every name of one database gives
 * one socket. false when there is no such directory or the path is too long. */
bool admin_path(const char *db_path, const char *suffix, char ret[ADMIN_PATH_MAX]);

/* As bind() and connect() take it: the path itself, or, when that is too long for a
 * sockaddr_un, one through a descriptor of its directory, which is then *ret_dir_fd (else -1;
 * the caller closes it when the address is no longer used). */
bool admin_path_socket(const char *db_path, char ret[ADMIN_SOCKET_MAX], int *ret_dir_fd);

#endif
