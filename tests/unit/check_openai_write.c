/* Requests that the OpenAI adapter writes anew: the cases of tests/table/openai, each a few lines
 * that belong together, with blank lines between cases and comments behind "#":
 *
 *   door anthropic|openai        whose request it is
 *   server SLUG                  the dialect; or the beginning of an address
 *   params WORD WORD ...         the catalog's supported_parameters; left out: not stated
 *   rules WORD WORD ...          the catalog's rules of the model; left out: none
 *   tier WORD                    the service tier that the endpoint's prices are for
 *   limit N                      max_tokens that is asked for; left out: none
 *   request JSON
 *   body JSON                    what is sent, or
 *   error FIELD                  what is answered
 *   dropped NAME, NAME           left out: nothing
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "providers/door.h"
#include "providers/openai.h"

#ifndef TABLE_DIR
#define TABLE_DIR "tests/table"
#endif

enum { LINE_MAX_LEN = 64 * 1024, FILES_MIN = 3, CASES_MIN = 40 };

struct row {
    const char *file;
    int line;
    char door[16], server[128], params[512], rules[512], request[LINE_MAX_LEN], body[LINE_MAX_LEN];
    char error[128], dropped[512], tier[32];
    int64_t limit;
};

static uint32_t read_params(const struct row *c)
{
    uint32_t bits = 0;
    const char *at = c->params;
    while (*at != '\0') {
        struct span word = {at, strcspn(at, " ")};
        enum param p;
        ck_assert_msg(param_parse(word, &p), "%s:%d: no parameter: %s", c->file, c->line, at);
        bits |= PARAM_BIT(p);
        at += word.len + (at[word.len] == ' ');
    }
    return bits;
}

static uint32_t read_rules(const struct row *c)
{
    uint32_t bits = 0;
    const char *at = c->rules;
    while (*at != '\0') {
        struct span word = {at, strcspn(at, " ")};
        enum model_rule r;
        ck_assert_msg(model_rule_parse(word, &r), "%s:%d: no rule: %s", c->file, c->line, at);
        bits |= RULE_BIT(r);
        at += word.len + (at[word.len] == ' ');
    }
    return bits;
}

static void must_be_json(const char *text)
{
    struct json_doc doc;
    struct fail fail;
    json_init(&doc);
    ck_assert_msg(json_parse(&doc, span_of(text), &fail) == 0, "%s: %s", fail.text, text);
    json_done(&doc);
}

static void must_be_sent(const struct row *c, int built, const struct upreq *up,
                         const struct fail *fail)
{
    static char got[LINE_MAX_LEN];
    if (c->error[0] != '\0') {
        ck_assert_msg(built == -1, "%s:%d: was built", c->file, c->line);
        ck_assert_int_eq(fail->code, ERR_bad_request);
        ck_assert_msg(strcmp(fail->field, c->error) == 0, "%s:%d: %s", c->file, c->line,
                      fail->field);
        return;
    }
    ck_assert_msg(built == 0, "%s:%d: %s", c->file, c->line, fail->text);
    size_t n = upreq_read(up, 0, got, sizeof(got) - 1);
    got[n] = '\0';
    must_be_json(got);
    ck_assert_msg(strcmp(got, c->body) == 0, "%s:%d:\nbody %s\nexpected:\nbody %s", c->file,
                  c->line, got, c->body);
}

static void run_row(const struct row *c)
{
    struct json_doc doc;
    struct chat chat;
    struct dialog dialog;
    struct upreq up;
    struct fail fail = {.code = ERR_OK};
    struct drops drops = {.n = 0};
    struct client_headers headers = {.n_other = 0};
    struct buf dropped;
    bool anthropic = strcmp(c->door, "anthropic") == 0;
    const struct door *door = anthropic ? &door_anthropic : &door_openai;
    json_init(&doc);
    chat_init(&chat);
    dialog_init(&dialog);
    upreq_init(&up);
    buf_init(&dropped, LINE_MAX_LEN);
    ck_assert_msg(json_parse(&doc, span_of(c->request), &fail) == 0, "%s:%d: %s", c->file, c->line,
                  fail.text);
    int read = anthropic ? chat_read_anthropic(&chat, &doc, false, &fail)
                         : chat_read_openai(&chat, &doc, &fail);
    ck_assert_msg(read == 0, "%s:%d: %s", c->file, c->line, fail.text);
    ck_assert_msg(door->read(&chat, &dialog, &fail) == 0, "%s:%d: %s", c->file, c->line, fail.text);
    bool address = strncmp(c->server, "http", 4) == 0;
    struct provider_target target = {.base_url = address ? c->server : "http://127.0.0.1/v1",
                                     .slug = address ? "x" : c->server,
                                     .upstream_model = "up",
                                     .tier = c->tier[0] != '\0' ? c->tier : NULL,
                                     .params = read_params(c),
                                     .rules = read_rules(c)};
    struct provider_ask ask = {.target = &target,
                               .headers = &headers,
                               .chat = &chat,
                               .dialog = &dialog,
                               .max_tokens = c->limit,
                               .drops = &drops};
    int built = provider_openai.build(&ask, &up, &fail);
    must_be_sent(c, built, &up, &fail);
    drops_print(&drops, &dropped);
    buf_addc(&dropped, '\0');
    ck_assert_msg(strcmp(dropped.ptr, c->dropped) == 0, "%s:%d: dropped %s, expected %s", c->file,
                  c->line, dropped.ptr, c->dropped);
    buf_done(&dropped);
    upreq_done(&up);
    dialog_done(&dialog);
    chat_done(&chat);
    json_done(&doc);
}

static bool take(const char *line, const char *word, char *out, size_t cap)
{
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || line[n] != ' ')
        return false;
    ck_assert_uint_lt((size_t)snprintf(out, cap, "%s", line + n + 1), cap);
    return true;
}

static void read_line(struct row *c, const char *line)
{
    char number[32];
    if (take(line, "limit", number, sizeof(number)))
        c->limit = strtol(number, NULL, 10);
    else
        ck_assert_msg(take(line, "door", c->door, sizeof(c->door)) ||
                          take(line, "server", c->server, sizeof(c->server)) ||
                          take(line, "params", c->params, sizeof(c->params)) ||
                          take(line, "rules", c->rules, sizeof(c->rules)) ||
                          take(line, "tier", c->tier, sizeof(c->tier)) ||
                          take(line, "request", c->request, sizeof(c->request)) ||
                          take(line, "body", c->body, sizeof(c->body)) ||
                          take(line, "error", c->error, sizeof(c->error)) ||
                          take(line, "dropped", c->dropped, sizeof(c->dropped)),
                      "%s: what is %s", c->file, line);
}

static int run_file(const char *path)
{
    static struct row c;
    static char line[LINE_MAX_LEN];
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    int n = 0;
    c = (struct row){.file = path, .line = 1, .limit = -1};
    for (int at = 1;; at++) {
        bool end = fgets(line, sizeof(line), f) == NULL;
        line[end ? 0 : strcspn(line, "\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#') {
            read_line(&c, line);
        } else if (c.request[0] != '\0' && line[0] == '\0') {
            run_row(&c);
            n++;
        }
        if (line[0] == '\0')
            c = (struct row){.file = path, .line = at + 1, .limit = -1};
        if (end)
            break;
    }
    fclose(f);
    return n;
}

START_TEST(test_table)
{
    DIR *dir = opendir(TABLE_DIR "/openai");
    ck_assert_msg(dir != NULL, "no directory %s/openai", TABLE_DIR);
    int files = 0, cases = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/openai/%s", TABLE_DIR, e->d_name);
        cases += run_file(path);
        files++;
    }
    closedir(dir);
    ck_assert_int_ge(files, FILES_MIN);
    ck_assert_int_ge(cases, CASES_MIN);
}
END_TEST

Suite *openai_write_suite(void);

Suite *openai_write_suite(void)
{
    Suite *s = suite_create("openai_write");
    TCase *tc = tcase_create("table");
    tcase_add_test(tc, test_table);
    suite_add_tcase(s, tc);
    return s;
}
