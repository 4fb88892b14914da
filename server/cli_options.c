#define _GNU_SOURCE
/* From words to a command and its arguments, by the rows of cli_table.c. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/money.h"
#include "server/cli.h"

#ifndef WAYFARE_VERSION
#define WAYFARE_VERSION "0.1.0"
#endif

enum { MEMBER_MAX = 64, TEXT_MAX = 64 * 1024 };

static int refuse(struct cli_call *call, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The error's line: what was wrong, and where to read on. */
static int refuse(struct cli_call *call, int code, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?'; /* one line, and no escape sequences for the terminal */
    }
    buf_reset(&call->text);
    if (call->command != NULL)
        buf_addf(&call->text, "%s: ", call->command->words);
    buf_adds(&call->text, line);
    if (code == CLI_EXIT_USAGE)
        buf_addf(&call->text, " (see: wayfare%s%s --help)", call->command != NULL ? " " : "",
                 call->command != NULL ? call->command->words : "");
    return code;
}

/* ---- values ---- */

static void member_name(const struct cli_option *o, char ret[MEMBER_MAX])
{
    const char *name = o->member != NULL ? o->member : o->name;
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < MEMBER_MAX; i++)
        ret[i] = name[i] == '-' ? '_' : name[i];
    ret[i] = '\0';
}

/* How an option is called in messages. */
static const char *shown(const struct cli_option *o, char ret[MEMBER_MAX])
{
    bool positional = o->name[0] >= 'A' && o->name[0] <= 'Z';
    snprintf(ret, MEMBER_MAX, "%s%s", positional ? "" : "--", o->name);
    return ret;
}

/* Takes value. */
static int put(struct cli_call *call, const struct cli_option *o, struct json_object *value)
{
    char member[MEMBER_MAX], name[MEMBER_MAX];
    struct json_object *old = NULL;
    member_name(o, member);
    if (!json_object_object_get_ex(call->args, member, &old)) {
        json_object_object_add(call->args, member, value);
        return CLI_EXIT_OK;
    }
    if ((o->flags & CLI_REPEATED) == 0) {
        json_object_put(value);
        return refuse(call, CLI_EXIT_USAGE, "%s is given more than once", shown(o, name));
    }
    if (!json_object_is_type(old, json_type_array)) {
        struct json_object *list = json_object_new_array();
        json_object_array_add(list, json_object_get(old));
        json_object_object_add(call->args, member, list);
        old = list;
    }
    if (json_object_array_length(old) >= CLI_REPEAT_MAX) {
        json_object_put(value);
        return refuse(call, CLI_EXIT_USAGE, "%s is given too often", shown(o, name));
    }
    json_object_array_add(old, value);
    return CLI_EXIT_OK;
}

static int put_count(struct cli_call *call, const struct cli_option *o, const char *word)
{
    char name[MEMBER_MAX];
    size_t n = strspn(word, "0123456789");
    if (n == 0 || n > 18 || word[n] != '\0')
        return refuse(call, CLI_EXIT_USAGE, "%s must be a whole number, not %s", shown(o, name),
                      word);
    return put(call, o, json_object_new_int64(strtoll(word, NULL, 10)));
}

static int put_usd(struct cli_call *call, const struct cli_option *o, const char *word)
{
    int64_t nusd;
    char name[MEMBER_MAX];
    if (money_parse_plain(span_of(word), MONEY_SCALE_NUSD, &nusd) != MONEY_OK)
        return refuse(call, CLI_EXIT_USAGE,
                      "%s must be an amount of USD with at most nine decimals, not %s",
                      shown(o, name), word);
    return put(call, o, json_object_new_string(word));
}

static int put_list(struct cli_call *call, const struct cli_option *o, const char *word)
{
    char name[MEMBER_MAX];
    if (word[0] == '\0') /* a shell's unset variable: the list of a key must not fall away by it */
        return refuse(call, CLI_EXIT_USAGE, "%s is empty; `none` is the word for no list",
                      shown(o, name));
    struct json_object *list = json_object_new_array();
    while (*word != '\0') {
        size_t n = strcspn(word, ",");
        json_object_array_add(list, json_object_new_string_len(word, (int)n));
        word += n;
        word += *word == ',';
    }
    return put(call, o, list);
}

/* A file's content; NULL and *ret_rc after a failure. */
static struct json_object *file_content(struct cli_call *call, const char *path, int *ret_rc)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    struct json_object *text = NULL;
    if (f == NULL) {
        *ret_rc = refuse(call, CLI_EXIT_FAILED, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct buf content;
    char chunk[16384];
    size_t n;
    buf_init(&content, CLI_FILE_MAX);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && buf_add(&content, chunk, n))
        continue;
    if (ferror(f))
        *ret_rc = refuse(call, CLI_EXIT_FAILED, "%s: %s", path, strerror(errno));
    else if (content.failed)
        *ret_rc = refuse(call, CLI_EXIT_FAILED, "%s is larger than 64 MiB", path);
    else if (content.len > 0 && memchr(content.ptr, '\0', content.len) != NULL)
        *ret_rc = refuse(call, CLI_EXIT_FAILED, "%s holds NUL bytes: it is no text in UTF-8", path);
    else
        text = json_object_new_string_len(content.len > 0 ? content.ptr : "", (int)content.len);
    buf_done(&content);
    if (f != stdin)
        fclose(f);
    return text;
}

static int put_file(struct cli_call *call, const struct cli_option *o, const char *path)
{
    int rc = CLI_EXIT_OK;
    struct json_object *text = file_content(call, path, &rc);
    return text != NULL ? put(call, o, text) : rc;
}

/* NAME=FILE:WEIGHT; a file's name may have both signs in it. */
static int put_arm(struct cli_call *call, const struct cli_option *o, const char *word)
{
    char name[MEMBER_MAX], path[PATH_MAX];
    const char *is = strchr(word, '='), *colon = strrchr(word, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    if (is == NULL || is == word || colon == NULL || colon < is + 2 || digits == 0 || digits > 9 ||
        colon[1 + digits] != '\0' || strtoll(colon + 1, NULL, 10) == 0 || colon - is > PATH_MAX)
        return refuse(call, CLI_EXIT_USAGE, "%s must be %s, not %s", shown(o, name), o->arg, word);
    snprintf(path, sizeof(path), "%.*s", (int)(colon - is - 1), is + 1);
    int rc = CLI_EXIT_OK;
    struct json_object *prefs = NULL;
    if (strcmp(path, "none") != 0 && (prefs = file_content(call, path, &rc)) == NULL)
        return rc;
    struct json_object *arm = json_object_new_object();
    json_object_object_add(arm, "name", json_object_new_string_len(word, (int)(is - word)));
    json_object_object_add(arm, "prefs", prefs);
    json_object_object_add(arm, "weight", json_object_new_int64(strtoll(colon + 1, NULL, 10)));
    return put(call, o, arm);
}

/* `builtin` is no file: it sets a flag of that name. */
static int put_catalog(struct cli_call *call, const struct cli_option *o, const char *word)
{
    static const struct cli_option builtin = {.name = "builtin", .kind = CLI_FLAG};
    if (strcmp(word, "builtin") == 0)
        return put(call, &builtin, json_object_new_boolean(true));
    return put_file(call, o, word);
}

/* The server that may do the work runs in another directory. */
static int put_path(struct cli_call *call, const struct cli_option *o, const char *path)
{
    char cwd[PATH_MAX];
    if (path[0] == '/')
        return put(call, o, json_object_new_string(path));
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        return refuse(call, CLI_EXIT_FAILED, "the current directory: %s", strerror(errno));
    struct buf whole;
    buf_init(&whole, (size_t)2 * PATH_MAX);
    int rc;
    if (buf_addf(&whole, "%s/%s", cwd, path))
        rc = put(call, o, json_object_new_string(whole.ptr));
    else
        rc = refuse(call, CLI_EXIT_FAILED, "the path is too long");
    buf_done(&whole);
    return rc;
}

static int check_choice(struct cli_call *call, const struct cli_option *o, const char *word)
{
    struct buf list;
    char name[MEMBER_MAX];
    buf_init(&list, 512);
    for (const char *const *c = o->choices; c != NULL && *c != NULL; c++) {
        if (strcmp(*c, word) == 0) {
            buf_done(&list);
            return CLI_EXIT_OK;
        }
        buf_addf(&list, "%s%s", c == o->choices ? "" : ", ", *c);
    }
    int rc = CLI_EXIT_OK;
    if (o->choices != NULL)
        rc = refuse(call, CLI_EXIT_USAGE, "%s must be one of %s, not %s", shown(o, name), list.ptr,
                    word);
    buf_done(&list);
    return rc;
}

static int put_word(struct cli_call *call, const struct cli_option *o, const char *word)
{
    if ((o->flags & CLI_CLEARABLE) != 0 && strcmp(word, "none") == 0)
        return put(call, o, NULL);
    int rc = check_choice(call, o, word);
    if (rc != CLI_EXIT_OK)
        return rc;
    switch (o->kind) {
    case CLI_FLAG:
        return put(call, o, json_object_new_boolean(true));
    case CLI_FLAG_OFF:
        return put(call, o, json_object_new_boolean(false));
    case CLI_TEXT:
        return put(call, o, json_object_new_string(word));
    case CLI_COUNT:
        return put_count(call, o, word);
    case CLI_USD:
        return put_usd(call, o, word);
    case CLI_LIST:
        return put_list(call, o, word);
    case CLI_FILE:
        return put_file(call, o, word);
    case CLI_CATALOG:
        return put_catalog(call, o, word);
    case CLI_PATH:
        return put_path(call, o, word);
    case CLI_ARM:
        return put_arm(call, o, word);
    }
    return CLI_EXIT_USAGE;
}

/* ---- options ---- */

static const struct cli_option *find_option(const struct cli_option *rows, const char *name,
                                            size_t len)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (strlen(rows->name) == len && strncmp(rows->name, name, len) == 0)
            return rows;
    }
    return NULL;
}

static int put_global(struct cli_call *call, const struct cli_option *o, const char *word)
{
    int rc = check_choice(call, o, word);
    if (rc != CLI_EXIT_OK)
        return rc;
    if (strcmp(o->name, "db") == 0)
        call->db = word;
    else if (strcmp(o->name, "json") == 0 || strcmp(word, "json") == 0)
        call->format = CLI_JSON;
    else
        call->format = strcmp(word, "csv") == 0 ? CLI_CSV : CLI_TABLE;
    return CLI_EXIT_OK;
}

static bool has_choice(const struct cli_option *o, const char *word)
{
    for (const char *const *c = o->choices; c != NULL && *c != NULL; c++) {
        if (strcmp(*c, word) == 0)
            return true;
    }
    return false;
}

/* argv[*at] begins with "--"; moves *at to its last word. */
static int take_option(struct cli_call *call, int argc, char *const *argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t len = strcspn(name, "=");
    const char *word = name[len] == '=' ? name + len + 1 : NULL;
    const struct cli_option *global = find_option(cli_global_options, name, len);
    const struct cli_option *own =
        call->command != NULL ? find_option(call->command->options, name, len) : NULL;
    const struct cli_option *o = own != NULL ? own : global;
    if (o == NULL)
        return refuse(call, CLI_EXIT_USAGE, "unknown option --%.*s", (int)(len < 64 ? len : 64),
                      name);
    if (o->arg == NULL && word != NULL)
        return refuse(call, CLI_EXIT_USAGE, "--%s takes no value", o->name);
    if (o->arg != NULL && word == NULL) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return refuse(call, CLI_EXIT_USAGE, "--%s needs a value, %s", o->name, o->arg);
        word = argv[++*at];
    }
    if (word == NULL)
        word = "";
    /* How the result of a command that reads formats is printed: catalog import --format json. */
    if (own != NULL && global != NULL && has_choice(global, word) &&
        (strcmp(word, "csv") != 0 || cli_takes_csv(call->command)))
        return put_global(call, global, word);
    return own != NULL ? put_word(call, o, word) : put_global(call, o, word);
}

/* Whoever gives a key where none belongs does not want to read it in a log. */
static const char *repeated(const char *word)
{
    return strstr(word, "wf_") != NULL ? "(it looks like a key's secret)" : word;
}

static int take_positional(struct cli_call *call, const char *word)
{
    const struct cli_option *o = call->command->positional;
    char member[MEMBER_MAX];
    if (o != NULL)
        member_name(o, member);
    if (o == NULL || json_object_object_get_ex(call->args, member, NULL) ||
        json_object_object_get_ex(call->args, "builtin", NULL))
        return refuse(call, CLI_EXIT_USAGE, "unexpected argument %s", repeated(word));
    return put_word(call, o, word);
}

static size_t count_of(const struct cli_call *call, const struct cli_option *o)
{
    char member[MEMBER_MAX];
    struct json_object *v = NULL;
    member_name(o, member);
    if (!json_object_object_get_ex(call->args, member, &v))
        return 0;
    return (o->flags & CLI_REPEATED) != 0 && json_object_is_type(v, json_type_array)
               ? json_object_array_length(v)
               : 1;
}

bool cli_takes_csv(const struct cli_command *c)
{
    return c->columns != NULL || c->print == cli_show_usage;
}

static int check_complete(struct cli_call *call)
{
    const struct cli_command *c = call->command;
    const struct cli_option *p = c->positional;
    char name[MEMBER_MAX];
    if (p != NULL && count_of(call, p) == 0 &&
        !json_object_object_get_ex(call->args, "builtin", NULL))
        return refuse(call, CLI_EXIT_USAGE, "%s is missing", p->name);
    for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
        if ((o->flags & CLI_REQUIRED) != 0 && count_of(call, o) == 0)
            return refuse(call, CLI_EXIT_USAGE, "%s is required", shown(o, name));
        const struct cli_option *pair =
            o->pair != NULL ? find_option(c->options, o->pair, strlen(o->pair)) : NULL;
        if (pair != NULL && count_of(call, o) != count_of(call, pair))
            return refuse(call, CLI_EXIT_USAGE, "--%s and --%s go together", o->name, o->pair);
    }
    if (call->format == CLI_CSV && !cli_takes_csv(c))
        return refuse(call, CLI_EXIT_USAGE, "csv is not a format of this command");
    return CLI_EXIT_OK;
}

static int take_rest(struct cli_call *call, int argc, char *const *argv, int at)
{
    bool options_ended = false;
    for (; at < argc; at++) {
        int rc = CLI_EXIT_OK;
        if (!options_ended && strcmp(argv[at], "--") == 0)
            options_ended = true;
        else if (!options_ended && strncmp(argv[at], "--", 2) == 0)
            rc = take_option(call, argc, argv, &at);
        else if (!options_ended && argv[at][0] == '-' && argv[at][1] != '\0')
            rc = refuse(call, CLI_EXIT_USAGE, "unknown option %s", argv[at]);
        else
            rc = take_positional(call, argv[at]);
        if (rc != CLI_EXIT_OK)
            return rc;
    }
    return check_complete(call);
}

/* ---- commands ---- */

/* The command of these words, the second NULL if there is none; both before the first alone, so
 * that `generation list` is not the generation called list. */
static const struct cli_command *find_command(const char *first, const char *second, int *ret_words)
{
    for (int n = second != NULL ? 2 : 1; n >= 1; n--) {
        char words[128] = "";
        snprintf(words, sizeof(words), "%s%s%s", first, n == 2 ? " " : "", n == 2 ? second : "");
        for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
            if (strcmp(c->words, words) == 0) {
                *ret_words = n;
                return c;
            }
        }
    }
    return NULL;
}

/* "create, list, set" for "team"; nothing when there is no such group. */
static void group_members(const char *word, struct buf *out)
{
    size_t n = strlen(word);
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        if (strncmp(c->words, word, n) == 0 && c->words[n] == ' ')
            buf_addf(out, "%s%s", out->len > 0 ? ", " : "", c->words + n + 1);
    }
}

static int refuse_command(struct cli_call *call, const char *first, const char *second)
{
    struct buf members;
    int rc;
    buf_init(&members, 512);
    group_members(first, &members);
    if (members.len == 0)
        rc = refuse(call, CLI_EXIT_USAGE, "unknown command %.64s", repeated(first));
    else if (second == NULL || second[0] == '-')
        rc = refuse(call, CLI_EXIT_USAGE, "%s needs one of: %s", first, members.ptr);
    else
        rc = refuse(call, CLI_EXIT_USAGE, "unknown command %s %.64s, known are: %s", first,
                    repeated(second), members.ptr);
    buf_done(&members);
    return rc;
}

static bool asks_for(int argc, char *const *argv, const char *option)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) == 0)
            return true;
    }
    return false;
}

static const char *word_at(int argc, char *const *argv, int at)
{
    return at < argc ? argv[at] : NULL;
}

/* at: where the command's words begin, or argc. */
static int help(struct cli_call *call, int argc, char *const *argv, int at)
{
    int n;
    const char *second = word_at(argc, argv, at + 1);
    const struct cli_command *c = at < argc ? find_command(argv[at], second, &n) : NULL;
    struct buf members;
    buf_init(&members, 512);
    if (at < argc && argv[at][0] != '-')
        group_members(argv[at], &members);
    int rc = CLI_EXIT_OK;
    if (c != NULL)
        cli_help_command(c, &call->text);
    else if (members.len > 0)
        cli_help_group(argv[at], &call->text);
    else if (at < argc && argv[at][0] != '-')
        rc = refuse_command(call, argv[at], second);
    else
        cli_help_all(&call->text);
    buf_done(&members);
    return rc;
}

/* Options of every command between its words: `team --json list`. */
static int take_between(struct cli_call *call, int argc, char *const *argv, int *at)
{
    struct buf members;
    buf_init(&members, 512);
    group_members(argv[*at - 1], &members);
    bool group = members.len > 0;
    int rc = CLI_EXIT_OK;
    buf_done(&members);
    for (; group && rc == CLI_EXIT_OK && *at < argc && strncmp(argv[*at], "--", 2) == 0; ++*at) {
        const char *name = argv[*at] + 2;
        if (find_option(cli_global_options, name, strcspn(name, "=")) == NULL)
            break;
        rc = take_option(call, argc, argv, at);
    }
    return rc;
}

static int parse_words(int argc, char *const *argv, struct cli_call *call)
{
    int at = 1, words = 0;
    bool wants_help = asks_for(argc, argv, "--help") || asks_for(argc, argv, "-h");
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (wants_help &&
            find_option(cli_global_options, argv[at] + 2, strlen(argv[at] + 2)) == NULL)
            continue;
        int rc = take_option(call, argc, argv, &at);
        if (rc != CLI_EXIT_OK)
            return rc;
    }
    if (at < argc && strcmp(argv[at], "help") == 0)
        return help(call, argc, argv, at + 1);
    if (wants_help)
        return help(call, argc, argv, at);
    if (at >= argc)
        return refuse(call, CLI_EXIT_USAGE, "a command is needed");
    int second = at + 1;
    int rc = take_between(call, argc, argv, &second);
    if (rc != CLI_EXIT_OK)
        return rc;
    const struct cli_command *c = find_command(argv[at], word_at(argc, argv, second), &words);
    if (c == NULL)
        return refuse_command(call, argv[at], word_at(argc, argv, second));
    call->command = c;
    return take_rest(call, argc, argv, words == 2 ? second + 1 : second);
}

int cli_parse(int argc, char *const *argv, const char *env_db, struct cli_call *call)
{
    *call = (struct cli_call){.db = env_db != NULL && env_db[0] != '\0' ? env_db : "./wayfare.db",
                              .args = json_object_new_object()};
    buf_init(&call->text, TEXT_MAX);
    if (asks_for(argc < 2 ? argc : 2, argv, "--version")) {
        buf_adds(&call->text, "wayfare " WAYFARE_VERSION "\n");
        return CLI_EXIT_OK;
    }
    int rc = parse_words(argc, argv, call);
    if (rc == CLI_EXIT_OK && call->db[0] == '\0')
        return refuse(call, CLI_EXIT_USAGE, "--db needs a path");
    return rc;
}

void cli_call_done(struct cli_call *call)
{
    json_object_put(call->args);
    buf_done(&call->text);
    *call = (struct cli_call){0};
}

bool cli_is_usage(const struct cli_call *call, const struct fail *fail)
{
    char member[MEMBER_MAX];
    const struct cli_option *o = call->command->options;
    for (; fail->code == ERR_bad_request && o != NULL && o->name != NULL; o++) {
        member_name(o, member);
        if (strcmp(member, fail->field) == 0 && json_object_object_get_ex(call->args, member, NULL))
            return o->kind != CLI_FILE && o->kind != CLI_ARM && o->kind != CLI_CATALOG;
    }
    return false;
}
