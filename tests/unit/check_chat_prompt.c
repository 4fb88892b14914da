/* Unit tests of schema/chat_prompt.c and chat_digest.c: the size of a prompt and the
 * prefixes that a provider may hold in its cache. */
#include "schema/chat_reader.h"
#include "tests/unit/chat_case.h"

/* ---- sizes ---- */

static const struct {
    const char *json;
    int64_t bytes, chars;
} sizes[] = {
    {REQUEST(""), 2, 2},
    {REQUEST(",\"system\":\"abc\""), 5, 5},
    {REQUEST(",\"system\":[" TEXT("abc") "," TEXT("de") "]"), 7, 7},
    {CONTENT(TEXT("hello") "," TEXT("")), 5, 5},
    /* escapes are resolved; one to four bytes a character */
    {CONTENT(TEXT("a\\n\\\"\\u00e9\\u20ac\\ud83d\\ude00")), 12, 6},
    {CONTENT(TEXT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 plain ascii, long enough")), 34, 28},
    {CONTENT(TEXT("x\\ud800y")), 5, 3},
    /* thinking, and what stands for it when it is withheld */
    {CONTENT("{\"type\":\"thinking\",\"thinking\":\"hmm\",\"signature\":\"c2lnbmF0dXJl\"}"), 3, 3},
    {CONTENT("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"c2lnbmF0dXJl\"}"), 12, 12},
    {CONTENT("{\"type\":\"redacted_thinking\",\"data\":\"b3BhcXVl\"}"), 8, 8},
    /* tools */
    {REQUEST(",\"tools\":[{\"name\":\"f\"}]"), 14, 14},
    {REQUEST(",\"tools\":[ {\"name\" : \"f\"} , {} ]"), 18, 18},
    {CONTENT("{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"Bash\",\"input\":"
             "{\"command\": \"ls\"}}"),
     4 + 17, 4 + 17},
    {CONTENT("{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":\"one\","
             "\"is_error\":false}"),
     3, 3},
    {CONTENT("{\"type\":\"tool_result\",\"content\":[" TEXT("one") "," TEXT("two") "]}"), 6, 6},
    /* payloads are not text */
    {CONTENT("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
             "\"data\":\"iVBORw0KGgoAAAANSUhEUg==\"}}," TEXT("what is it?")),
     11, 11},
    {CONTENT("{\"type\":\"document\",\"title\":\"T\",\"context\":\"cc\",\"source\":{\"type\":"
             "\"base64\",\"data\":\"JVBERi0xLjQ=\"},\"citations\":{\"enabled\":true}}"),
     3, 3},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\","
             "\"data\":\"plain\"}}"),
     5, 5},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":"
             "[" TEXT("in") "," TEXT("side") "]}}"),
     6, 6},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":\"string\"}}"), 6,
     6},
    {CONTENT("{\"type\":\"search_result\",\"source\":\"http://x\",\"title\":\"T\",\"content\":"
             "[" TEXT("found") "]}"),
     14, 14},
    /* unknown members count as they are written */
    {CONTENT("{\"type\":\"new\",\"stuff\":{\"a\": 1}}"), 8, 8},
    {CONTENT("{\"type\":\"web_fetch_tool_result\",\"content\":{\"type\":\"web_fetch_result\","
             "\"url\":\"u\",\"content\":{\"type\":\"document\",\"source\":{\"type\":\"base64\","
             "\"data\":\"AAAA\"}}}}"),
     3, 3},
    {CONTENT("\"bare\",7,null"), 5, 5},
    /* cache_control, roles and the like are no text */
    {CONTENT(CACHED("abc")), 3, 3},
};

START_TEST(what_counts_as_text)
{
    for (size_t i = 0; i < ROWS(sizes); i++) {
        good(sizes[i].json);
        ck_assert_msg(chat.prompt_bytes == sizes[i].bytes, "%s: %lld bytes", sizes[i].json,
                      (long long)chat.prompt_bytes);
        ck_assert_msg(chat.prompt_chars == sizes[i].chars, "%s: %lld characters", sizes[i].json,
                      (long long)chat.prompt_chars);
    }
}
END_TEST

/* Characters are counted in blocks of 64 bytes: every place of every width. */
START_TEST(characters_at_every_offset)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    char body[512], dots[140];
    memset(dots, '.', sizeof(dots));
    for (int pad = 0; pad < (int)sizeof(dots); pad++) {
        for (size_t c = 0; c < ROWS(characters); c++) {
            snprintf(body, sizeof(body), CONTENT(TEXT("%.*s%s%s%.*s")), pad, dots, characters[c],
                     characters[c], pad, dots);
            good(body);
            ck_assert_int_eq(chat.prompt_chars, 2 * pad + 2);
            ck_assert_int_eq(chat.prompt_bytes, 2 * pad + 2 * (int64_t)strlen(characters[c]));
        }
    }
}
END_TEST

START_TEST(characters_of_a_long_text)
{
    enum { N = 20000 };
    struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_adds(&b, "{\"model\":\"m\",\"messages\":[{\"content\":\"");
    for (int i = 0; i < N; i++)
        buf_adds(&b, "\xf0\x9f\x98\x80");
    ck_assert(buf_adds(&b, "\"}]}"));
    good(b.ptr);
    ck_assert_int_eq(chat.prompt_chars, N);
    ck_assert_int_eq(chat.prompt_bytes, 4 * N);
    buf_done(&b);
}
END_TEST

/* The text of a string taken off stretch by stretch, a lone surrogate as U+FFFD. */
static void take_off(struct span written, int64_t *ret_bytes, int64_t *ret_chars)
{
    char store[4];
    struct span part;
    *ret_bytes = 0;
    *ret_chars = 0;
    while (written.len > 0) {
        if (!json_stretch(&written, store, &part))
            part = SPAN("\xef\xbf\xbd");
        *ret_bytes += (int64_t)part.len;
        for (size_t i = 0; i < part.len; i++)
            *ret_chars += ((unsigned char)part.ptr[i] & 0xc0) != 0x80;
    }
}

static const char *const pieces[] = {
    "\\n",     "\\\\",    "\\\"",    "\\u0041", "\\u007F",   "\\u0080", "\\u07ff",  "\\u0800",
    "\\uFFFF", "\\ud7ff", "\\ue000", "\\ud800", "\\uDBff",   "\\udc00", "\\uDFFF",  "\xc3\xa9",
    "u",       "x",       "\\/u",    "\\\\u",   "some text", "\\u00e9", "\\u0000u", "\xe2\x82\xac"};

START_TEST(escapes_at_every_offset)
{
    char text[400], body[512];
    uint64_t seed = (uint64_t)_i + 1;
    for (int round = 0; round < 10000; round++) {
        size_t len = 0;
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t most = seed >> 40 & 255, kinds = 1 + (seed >> 50) % ROWS(pieces);
        while (len <= most) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            const char *piece = pieces[(most + (seed >> 40) % kinds) % ROWS(pieces)];
            memcpy(text + len, piece, strlen(piece) + 1);
            len += strlen(piece);
        }
        snprintf(body, sizeof(body), CONTENT(TEXT("%s")), text);
        good(body);
        int64_t bytes, chars;
        take_off((struct span){text, len}, &bytes, &chars);
        if (chat.prompt_bytes != bytes || chat.prompt_chars != chars)
            ck_abort_msg("%s: %lld bytes, %lld characters", text, (long long)chat.prompt_bytes,
                         (long long)chat.prompt_chars);
    }
}
END_TEST

#define IMAGE "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAABBBB\"}}"
#define PDF "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"AAAABBBB\"}}"

static const struct {
    const char *json;
    uint32_t needs;
    int n_images, n_documents;
    int64_t document_bytes;
} media[] = {
    {REQUEST(""), 0, 0, 0, 0},
    {CONTENT(IMAGE), NEED_IMAGES, 1, 0, 0},
    {CONTENT(IMAGE "," IMAGE "," TEXT("x")), NEED_IMAGES, 2, 0, 0},
    {CONTENT("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://x\"}}"),
     NEED_IMAGES, 1, 0, 0},
    {CONTENT(PDF), NEED_DOCUMENTS, 0, 1, 6},
    {CONTENT(PDF "," PDF "," IMAGE), NEED_DOCUMENTS | NEED_IMAGES, 1, 2, 12},
    {CONTENT("{\"source\":{\"url\":\"http://x\",\"type\":\"url\"},\"type\":\"document\"}"),
     NEED_DOCUMENTS, 0, 1, 0},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"AAAA\"}}"),
     NEED_DOCUMENTS, 0, 0, 0},
    {CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[" IMAGE "]}}"),
     NEED_DOCUMENTS | NEED_IMAGES, 1, 0, 0},
    {CONTENT("{\"type\":\"tool_result\",\"content\":[" TEXT("x") "," IMAGE "," PDF "]}"),
     NEED_DOCUMENTS | NEED_IMAGES, 1, 1, 6},
    {REQUEST(",\"system\":[" IMAGE "]"), NEED_IMAGES, 1, 0, 0},
    {CONTENT("{\"type\":\"web_fetch_tool_result\",\"content\":{\"content\":" PDF "}}"),
     NEED_DOCUMENTS, 0, 1, 6},
    /* words inside of text and of tool input are no blocks */
    {CONTENT("{\"type\":\"tool_use\",\"input\":{\"type\":\"image\",\"content\":[" IMAGE "]}}"), 0,
     0, 0, 0},
    {CONTENT(TEXT("{\\\"type\\\":\\\"image\\\"}")), 0, 0, 0, 0},
};

START_TEST(images_and_documents)
{
    for (size_t i = 0; i < ROWS(media); i++) {
        good(media[i].json);
        ck_assert_msg(chat.needs == media[i].needs, "%s", media[i].json);
        ck_assert_msg(chat.n_images == media[i].n_images, "%s", media[i].json);
        ck_assert_msg(chat.n_documents == media[i].n_documents, "%s", media[i].json);
        ck_assert_msg(chat.document_bytes == media[i].document_bytes, "%s", media[i].json);
    }
}
END_TEST

START_TEST(blocks_nested_to_the_limit)
{
    enum { DEPTH = 120 };
    struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_adds(&b, "{\"model\":\"m\",\"messages\":[{\"content\":[");
    for (int i = 0; i < DEPTH; i++)
        buf_adds(&b, "{\"content\":[");
    buf_adds(&b, TEXT("deep"));
    for (int i = 0; i < DEPTH; i++)
        buf_adds(&b, "]}");
    buf_adds(&b, "]}]}");
    good(b.ptr);
    ck_assert_int_eq(chat.prompt_bytes, 4);
    buf_done(&b);
}
END_TEST

/* ---- the digest ---- */

START_TEST(pieces_make_no_difference_to_a_digest)
{
    char bytes[2 * DIGEST_BLOCK + 7];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct digest whole = {0};
        digest_add(&whole, (struct span){bytes, len});
        for (size_t a = 0; a <= len; a++) {
            size_t b = a + (len - a) / 3;
            struct digest parts = {0};
            digest_add(&parts, (struct span){bytes, a});
            digest_add(&parts, (struct span){bytes + a, b - a});
            digest_add(&parts, (struct span){bytes + b, len - b});
            ck_assert_uint_eq(digest_value(&parts), digest_value(&whole));
        }
    }
}
END_TEST

/* Neither one changed bit nor zeros at the end go unnoticed. */
START_TEST(a_digest_sees_every_bit)
{
    char bytes[DIGEST_BLOCK + DIGEST_BLOCK / 2] = {0};
    uint64_t seen[sizeof(bytes) * 9];
    size_t n = 0;
    for (size_t len = 0; len <= sizeof(bytes) - 1; len++) {
        struct digest d = {0};
        digest_add(&d, (struct span){bytes, len});
        seen[n++] = digest_value(&d);
    }
    for (size_t bit = 0; bit < (sizeof(bytes) - 1) * 8; bit++) {
        struct digest d = {0};
        bytes[bit / 8] = (char)(1u << bit % 8);
        digest_add(&d, (struct span){bytes, sizeof(bytes) - 1});
        bytes[bit / 8] = 0;
        seen[n++] = digest_value(&d);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(seen[i], seen[k]);
    }
}
END_TEST

/* ---- prefixes ---- */

static uint64_t last_hash(const char *json)
{
    good(json);
    ck_assert_msg(chat.n_prefixes > 0, "%s", json);
    return chat.prefixes[chat.n_prefixes - 1].hash;
}

START_TEST(breakpoints_in_prompt_order)
{
    /* written in another order than that of the prompt */
    good("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" TEXT("ab") "," CACHED(
        "c") "]}],\"system\":[" CACHED("wxyz") "],\"tools\":[{\"name\":\"f\",\"cache_control\":"
                                               "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}");
    ck_assert_int_eq(chat.n_prefixes, 3);
    int64_t tool = (int64_t)strlen("{\"name\":\"f\",\"cache_control\":"
                                   "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}");
    ck_assert_int_eq(chat.prefixes[0].bytes, tool);
    ck_assert_int_eq(chat.prefixes[1].bytes, tool + 4);
    ck_assert_int_eq(chat.prefixes[2].bytes, tool + 7);
    ck_assert(chat.prefixes[0].one_hour && !chat.prefixes[1].one_hour);
    ck_assert(chat.cache_write_1h && chat.cache_write_5m);
    ck_assert_uint_ne(chat.prefixes[0].hash, chat.prefixes[1].hash);
    ck_assert_uint_ne(chat.prefixes[1].hash, chat.prefixes[2].hash);
}
END_TEST

static const struct {
    const char *json;
    int n;
    bool five_minutes, one_hour;
} controls[] = {
    {REQUEST(""), 1, false, false}, /* the prompt, for those that cache by themselves */
    {REQUEST(",\"system\":\"s\""), 2, false, false},
    {CONTENT(CACHED("a")), 1, true, false},
    {CONTENT("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":null}"), 1, false, false},
    {CONTENT("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"ttl\":\"5m\"}}"), 1, true,
     false},
    {CONTENT("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"ttl\":\"1h\"}}"), 1, false,
     true},
    {CONTENT("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"ttl\":\"9y\"}}"), 1, true,
     false},
    {CONTENT("{\"type\":\"tool_result\",\"content\":[" CACHED("x") "]}"), 1, true, false},
    {REQUEST(",\"cache_control\":{\"type\":\"ephemeral\"}"), 1, true, false},
    {REQUEST(",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"), 1, false, true},
    {CONTENT(CACHED("1") "," CACHED("2") "," CACHED("3") "," CACHED("4") "," CACHED("5")), 4, true,
     false},
};

START_TEST(which_blocks_are_breakpoints)
{
    for (size_t i = 0; i < ROWS(controls); i++) {
        good(controls[i].json);
        ck_assert_msg(chat.n_prefixes == controls[i].n, "%s", controls[i].json);
        ck_assert_msg(chat.cache_write_5m == controls[i].five_minutes, "%s", controls[i].json);
        ck_assert_msg(chat.cache_write_1h == controls[i].one_hour, "%s", controls[i].json);
    }
}
END_TEST

START_TEST(the_automatic_breakpoint_is_the_end)
{
    uint64_t marked = last_hash(CONTENT(TEXT("a") "," CACHED("b")));
    uint64_t automatic =
        last_hash("{\"cache_control\":{\"type\":\"ephemeral\"},\"model\":\"m\",\"messages\":"
                  "[{\"role\":\"user\",\"content\":[" TEXT("a") "," TEXT("b") "]}]}");
    ck_assert_uint_eq(marked, automatic);
    ck_assert_int_eq(chat.prefixes[0].bytes, 2);
}
END_TEST

/* A prefix is the same whatever follows, whatever the model and the settings, and however
 * the bytes outside of the prompt are written. */
START_TEST(equal_prefixes_have_equal_hashes)
{
    static const char *const equal[] = {
        CONTENT(TEXT("a") "," CACHED("b")),
        CONTENT(TEXT("a") "," CACHED("b") "," TEXT("c")),
        CONTENT(CACHED("a") "," CACHED("b")),
        CONTENT(TEXT("a") ",{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{\"ttl\":\"1h\"}}"),
        CONTENT(TEXT("a") ",{\"cache_control\":{},\"type\":\"text\",\"text\":\"b\"}"),
        CONTENT(" " TEXT("a") "\n, " CACHED("b") " "),
        "{\"stream\":true,\"messages\":[{\"content\":[" TEXT("a") "," CACHED(
            "b") "],"
                 "\"role\":\"user\"}],\"model\":\"other\",\"provider_sort\":\"price\"}",
    };
    static const char *const other[] = {
        CONTENT(TEXT("b") "," CACHED("b")),
        CONTENT(TEXT("a") "," CACHED("c")),
        CONTENT(CACHED("ab")),
        CONTENT(TEXT("a") "," TEXT("") "," CACHED("b")),
        "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":[" TEXT("a") "," CACHED(
            "b") "]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" TEXT(
            "a") "]},{\"role\":\"user\",\"content\":[" CACHED("b") "]}]}",
        "{\"model\":\"m\",\"system\":[" TEXT("a") "],\"messages\":[{\"role\":\"user\","
                                                  "\"content\":[" CACHED("b") "]}]}",
        "{\"model\":\"m\",\"tools\":[{}],\"messages\":[{\"role\":\"user\",\"content\":[" TEXT(
            "a") "," CACHED("b") "]}]}",
    };
    uint64_t want = last_hash(equal[0]);
    for (size_t i = 1; i < ROWS(equal); i++)
        ck_assert_msg(last_hash(equal[i]) == want, "%s", equal[i]);
    for (size_t i = 0; i < ROWS(other); i++)
        ck_assert_msg(last_hash(other[i]) != want, "%s", other[i]);
}
END_TEST

/* ---- Claude Code ---- */

#define BILLING(v) TEXT("x-anthropic-billing-header: cc_version=2.1." v "; cc_entrypoint=cli;")
#define TOOLS                                                                                      \
    "\"tools\":[{\"name\":\"Bash\",\"description\":\"Run a command\",\"input_schema\":"            \
    "{\"type\":\"object\",\"$schema\":\"http://json-schema.org/draft-07/schema#\"}},"              \
    "{\"name\":\"Later\",\"defer_loading\":true,\"input_schema\":{}}],"
#define SYSTEM(v)                                                                                  \
    "\"system\":[" BILLING(v) "," CACHED("You are an agent.") "," CACHED("\\nBe brief.") "],"
#define TAIL                                                                                       \
    "\"metadata\":{\"user_id\":\"{\\\"device_id\\\":\\\"1\\\"}\"},\"max_tokens\":32000,"           \
    "\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},\"context_management\":"         \
    "{\"edits\":[{\"type\":\"clear_thinking_20251015\",\"keep\":\"all\"}]},"                       \
    "\"output_config\":{\"effort\":\"high\"},\"stream\":true}"
#define ENVIRONMENT "# Environment\\nLinux"

/* A first turn, and one of its tool loop: the breakpoint moved on, and what was a block
 * with cache_control became a plain string. */
static const char first_turn[] =
    "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":[" TEXT(
        "<system-reminder>") "," TEXT("Fix it") "]},{\"role\":\"system\",\"content\":"
                                                "[" CACHED(ENVIRONMENT) "]}]," SYSTEM("330."
                                                                                      "aaa")
                                                    TOOLS TAIL;
static const char tool_turn[] =
    "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":"
    "[" TEXT("<system-reminder>") "," TEXT(
        "Fix it") "]},{\"role\":\"system\",\"content\":\"" ENVIRONMENT "\"},"
                  "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                  "\"thinking\":\"Step \\u00fc\","
                  "\"signature\":\"bW9jaw==\"}," TEXT(
                      "Calling Bash.") ",{\"type\":\"tool_use\",\"id\":\"toolu_1\","
                                       "\"name\":\"Bash\",\"input\":{\"command\":"
                                       "\"ls\"},\"caller\":{\"type\":\"direct\"}}]},"
                                       "{\"role\":\"user\",\"content\":[{\"tool_use_"
                                       "id\":\"toolu_1\",\"type\":\"tool_result\","
                                       "\"content\":\"one\",\"is_error\":false,"
                                       "\"cache_control\":{\"type\":\"ephemeral\"}}]}"
                                       "]," SYSTEM("331.bbb") TOOLS TAIL;

START_TEST(a_request_of_claude_code)
{
    good(first_turn);
    ck_assert_str_eq(chat.models[0].name, "claude-opus-5-5");
    ck_assert(chat.stream && chat.max_tokens == 32000);
    ck_assert_uint_eq(chat.needs, NEED_TOOLS);
    ck_assert_uint_eq(chat.params, PARAM_BIT(PARAM_tools) | PARAM_BIT(PARAM_max_tokens) |
                                       PARAM_BIT(PARAM_reasoning) |
                                       PARAM_BIT(PARAM_reasoning_effort));
    ck_assert_int_eq(chat.n_prefixes, 3);
    ck_assert(chat.cache_write_5m && !chat.cache_write_1h);
    ck_assert_int_eq(chat.n_cuts, 0);
    ck_assert_int_eq(chat.prefixes[2].bytes, chat.prompt_bytes);
}
END_TEST

START_TEST(the_next_turn_finds_the_cache_of_the_last)
{
    good(first_turn);
    struct chat_prefix first[3];
    memcpy(first, chat.prefixes, sizeof(first));
    uint64_t talk = chat.talk;
    ck_assert_int_eq(chat.n_answers, 0);
    good(tool_turn);
    ck_assert_uint_eq(chat.talk, talk);
    ck_assert_int_eq(chat.n_answers, 1);
    ck_assert_int_eq(chat.n_prefixes, 3);
    /* the billing header differs, system and tools do not */
    ck_assert_uint_eq(chat.prefixes[0].hash, first[0].hash);
    ck_assert_uint_eq(chat.prefixes[1].hash, first[1].hash);
    ck_assert_uint_ne(chat.prefixes[2].hash, first[2].hash);
    /* the end of the last turn is four blocks back */
    ck_assert_int_ge(chat.n_lookback, 4);
    ck_assert_uint_eq(chat.lookback[3].hash, first[2].hash);
    ck_assert_int_eq(chat.lookback[3].bytes, first[2].bytes);
    ck_assert_uint_ne(chat.lookback[2].hash, first[2].hash);
}
END_TEST

START_TEST(lookback_is_bounded)
{
    struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_adds(&b, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[");
    for (int i = 0; i < 45; i++)
        buf_addf(&b, TEXT("%02d") ",", i);
    buf_adds(&b, CACHED("end") "," TEXT("after") "]}]}");
    good(b.ptr);
    ck_assert_int_eq(chat.n_lookback, CHAT_LOOKBACK_MAX);
    for (int i = 0; i < CHAT_LOOKBACK_MAX; i++)
        ck_assert_int_eq(chat.lookback[i].bytes, 2 * (45 - i));
    ck_assert_int_eq(chat.prefixes[0].bytes, 93);
    buf_done(&b);
}
END_TEST

START_TEST(only_the_first_system_block_is_billing)
{
    uint64_t with = last_hash(REQUEST(",\"system\":[" BILLING("1") "," CACHED("s") "]"));
    ck_assert_uint_eq(last_hash(REQUEST(",\"system\":[" BILLING("2") "," CACHED("s") "]")), with);
    uint64_t one =
        last_hash(REQUEST(",\"system\":[" CACHED("s") "," BILLING("1") "],"
                                                                       "\"cache_control\":{}"));
    ck_assert_uint_ne(
        last_hash(REQUEST(",\"system\":[" CACHED("s") "," BILLING("2") "],"
                                                                       "\"cache_control\":{}")),
        one);
    /* nor is what is said behind it in the same text */
    ck_assert_uint_ne(last_hash(REQUEST(",\"system\":[" BILLING("1;\\nA") "," CACHED("s") "]")),
                      last_hash(REQUEST(",\"system\":[" BILLING("1;\\nB") "," CACHED("s") "]")));
    ck_assert_uint_eq(last_hash(REQUEST(",\"system\":[" BILLING("1") "," CACHED("s") "]")), with);
    good(REQUEST(",\"system\":[" BILLING("1") "]"));
    ck_assert_int_gt(chat.prompt_bytes, 30); /* its text is part of the prompt all the same */
}
END_TEST

/* Functions are told everywhere, what has another type where this protocol is spoken. */
START_TEST(tools_of_this_protocol_alone)
{
    static const struct {
        const char *members, *own;
    } cases[] = {
        {"", ""},
        {",\"tools\":[{\"name\":\"f\"},{\"type\":\"custom\",\"name\":\"g\"},{\"type\":null}]", ""},
        {",\"plugins\":[{\"id\":\"response-healing\"}]", ""},
        {",\"tools\":[{\"name\":\"f\"},{\"type\":\"bash_20250124\",\"name\":\"bash\"}]",
         "bash_20250124"},
        {",\"tools\":[{\"type\":\"text_editor_20250728\"}]", "text_editor_20250728"},
        {",\"tools\":[{\"type\":\"web_search_20250305\"},{\"type\":\"memory_20250818\"}]",
         "web_search_20250305"},
        {",\"tools\":[{\"type\":\"not_yet_known_2027\"}]", "not_yet_known_2027"},
        {",\"mcp_servers\":[{\"type\":\"url\"}]", "mcp_toolset"},
        {",\"plugins\":[{\"id\":\"web\"}]", "web_search_plugin"},
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        char body[256];
        snprintf(body, sizeof(body),
                 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]%s}",
                 cases[i].members);
        good(body);
        ck_assert_str_eq(chat.own_tool, cases[i].own);
    }
}
END_TEST

Suite *chat_prompt_suite(void);
Suite *chat_prompt_suite(void)
{
    Suite *s = suite_create("chat_prompt");
    TCase *t = tcase_create("chat_prompt");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_counts_as_text);
    tcase_add_test(t, characters_at_every_offset);
    tcase_add_test(t, characters_of_a_long_text);
    tcase_add_loop_test(t, escapes_at_every_offset, 0, 4);
    tcase_add_test(t, images_and_documents);
    tcase_add_test(t, blocks_nested_to_the_limit);
    tcase_add_test(t, pieces_make_no_difference_to_a_digest);
    tcase_add_test(t, a_digest_sees_every_bit);
    tcase_add_test(t, breakpoints_in_prompt_order);
    tcase_add_test(t, which_blocks_are_breakpoints);
    tcase_add_test(t, the_automatic_breakpoint_is_the_end);
    tcase_add_test(t, equal_prefixes_have_equal_hashes);
    tcase_add_test(t, a_request_of_claude_code);
    tcase_add_test(t, the_next_turn_finds_the_cache_of_the_last);
    tcase_add_test(t, lookback_is_bounded);
    tcase_add_test(t, only_the_first_system_block_is_billing);
    tcase_add_test(t, tools_of_this_protocol_alone);
    suite_add_tcase(s, t);
    return s;
}
