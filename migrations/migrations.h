/* The numbered SQL files of this directory, compiled in by embed.sh.  Applied in order by
 * router/db.c, each in one transaction that ends with PRAGMA user_version = its number. */
#ifndef MIGRATIONS_MIGRATIONS_H
#define MIGRATIONS_MIGRATIONS_H

struct migration {
    int version;      /* 1, 2, 3, ... without gaps */
    const char *name; /* "catalog" of 0001_catalog.sql */
    const char *sql;
};

extern const struct migration migrations[];
extern const int migrations_count;

#endif
