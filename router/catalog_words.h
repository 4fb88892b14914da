/* The words in which the catalog's tables and files keep sets and kinds. Pure. */
#ifndef ROUTER_CATALOG_WORDS_H
#define ROUTER_CATALOG_WORDS_H

#include "router/catalog.h"

enum { WORDS_MAX = 64, WORDS_TEXT_MAX = 4096 };

/* Words separated by single spaces, cut out into fixed memory. */
struct word_list {
    int n;
    const char *word[WORDS_MAX];
    char text[WORDS_TEXT_MAX];
};
void words_split(struct span text, struct word_list *ret);
/* Unknown words are left out. */
uint32_t words_modalities(struct span text);
uint32_t words_params(struct span text);
uint32_t words_rules(struct span text);
void words_write_modalities(uint32_t bits, struct buf *out);
void words_write_params(uint32_t bits, struct buf *out);
void words_write_rules(uint32_t bits, struct buf *out);

const char *credential_kind_word(enum credential_kind k);
enum credential_kind
credential_kind_parse(const char *word); /* CREDENTIAL_NONE for anything else */
const char *auth_type_word(enum auth_type t);
enum auth_type auth_type_parse(const char *word); /* AUTH_API_KEY for anything else */

#endif
