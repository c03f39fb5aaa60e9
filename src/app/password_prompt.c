/* SPDX-License-Identifier: Apache-2.0 */
#include "app/password_prompt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

/* One line from `fd`, byte by byte: what stands behind it belongs to the next question. */
static char *read_line(int fd)
{
    enum { LINE_BYTES = 512 };
    char *line = mem_alloc(LINE_BYTES + 1);
    size_t len = 0;
    char c;
    while (len < LINE_BYTES && read(fd, &c, 1) == 1 && c != '\n')
        if (c != '\r')
            line[len++] = c;
    return line;
}

int password_prompt(const char *question, char **ret, struct err *err)
{
    struct termios before;
    bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        fputs(question, stderr);
        struct termios silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *line = read_line(STDIN_FILENO);
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!*line) {
        mem_free_secret(line);
        return err_set(err, ERR_INVALID, "no password was given");
    }
    *ret = line;
    return 0;
}

int password_prompt_new(char **ret, struct err *err)
{
    char *first = NULL, *second = NULL;
    int rc = password_prompt("New password: ", &first, err);
    if (rc == 0 && isatty(STDIN_FILENO))
        rc = password_prompt("Again: ", &second, err);
    if (rc == 0 && second && strcmp(first, second) != 0)
        rc = err_set(err, ERR_INVALID, "the two passwords differ");
    mem_free_secret(second);
    if (rc == 0)
        *ret = first;
    else
        mem_free_secret(first);
    return rc;
}
