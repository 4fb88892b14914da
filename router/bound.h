/* How many tokens a request can become on an endpoint at most.  Holds rest on it: what may not
 * happen is that a provider bills more.
 *
 * A token is never shorter than a byte of its text, and all text is in the body of the request:
 * that part is proof.  What a provider puts around the text, and what it reads besides (pictures,
 * files, what its own tools find), is not in the request: each kind has an allowance here, with
 * where it comes from.  docs/money.md says the same to operators.  Pure; integers only. */
#ifndef ROUTER_BOUND_H
#define ROUTER_BOUND_H

#include "router/catalog.h"
#include "schema/chat.h"

enum {
    /* Around the text.  Words that open and close a message or a call are in the body as well, as
     * JSON that is at least as long; the allowances are for formats that say more.
     *  - prompt: gpt-oss opens each with its own 65 tokens (openai/harmony, "system message");
     *  - message: 3 or 4 tokens and the role (OpenAI cookbook, num_tokens_from_messages), up to 8
     *    where channels are named (harmony);
     *  - call or result: names of functions are said again with results (harmony), markers of
     *    several tokens open and close calls and lists of calls (DeepSeek V3.2, Kimi K2);
     *  - argument: `<parameter name="a" string="true">1</parameter>` for "a":1 (DeepSeek V3.2,
     *    Qwen3-Coder, Claude);
     *  - definition: OpenAI adds 7 to 12 tokens each (cookbook, num_tokens_for_tools), Command R
     *    writes a function of 24 in Python;
     *  - value of its JSON: written as TypeScript, as XML, or with an indent for each. */
    BOUND_FRAME_TOK = 64,
    BOUND_MESSAGE_TOK = 16,
    BOUND_BLOCK_TOK = 8,
    BOUND_CALL_TOK = 64,
    BOUND_ARGUMENT_TOK = 16,
    BOUND_TOOL_TOK = 32,
    BOUND_VALUE_TOK = 8,

    /* Instructions that come with something that is asked for.
     *  - tools: 159 to 530 tokens by model (platform.claude.com, "Tool use" pricing), about 600
     *    with Claude Haiku 4.5 (recorded), Cohere's preamble;
     *  - a tool that the provider defines: text_editor 700, computer 735 and 499 more (same page),
     *    memory about 1,250 (recorded); one that it also runs: code_execution 2,500, web search of
     *    2026 about 5,000 (recorded); an MCP toolset: GitHub's 35 tools 26,000
     *    (anthropic.com/engineering/advanced-tool-use);
     *  - a schema for the answer: about 180 (recorded);
     *  - citations: about 590 with one document of four sentences (recorded); a cited text is cut
     *    into sentences that are numbered, so its bytes count twice. */
    BOUND_TOOLS_TOK = 1024,
    BOUND_KNOWN_TOOL_TOK = 2048,
    BOUND_HOSTED_TOOL_TOK = 8192,
    BOUND_TOOLSET_TOK = 50000,
    BOUND_FORMAT_TOK = 1024,
    BOUND_CITED_TOK = 1024,

    /* What is not text.
     *  - image: 4,784 at 2,576 pixels (platform.claude.com, "Vision"), 24 tiles of 258 (Gemini);
     *    over OpenAI's protocol 2,833 + 8 x 5,667 = 48,169 (gpt-4o-mini; 10,000 patches x 2.46 of
     *    others are less: developers.openai.com, "Images and vision");
     *    Of gpt-4o-mini the 100 pages of a document are such images as well;
     *  - document: 600 pages, read as text and as images, on models of a million tokens;
     *  - sound: an answer is 16,384 tokens (gpt-4o-audio), which are read again with its words;
     *  - a conversation that the provider keeps. */
    BOUND_IMAGE_TOK = 8192,
    BOUND_IMAGE_OPENAI_TOK = 50000,
    BOUND_PAGES_OPENAI = 100,
    BOUND_DOCUMENT_TOK = 1000000,
    BOUND_SOUND_TOK = 32768,
    BOUND_THREAD_TOK = 1000000,

    /* Tools that the provider runs: it calls the model again with all that was read before, and
     * bills the input of every call.
     *  - rounds: after 10 it stops with pause_turn (platform.claude.com, "Handling stop reasons");
     *  - result: 10 searches in 10 rounds were billed 401,468 tokens (recorded), some 7,000 each;
     *    a long page is 25,000, a paper 125,000 (platform.claude.com, "Web fetch tool"). */
    BOUND_ROUNDS = 10,
    BOUND_USES = 10,       /* of a tool without max_uses */
    BOUND_USES_MAX = 1000, /* more calls than this in one answer there cannot be */
    BOUND_RESULT_TOK = 25000,
    BOUND_PAGE_TOK = 125000, /* of web_fetch without max_content_tokens, which are a quarter off */

    /* A summary (context_management, compact_20260112) is a call of its own before each round, from
     * 50,000 tokens on, the least threshold (platform.claude.com, "Compaction"). */
    BOUND_COMPACT_MIN_TOK = 50000,
    BOUND_SUMMARY_TOK = 16384
};

/* Allowances for what is around the text and for instructions that the request brings: also for
 * bounds that are learned of text. */
int64_t bound_around_tok(const struct chat *chat);
/* A prompt of tok tokens, and once more where it may be summarized. */
int64_t bound_compacted_tok(const struct chat *chat, int64_t tok);
/* The prompts of all calls of the model that the request leads to.  searches: web searches at most;
 * completion_tok: the answer, which later calls read again. */
int64_t bound_prompt_tok(const struct chat *chat, const struct endpoint *e, int64_t searches,
                         int64_t completion_tok);
/* What is billed as completion and no max_tokens limits: tokens of a prediction that were rejected
 * (platform.openai.com/docs/guides/predicted-outputs), summaries. */
int64_t bound_unlimited_tok(const struct chat *chat, int64_t searches);

#endif
