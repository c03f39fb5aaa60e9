/* SPDX-License-Identifier: Apache-2.0 */
/* --help and the manual page, both from the table of options. */
#include "config/load_priv.h"

enum { COLUMNS = 80, HELP_INDENT = 8 };

static const char *const titles[GROUP_COUNT] = {
    [GROUP_COMMON] = "Common options",
    [GROUP_SERVER] = "Server options",
    [GROUP_WORKER] = "Worker options",
};

/* Words of `text` in lines of at most COLUMNS, each indented. */
static void add_wrapped(struct buf *out, const char *text)
{
    struct str rest = str_of(text), word;
    size_t column = 0;
    while (str_split(&rest, ' ', &word)) {
        if (column && column + 1 + word.len > COLUMNS) {
            buf_add_char(out, '\n');
            column = 0;
        }
        if (column == 0)
            buf_printf(out, "%*s", HELP_INDENT, "");
        else
            buf_add_char(out, ' ');
        column = (column ? column + 1 : HELP_INDENT) + word.len;
        buf_add_str(out, word);
    }
    buf_add_char(out, '\n');
}

static const char *default_text(const struct option *option)
{
    if (option->fallback_is)
        return option->fallback_is;
    return option->fallback ? option->fallback : "none";
}

static void add_option(struct buf *out, const struct option *option)
{
    buf_add_cstr(out, "  ");
    if (option->letter)
        buf_printf(out, "-%c, ", option->letter);
    buf_printf(out, "--%s%s%s\n", option->name, option->metavar ? " " : "",
               option->metavar ? option->metavar : "");
    auto_free char *text = mem_printf("%s (default: %s)", option->help, default_text(option));
    add_wrapped(out, text);
}

static void add_group(struct buf *out, enum option_group group, unsigned roles)
{
    bool has_title = false;
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        if (option->group != group || !(option->roles & roles))
            continue;
        if (!has_title)
            buf_printf(out, "\n%s:\n", titles[group]);
        has_title = true;
        add_option(out, option);
    }
}

char *config_help(const char *command)
{
    struct buf out = {0};
    buf_printf(&out, "Usage: gpustack %s [OPTIONS]\n", command);
    for (enum option_group group = 0; group < GROUP_COUNT; group++)
        add_group(&out, group, config_roles(command));
    buf_add_cstr(&out, "\nAn option not given is taken from the environment (--data-dir:\n"
                       "GPUSTACK_DATA_DIR), then from the configuration file (data_dir:).\n");
    return buf_take(&out);
}

/* Text for man(7): '\' and '-' as they are meant, no line that begins with a control character. */
static void add_roff(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            buf_add_cstr(out, "\\e");
        else if (*text == '-')
            buf_add_cstr(out, "\\-");
        else
            buf_add_char(out, *text);
    }
}

static void add_manual_option(struct buf *out, const struct option *option)
{
    auto_free char *env = option_env(option);
    auto_free char *text =
        mem_printf("%s Default: %s. Environment: %s.", option->help, default_text(option), env);
    buf_add_cstr(out, ".TP\n\\fB");
    if (option->letter)
        buf_printf(out, "\\-%c\\fR, \\fB", option->letter);
    buf_add_cstr(out, "\\-\\-");
    add_roff(out, option->name);
    buf_printf(out, "\\fR%s%s%s\n", option->metavar ? " \\fI" : "",
               option->metavar ? option->metavar : "", option->metavar ? "\\fR" : "");
    add_roff(out, text);
    buf_add_char(out, '\n');
}

static const char manual_head[] =
    ".TH GPUSTACK 1 \"\" \"gpustack " GPUSTACK_VERSION "\" \"User Commands\"\n"
    ".SH NAME\ngpustack \\- manager of a GPU cluster that serves models\n"
    ".SH SYNOPSIS\n\\fBgpustack start\\fR [\\fIOPTIONS\\fR]\n.br\n"
    "\\fBgpustack\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n"
    ".SH DESCRIPTION\n"
    "\\fBgpustack start\\fR runs a server with a worker on this machine; with\n"
    "\\fB\\-\\-server\\-url\\fR it runs only a worker, which joins that server.\n"
    "Arguments that begin with \"\\-\\-\" mean \\fBstart\\fR.\n";

static const char manual_tail[] =
    ".SH CONFIGURATION\n"
    "Command line, environment, configuration file, default: the first that says something "
    "counts.\n"
    "An empty environment variable says nothing. The file is YAML; its keys are the option names\n"
    "with '_' for '\\-'. Unknown keys are errors; unknown GPUSTACK_ variables are warned of.\n"
    ".SH SIGNALS\n"
    ".TP\nSIGTERM, SIGINT\nStop: the gateway finishes its requests, for 30 seconds at most. "
    "Inference engines go on\nand are taken over by the next start. A second signal stops at "
    "once.\n"
    ".TP\nSIGHUP\nRead the configuration again. A faulty one is logged and changes nothing.\n"
    ".SH EXIT STATUS\n0: done. 1: failure. 2: the command line or configuration is at fault. "
    "78: the system is\nnot as the configuration says (a port in use, a database refused).\n";

char *config_manual(const char *commands)
{
    struct buf out = {0};
    buf_add_cstr(&out, manual_head);
    buf_printf(&out, ".SH COMMANDS\n%s.SH OPTIONS\n", commands);
    for (size_t i = 0; i < config_option_count; i++)
        add_manual_option(&out, &config_options[i]);
    buf_add_cstr(&out, manual_tail);
    return buf_take(&out);
}
