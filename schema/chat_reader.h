/* What the files that read a chat request share.  Not for others. */
#ifndef SCHEMA_CHAT_READER_H
#define SCHEMA_CHAT_READER_H

#include "schema/chat.h"

/* A hash of bytes as they come; how they are cut into pieces makes no difference. */
enum { DIGEST_LANES = 4, DIGEST_BLOCK = 16 * DIGEST_LANES };
struct digest {
    uint64_t lanes[DIGEST_LANES];
    uint64_t total;
    char part[DIGEST_BLOCK];
};

void digest_add(struct digest *d, struct span s);
uint64_t digest_value(const struct digest *d);

struct chat_reader {
    struct chat *chat;
    const struct json_doc *doc;
    struct fail *reterr;
    struct digest digest;                       /* of the prompt so far */
    int64_t payload_bytes;                      /* of the body that are no text */
    int64_t resolved_bytes;                     /* what escapes are longer than they stand for */
    bool marked;                                /* the current block carries cache_control */
    bool one_hour;                              /* with ttl "1h" */
    uint32_t n_ends;                            /* of blocks so far */
    struct chat_prefix ends[CHAT_LOOKBACK_MAX]; /* the last ones, as a ring */
};

/* chat.c: independent of the door. */

/* Empties chat for a new request; keeps its memory. */
void chat_begin(struct chat *c, enum chat_door door, const struct json_doc *doc);
/* Room for any name in the tables of members, also where each letter takes three bytes. */
enum { CHAT_MEMBER_NAME_MAX = 96 };
/* A member's key with its escapes resolved; false when it is longer than any name that is read.
 * Once for each member: there can be hundreds of thousands, and forty names to compare each with.
 */
bool chat_member_name(const struct json_doc *d, json_ref member, char out[CHAT_MEMBER_NAME_MAX]);
/* A member of the body that is read; kinds: a bit for each enum json_kind it may be. */
struct chat_member {
    const char *name;
    unsigned kinds;
    const char *accepts; /* completes "must be ..." */
};
/* Finds the members of the body by rows; ret_at[i]: JSON_NONE when absent or null.  -1: one of
 * them twice, of another kind, or spelled in another case; or more members than CHAT_MEMBERS_MAX.
 */
int chat_split_members(struct chat_reader *r, const struct chat_member *rows, int n,
                       json_ref *ret_at);
/* One of the two is required; the other may be JSON_NONE. */
int chat_read_models(struct chat_reader *r, json_ref model, json_ref models);
/* Routing fields and the cuts that take them out. */
int chat_read_routing(struct chat_reader *r);
/* Terms with prices of their own; JSON_NONE: not said. */
int chat_read_terms(struct chat_reader *r, json_ref speed, json_ref geo);
/* A number of tokens, JSON_NONE: -1. */
int chat_read_limit(struct chat_reader *r, json_ref v, int64_t *ret_tok);
/* OpenRouter's plugins, which it takes at both doors; JSON_NONE: none. */
int chat_read_plugins(struct chat_reader *r, json_ref plugins);
/* A parameter is used when it is there; an empty list asks for nothing. */
void chat_note_param(struct chat_reader *r, json_ref v, enum param param);
/* Remembers the id of state that one provider holds; the first one counts. */
int chat_pin(struct chat_reader *r, json_ref id, const char *field);

/* chat_measure.c: sizes and prefixes, independent of the door. */

void chat_count_span(struct chat_reader *r, struct span s);
void chat_count_raw(struct chat_reader *r, json_ref v);
/* A string with its escapes resolved; anything else as it is written, none and null not at all. */
void chat_count_text(struct chat_reader *r, json_ref v);
/* Bytes of a base64 string; 0 for anything else. */
int64_t chat_decoded_size(const struct json_doc *d, json_ref data);
/* Finds members of an object by name, JSON_NONE: absent; others, and what is no object, are counted
 * as they are written.  -1: one of them twice. */
int chat_split_object(struct chat_reader *r, json_ref object, const char *const *names, int n,
                      json_ref *ret_at);
/* Tells from a signature whether thinking is foreign; JSON_NONE is none. */
void chat_note_signature(struct chat_reader *r, json_ref signature);
/* Likewise from the id of a tool call, which may carry a signature (schema/toolsig.h): others take
 * no ids of that length. */
void chat_note_call_id(struct chat_reader *r, json_ref id);
/* The block being read carries this cache_control (JSON_NONE: none). */
int chat_mark_cache(struct chat_reader *r, json_ref cache_control);
/* The bytes of a block without its own cache_control. */
void chat_digest_block(struct chat_reader *r, json_ref v);
/* A block of the prompt was read: what came before it and itself is a prefix. */
void chat_end_block(struct chat_reader *r);
/* The prompt so far, as a prefix; bytes 0: nothing. */
struct chat_prefix chat_last_end(const struct chat_reader *r);
/* A message that is no instruction was read. */
void chat_end_message(struct chat_reader *r, json_ref message);
/* Where no block was marked: a provider that caches by itself may hold the instructions (bytes 0:
 * there are none) and the whole prompt. */
void chat_add_implicit_prefixes(struct chat_reader *r, const struct chat_prefix *instructions);

/* chat_parts.c: what a prompt is made of (struct chat_parts). */

/* JSON of a tool's definition. */
void chat_count_values(struct chat_reader *r, json_ref v);
/* What an answer shall look like, JSON_NONE: nothing is said of it.  Providers show it the model.
 */
void chat_count_format(struct chat_reader *r, json_ref format);
/* Skills of a container: a provider tells the model of each. */
void chat_count_skills(struct chat_reader *r, json_ref skills);
/* A call with these arguments, JSON or a string that holds some; JSON_NONE: a result. */
void chat_count_call(struct chat_reader *r, json_ref arguments);
/* So many bytes of the body are the payload of an image, a document or a sound. */
void chat_count_payload(struct chat_reader *r, size_t len);
/* The base64 behind the comma of a data URL; empty: it is none. */
struct span chat_data_url(struct span url);
/* When all is read. */
void chat_end_parts(struct chat_reader *r);

/* chat_prompt.c: tools, system and messages of an Anthropic body, in prompt order.
 * system and tools may be JSON_NONE. cache_control: the top-level one, or JSON_NONE. */
int chat_read_prompt(struct chat_reader *r, json_ref tools, json_ref system, json_ref messages,
                     json_ref cache_control);
/* chat_openai_prompt.c: the same of an OpenAI body; functions: the old form of tools. */
int chat_read_openai_prompt(struct chat_reader *r, json_ref tools, json_ref functions,
                            json_ref messages, json_ref cache_control);
/* chat_tools.c: what one tool needs.  Its size is counted with the prompt. */
int chat_read_tool(struct chat_reader *r, json_ref tool);
int chat_read_openai_tool(struct chat_reader *r, json_ref tool);
int chat_add_server_tool(struct chat_reader *r, const char *type);
/* Each of mcp_servers (JSON_NONE: none) has a toolset, whether tools names it or not.  After tools.
 */
int chat_add_mcp_servers(struct chat_reader *r, json_ref servers);
/* max_uses of a web search, JSON_NONE: as often as the provider likes. */
void chat_add_searches(struct chat_reader *r, json_ref max_uses);
/* n < 0: nobody knows how many. */
void chat_add_search_count(struct chat_reader *r, int64_t n);

/* chat_breaks.c: after all else. */
int chat_read_breaks(struct chat_reader *r);

#endif
