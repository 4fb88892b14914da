/* Help texts, made from the rows. */
#include <string.h>

#include "server/cli.h"

enum { HELP_LEFT = 34, HELP_WIDTH = 96, HELP_TEXT_MAX = 1024 };

/* Two columns; the right one is broken at blanks. */
static void add_row(const char *left, const char *right, struct buf *out)
{
    buf_addf(out, "  %-*s", HELP_LEFT - 2, left);
    if (strlen(left) > HELP_LEFT - 4)
        buf_addf(out, "\n%*s", HELP_LEFT, "");
    size_t room = HELP_WIDTH - HELP_LEFT;
    while (strlen(right) > room) {
        size_t cut = room;
        while (cut > 0 && right[cut] != ' ')
            cut--;
        if (cut == 0)
            break;
        buf_addf(out, "%.*s\n%*s", (int)cut, right, HELP_LEFT, "");
        right += cut + 1;
    }
    buf_addf(out, "%s\n", right);
}

static bool has_option(const struct cli_option *options, const char *name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0)
            return true;
    }
    return false;
}

static void add_option(const struct cli_option *o, const char *help, struct buf *out)
{
    struct buf left;
    buf_init(&left, 256);
    buf_addf(&left, "--%s%s%s%s", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "",
             (o->flags & CLI_REQUIRED) != 0 ? " (required)" : "");
    add_row(left.ptr, help, out);
    buf_done(&left);
}

static void add_options(const struct cli_option *options, struct buf *out)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        bool says_none = (o->flags & CLI_CLEARABLE) == 0 || strstr(o->help, "`none`") != NULL;
        struct buf help;
        buf_init(&help, HELP_TEXT_MAX);
        buf_addf(&help, "%s%s", o->help, says_none ? "" : "; `none` takes it away");
        add_option(o, help.ptr, out);
        buf_done(&help);
    }
}

/* All but those of which the command has one of its own; c NULL: all. */
static void add_global_options(const struct cli_command *c, struct buf *out)
{
    for (const struct cli_option *o = cli_global_options; o->name != NULL; o++) {
        if (c != NULL && has_option(c->options, o->name))
            continue;
        const char *help = o->help;
        if (c != NULL && strcmp(o->name, "format") == 0)
            help = cli_takes_csv(c) ? "table, json or csv" : "table or json";
        add_option(o, help, out);
    }
}

static void add_commands(const char *group, struct buf *out)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        size_t n = strlen(group);
        if (n > 0 && (strncmp(c->words, group, n) != 0 || (c->words[n] != ' ' && c->words[n] != 0)))
            continue;
        struct buf left;
        buf_init(&left, 256);
        buf_addf(&left, "%s%s%s", c->words, c->positional != NULL ? " " : "",
                 c->positional != NULL ? c->positional->name : "");
        add_row(left.ptr, c->summary, out);
        buf_done(&left);
    }
}

void cli_help_all(struct buf *out)
{
    buf_adds(out, "Usage: wayfare COMMAND [options]\n\n"
                  "One LLM endpoint for a whole company: routes each request to the right\n"
                  "provider by price, relays the answer, writes down what it cost.\n\nCommands:\n");
    add_commands("", out);
    buf_adds(out, "\nOptions of every command:\n");
    add_global_options(NULL, out);
    buf_adds(out, "\nwayfare COMMAND --help tells more about one of them.\n");
}

void cli_help_group(const char *word, struct buf *out)
{
    buf_addf(out, "Usage: wayfare %s COMMAND [options]\n\nCommands:\n", word);
    add_commands(word, out);
    buf_addf(out, "\nwayfare %s COMMAND --help tells more about one of them.\n", word);
}

void cli_help_command(const struct cli_command *c, struct buf *out)
{
    buf_addf(out, "Usage: wayfare %s%s%s [options]\n\n%c%s.\n", c->words,
             c->positional != NULL ? " " : "", c->positional != NULL ? c->positional->name : "",
             c->summary[0] - 'a' + 'A', c->summary + 1);
    if (c->note != NULL)
        buf_addf(out, "%s\n", c->note);
    buf_adds(out, "\n");
    if (c->positional != NULL)
        add_row(c->positional->name, c->positional->help, out);
    add_options(c->options, out);
    buf_adds(out, "\nOptions of every command:\n");
    add_global_options(c, out);
}
