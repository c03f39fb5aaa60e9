/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of the folders given as arguments: the corpus as a test that
 * needs no fuzzer. A failing file is named before the target aborts.
 */
#include "base/file.h"
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

enum { INPUT_MAX = 1 << 20 };

static int replay_file(const char *path)
{
    struct buf input = {0};
    struct err err = {0};
    printf("# %s\n", path);
    fflush(stdout);
    if (file_read(path, INPUT_MAX, &input, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)(input.ptr ? input.ptr : ""), input.len);
    buf_fini(&input);
    return 0;
}

static int replay_folder(const char *folder)
{
    int failed = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        perror(folder);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        auto_free char *path = mem_printf("%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            failed |= replay_file(path);
    }
    closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay_folder(argv[i]);
    return failed;
}
