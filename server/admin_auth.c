#define _GNU_SOURCE
/* The admin token, and what a browser may not be made to do. */
#include "server/admin_auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "router/identity.h"
#include "server/admin_path.h"
#include "server/log.h"

enum { TOKEN_MAX = 512, TOKEN_MIN = 16, HOST_MAX = 256 };

static void hash_token(struct span token, uint8_t ret[ADMIN_TOKEN_HASH_LEN])
{
    key_hash(token, ret);
}

/* ---- the file ---- */

static int bad_file(const char *path, const char *what, struct fail *reterr)
{
    return fail_set(reterr, ERR_internal, NULL, "admin token %s: %s", path, what);
}

static int read_token(int fd, const char *path, struct admin_auth *a, struct fail *reterr)
{
    char text[TOKEN_MAX];
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0 || fchmod(fd, 0600) != 0)
        return bad_file(path, strerror(errno), reterr);
    if (n == TOKEN_MAX)
        return bad_file(path, "is too long", reterr);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    if (n < TOKEN_MIN)
        return bad_file(path, "is shorter than 16 characters: delete it, a new one is made",
                        reterr);
    hash_token((struct span){text, (size_t)n}, a->token_hash);
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

static int make_token(int fd, const char *path, struct admin_auth *a, struct fail *reterr)
{
    char key[KEY_TEXT_MAX];
    uint8_t ignored[KEY_HASH_LEN];
    if (!key_make(key, ignored))
        return bad_file(path, "the system gives no random bytes", reterr);
    memcpy(key, "wfa",
           3); /* "wfa..." so that it is not taken for a key; 43 random characters stay */
    struct span token = span_of(key);
    hash_token(token, a->token_hash);
    key[token.len] = '\n';
    ssize_t n = write(fd, key, token.len + 1);
    OPENSSL_cleanse(key, sizeof(key));
    if (n != (ssize_t)token.len + 1 || fsync(fd) != 0)
        return bad_file(path, strerror(errno), reterr);
    return 0;
}

/* A disk that was full when it was made, or somebody who wanted another one: it is as good as none.
 */
static void drop_empty(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        unlink(path);
}

static int token_of_file(const char *db_path, struct admin_auth *a, struct fail *reterr)
{
    char path[ADMIN_PATH_MAX];
    if (!admin_path(db_path, ".admin-token", path))
        return bad_file(db_path, "no such directory", reterr);
    drop_empty(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool fresh = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return bad_file(path, strerror(errno), reterr);
    int rc = fresh ? make_token(fd, path, a, reterr) : read_token(fd, path, a, reterr);
    close(fd);
    if (rc != 0 && fresh)
        unlink(path);
    return rc;
}

int admin_auth_init(struct admin_auth *a, const char *host, const char *db_path,
                    struct fail *reterr)
{
    a->host = host;
    const char *token = getenv("WAYFARE_ADMIN_TOKEN");
    if (token == NULL)
        return token_of_file(db_path, a, reterr);
    if (token[0] == '\0')
        return fail_set(reterr, ERR_internal, NULL,
                        "WAYFARE_ADMIN_TOKEN is set but empty: unset it, and one is made and kept "
                        "beside the database");
    if (strlen(token) < TOKEN_MIN)
        log_line(LOG_WARN,
                 "msg=\"WAYFARE_ADMIN_TOKEN can be guessed: it has less than %d "
                 "characters; without it one is made\"",
                 TOKEN_MIN);
    hash_token(span_of(token), a->token_hash);
    return 0;
}

/* ---- the site ---- */

/* Host without its port, and without the brackets of an IPv6 address. */
static bool host_name(struct span host, char ret[HOST_MAX])
{
    size_t n = 0;
    const char *p = host.ptr;
    if (host.len > 0 && p[0] == '[') {
        p++;
        while (n + 1 < host.len && p[n] != ']')
            n++;
        if (n + 1 == host.len)
            return false; /* no bracket closes it */
    } else {
        while (n < host.len && p[n] != ':')
            n++;
    }
    if (n == 0 || n >= HOST_MAX)
        return false;
    memcpy(ret, p, n);
    ret[n] = '\0';
    return true;
}

static bool is_address(const char *name)
{
    uint8_t bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* An address cannot be pointed here by somebody's name server; so on a listener of all
 * addresses any address will do, but no name except localhost. */
static bool is_ours(const struct admin_auth *a, const char *name)
{
    bool everywhere = strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
           strcmp(name, "::1") == 0 || strcasecmp(name, a->host) == 0 ||
           (everywhere && is_address(name));
}

static bool is_same_origin(struct span origin, struct span host)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (origin.len == n + host.len && memcmp(origin.ptr, schemes[i], n) == 0 &&
            strncasecmp(origin.ptr + n, host.ptr, host.len) == 0)
            return true;
    }
    return false;
}

int admin_auth_check_site(const struct admin_auth *a, const struct admin_claims *c,
                          struct fail *reterr)
{
    char name[HOST_MAX];
    if (!host_name(c->host, name) || !is_ours(a, name))
        return fail_set(reterr, ERR_forbidden, "host",
                        "this Host is not an address of the admin listener");
    if (c->origin.len > 0 && !is_same_origin(c->origin, c->host))
        return fail_set(reterr, ERR_forbidden, "origin",
                        "requests from pages of another origin are refused");
    return 0;
}

/* ---- the token ---- */

static struct span bearer(struct span authorization)
{
    const size_t n = sizeof("Bearer ") - 1;
    if (authorization.len <= n || strncasecmp(authorization.ptr, "Bearer ", n) != 0)
        return (struct span){NULL, 0};
    struct span token = {authorization.ptr + n, authorization.len - n};
    while (token.len > 0 && token.ptr[0] == ' ')
        token = (struct span){token.ptr + 1, token.len - 1};
    return token;
}

int admin_auth_check_token(const struct admin_auth *a, const struct admin_claims *c,
                           struct fail *reterr)
{
    struct span token = c->x_api_key.len > 0 ? c->x_api_key : bearer(c->authorization);
    bool two = c->x_api_key.len > 0 && c->authorization.len > 0 &&
               !span_eq(c->x_api_key, bearer(c->authorization));
    uint8_t hash[ADMIN_TOKEN_HASH_LEN];
    hash_token(token.len > 0 ? token : SPAN(""), hash);
    if (!two && token.len > 0 && CRYPTO_memcmp(hash, a->token_hash, sizeof(hash)) == 0)
        return 0;
    return fail_set(reterr, ERR_unauthenticated, NULL,
                    "the admin token is needed: authorization: Bearer TOKEN");
}
