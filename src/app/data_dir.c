/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { TOKEN_BYTES = 16, TOKEN_FILE_MAX = 4096 };

static int make_folders(const struct config *config, struct err *err)
{
    const char *const shared[] = {config->data_dir, config->cache_dir, config->log_dir};
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        int rc = file_make_dirs(shared[i], 0755, err);
        if (rc < 0)
            return rc;
    }
    auto_free char *run = mem_printf("%s/run", config->data_dir);
    int rc = file_make_dirs(run, 0700, err);
    if (rc == 0 && chmod(run, 0700) < 0) /* its sockets give power over the cluster */
        return err_errno(err, errno, "can't protect folder %s", run);
    return rc;
}

static int write_token(const char *path, const char *token, struct err *err)
{
    auto_free char *line = mem_printf("%s\n", token);
    int rc = file_write(path, str_of(line), 0600, err);
    explicit_bzero(line, strlen(line));
    return rc;
}

/* Takes the token over from its file. -ENOENT when there is none. */
static int read_token(const char *path, struct config *config, struct err *err)
{
    char *token = NULL;
    int rc = file_read_line(path, TOKEN_FILE_MAX, &token, err);
    if (rc < 0)
        return rc;
    rc = config_set_token(config, token, err);
    mem_free_secret(token);
    return rc < 0 ? err_wrap(err, rc, "%s", path) : 0;
}

static int make_token(const char *path, struct config *config, struct err *err)
{
    char *token = random_hex(TOKEN_BYTES);
    int rc = write_token(path, token, err);
    if (rc == 0)
        rc = config_set_token(config, token, err);
    mem_free_secret(token);
    return rc;
}

/* A given token replaces the one in the file, so that what an administrator reads there is right.
 */
static int keep_given_token(const char *path, const struct config *config, struct err *err)
{
    char *kept = NULL;
    int rc = file_read_line(path, TOKEN_FILE_MAX, &kept, NULL);
    if (rc < 0 || !str_eq_const_time(str_of(kept), str_of(config->token)))
        rc = write_token(path, config->token, err);
    mem_free_secret(kept);
    return rc;
}

int app_prepare_data_dir(struct config *config, struct err *err)
{
    int rc = make_folders(config, err);
    if (rc < 0)
        return rc;
    auto_free char *path = mem_printf("%s/token", config->data_dir);
    bool is_server = !config->server_url;
    if (config->token)
        return is_server ? keep_given_token(path, config, err) : 0;
    if (file_exists(path))
        return read_token(path, config, err);
    if (is_server)
        return make_token(path, config, err);
    return err_set(err, ERR_INVALID,
                   "joining the server %s needs its token: --token, GPUSTACK_TOKEN or %s",
                   config->server_url, path);
}

/* The holder's pid as its file says it; "another process" when it doesn't. Returns owned. */
static char *lock_holder(const char *path)
{
    enum { PID_TEXT_MAX = 32 };
    char *pid = NULL;
    if (file_read_line(path, PID_TEXT_MAX, &pid, NULL) < 0 || !*pid) {
        free(pid);
        return mem_strdup("another process");
    }
    char *text = mem_printf("gpustack with pid %s", pid);
    free(pid);
    return text;
}

int app_lock_data_dir(const struct config *config, struct err *err)
{
    int rc = make_folders(config, err);
    if (rc < 0)
        return rc;
    auto_free char *path = mem_printf("%s/run/supervisor.pid", config->data_dir);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_errno(err, errno, "can't open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return err_errno(err, errno, "can't lock %s", path);
        auto_free char *holder = lock_holder(path);
        return err_set(err, ERR_CONFLICT, "data folder %s is in use by %s", config->data_dir,
                       holder);
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        return err_errno(err, errno, "can't write %s", path);
    int kept = fd;
    fd = -1;
    return kept;
}
