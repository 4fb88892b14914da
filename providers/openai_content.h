/* The content of one message of a chat completions request: what it is made of is gathered first,
 * then written as a string, or as parts where it must be or may stay apart. */
#ifndef PROVIDERS_OPENAI_CONTENT_H
#define PROVIDERS_OPENAI_CONTENT_H

#include "providers/openai.h"

struct openai_item {
    const struct dialog_block *block; /* NULL: a label */
    struct span label;
    bool system; /* instructions, in a place where only a user may speak */
    enum cache_mark cache;
};

struct openai_items {
    struct openai_item *at;
    int n, cap;
    bool said; /* by the model: its neighbouring texts are one text in pieces (citations) */
};

/* Short of memory: the writing fails. */
void openai_add_item(struct openai_writing *w, struct openai_items *list, struct openai_item item);
void openai_add_block(struct openai_writing *w, struct openai_items *list,
                      const struct dialog_block *b);
void openai_free_items(struct openai_items *list);
bool openai_is_own_raw(const struct dialog_block *b);
/* It has no form in this protocol, not even words. */
bool openai_is_lost(const struct dialog_block *b);
/* Text, or something that becomes text. */
bool openai_is_text(const struct openai_item *i);
/* "content" of the message that is open; before: stands in front of the first text. */
void openai_put_content(struct openai_writing *w, const struct openai_items *list,
                        const char *before);
/* One of its parts. */
void openai_put_part(struct openai_writing *w, const struct openai_item *i, const char *before);

#endif
