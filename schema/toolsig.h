/* A signature that belongs to a tool call, in the call's id.
 *
 * Gemini signs function calls and wants the signature back with the next request
 * (ai.google.dev/gemini-api/docs/thought-signatures), but neither Anthropic's nor OpenAI's protocol
 * has a place for it.  Their clients send a call's id back as it was, so there it travels:
 *
 *   <id>_wfsig_<url-safe base64, no padding, of "gemini:" and the signature>
 *
 * In a dialog and in replies a signature stands in the form that thinking's have: THINKING_FOREIGN
 * (schema/chat.h), the catalog word of its protocol, a colon, the maker's own text.  A door joins
 * when it writes an id, and splits both where a call and where its result names one.  Only letters
 * that Anthropic allows in an id come to it.
 *
 * Pure. */
#ifndef SCHEMA_TOOLSIG_H
#define SCHEMA_TOOLSIG_H

#include "schema/buf.h"

#define TOOLSIG_MARK "_wfsig_"

enum { TOOLSIG_MAX = 1024 * 1024 }; /* bytes of a signature, prefix and all */

/* Appends the id, and the signature behind it.  A signature that is empty, too long, or not of the
 * form above is left out, also when the id could not be told from it: better a call without its
 * signature than none.  false: out is full. */
bool toolsig_join(struct span id, struct span signature, struct buf *out);

/* The id as its maker gave it (a piece of `id`); the signature, prefix and all, is appended to
 * ret_signature.  An id without a signature, or with anything toolsig_join does not write, is given
 * back whole and nothing is appended.  false: ret_signature is full. */
bool toolsig_split(struct span id, struct span *ret_id, struct buf *ret_signature);

#endif
