/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack chat MODEL [PROMPT]`: one answer, or a conversation when no prompt is given. */
#include "app/cli.h"
#include "app/command.h"
#include "gateway/sse.h"

#include <stdio.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20 };

struct chat {
    struct cli *cli;
    json_t *messages;
    struct sse sse;
    struct buf answer;
    char *error;   /* the server's error event, or NULL */
    bool is_quiet; /* don't print as it comes */
};

/* One chunk of the streamed answer. */
static void take_event(struct chat *chat, struct str data)
{
    auto_fini(json_release) json_t *chunk = NULL;
    if (str_eq(data, STR("[DONE]")) || json_read(data, &chunk, NULL) < 0)
        return;
    const char *fault = json_member_string(json_object_get(chunk, "error"), "message");
    if (fault)
        mem_replace(&chat->error, fault);
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    const char *text = json_member_string(json_object_get(choice, "delta"), "content");
    if (!text)
        return;
    buf_add_cstr(&chat->answer, text);
    if (!chat->is_quiet) {
        fputs(text, stdout);
        fflush(stdout);
    }
}

static void on_data(struct str data, void *ctx)
{
    struct chat *chat = ctx;
    struct sse_event event;
    sse_feed(&chat->sse, data);
    while (sse_next(&chat->sse, &event))
        if (event.is_partial)
            mem_replace(&chat->error, "the server sent an event that is too large");
        else if (event.data.ptr)
            take_event(chat, event.data);
}

static void add_message(struct chat *chat, const char *role, const char *text)
{
    json_array_append_new(chat->messages, json_pack("{s:s,s:s}", "role", role, "content", text));
}

/* Asks with all messages so far and adds the answer to them. */
static int ask(struct chat *chat, const char *prompt, struct err *err)
{
    add_message(chat, "user", prompt);
    buf_clear(&chat->answer);
    auto_fini(json_release) json_t *body = json_pack("{s:s,s:O,s:b}", "model", chat->cli->args[0],
                                                     "messages", chat->messages, "stream", 1);
    int rc = cli_stream(chat->cli, HTTP_POST, "/v1/chat/completions", body, on_data, chat, err);
    if (!chat->is_quiet && chat->answer.len)
        putchar('\n');
    if (rc == 0 && chat->error) {
        rc = err_set(err, ERR_UNAVAILABLE, "the answer broke off: %s", chat->error);
        mem_replace(&chat->error, NULL);
    }
    if (rc == 0)
        add_message(chat, "assistant", chat->answer.ptr ? chat->answer.ptr : "");
    else /* a question without an answer is not part of the conversation */
        json_array_remove(chat->messages, json_array_size(chat->messages) - 1);
    return rc;
}

static int ask_once(struct chat *chat, const char *prompt, struct err *err)
{
    chat->is_quiet = chat->cli->json;
    int rc = ask(chat, prompt, err);
    if (rc == 0 && chat->cli->json)
        cli_print_json(json_array_get(chat->messages, json_array_size(chat->messages) - 1));
    return rc;
}

static bool is_one_of(const char *line, const char *a, const char *b)
{
    return strcmp(line, a) == 0 || strcmp(line, b) == 0;
}

/* A line of the conversation; false to end it. Faults are told and the conversation goes on. */
static bool take_line(struct chat *chat, const char *line)
{
    if (is_one_of(line, "\\q", "\\quit"))
        return false;
    if (is_one_of(line, "\\c", "\\clear")) {
        json_array_clear(chat->messages);
        puts("The conversation starts anew.");
    } else if (is_one_of(line, "\\h", "\\help") || strcmp(line, "\\?") == 0) {
        puts("\\q, \\quit   end\n\\c, \\clear  start anew\n\\h, \\help   this");
    } else if (*line) {
        struct err err = {0};
        if (ask(chat, line, &err) < 0)
            fprintf(stderr, "gpustack chat: %s\n", err.text);
    }
    return true;
}

static int converse(struct chat *chat)
{
    bool is_terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t size = 0;
    for (;;) {
        if (is_terminal) {
            fputs("> ", stdout);
            fflush(stdout);
        }
        ssize_t n = getline(&line, &size, stdin);
        if (n <= 0 || n > INPUT_MAX)
            break;
        line[strcspn(line, "\r\n")] = '\0';
        if (!take_line(chat, line))
            break;
    }
    free(line);
    return 0;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    struct chat chat = {.cli = cli, .messages = json_array()};
    int rc = cli->arg_count == 2 ? ask_once(&chat, cli->args[1], err) : converse(&chat);
    json_decref(chat.messages);
    sse_fini(&chat.sse);
    buf_fini(&chat.answer);
    free(chat.error);
    return rc;
}

int cmd_chat(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "chat",
        .arguments = "MODEL [PROMPT]",
        .summary = "Asks a model; without a prompt, a conversation (\\h for help).",
        .min_args = 1,
        .max_args = 2};
    return cli_main(&spec, argc, argv, run, NULL);
}
