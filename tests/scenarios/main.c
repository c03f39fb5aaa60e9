/* SPDX-License-Identifier: Apache-2.0 */
/* Plays scenario files: `scenarios FILE...`, each in a process of its own. TAP. */
#include "scenario.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void play_file(const char *path)
{
    struct scenario *scenario = mem_alloc(sizeof *scenario);
    scenario->root = tree_load(path);
    tree_check_keys(scenario->root, "about cluster request expect");
    if (!*tree_text(scenario->root, "about", ""))
        tree_fail(scenario->root, "\"about\" is missing: what the scenario shows");
    scenario_read_cluster(scenario);
    scenario_read_request(scenario);
    scenario_play(scenario);
}

int main(int argc, char **argv)
{
    int failed = 0;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        fflush(stdout);
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            play_file(argv[i]);
            fflush(stdout);
            _exit(0); /* nothing is freed */
        }
        bool is_fine = child > 0 && waitpid(child, &status, 0) == child && status == 0;
        failed += !is_fine;
        printf("%s %d - %s\n", is_fine ? "ok" : "not ok", i, argv[i]);
    }
    return failed ? 1 : 0;
}
