/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "engine/desc_priv.h"
#include "engine/engine_priv.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

struct engine_set {
    struct engine *items; /* owned, each owned */
    size_t count;
    size_t builtin_count; /* the first ones: those that are started from PATH */
};

static void set_add(struct engine_set *set, struct engine engine)
{
    set->items = mem_resize(set->items, (set->count + 1) * sizeof *set->items);
    set->items[set->count++] = engine;
}

static int load_builtin(struct engine_set *set, struct err *err)
{
    for (const struct embedded_file *file = engine_files; file->name; file++) {
        struct engine engine = {0};
        int rc =
            engine_read(file->name, str_sub((const char *)file->data, file->size), &engine, err);
        if (rc < 0)
            return err_wrap(err, rc, "built-in engines");
        set_add(set, engine);
    }
    set->builtin_count = set->count;
    return 0;
}

/* ---- installed copies ---- */

/* The version in "<name>_<version>", or NULL. */
static const char *version_after(const char *folder, const char *name)
{
    size_t length = strlen(name);
    bool is_of_it = strncmp(folder, name, length) == 0 && folder[length] == '_';
    return is_of_it && folder[length + 1] ? folder + length + 1 : NULL;
}

/* Which built-in engine a folder of the engine directory is a copy of, or NULL. */
static const struct engine *find_builtin(const struct engine_set *set, const char *folder,
                                         const char **ret_version)
{
    for (size_t i = 0; i < set->builtin_count; i++) {
        const struct engine *engine = &set->items[i];
        const char *version = version_after(folder, engine->name);
        for (size_t n = 0; !version && n < engine->aliases.count; n++)
            version = version_after(folder, engine->aliases.items[n]);
        if (version) {
            *ret_version = version;
            return engine;
        }
    }
    return NULL;
}

static struct string_list copy_list(const struct string_list *from)
{
    struct string_list copy = {0};
    for (size_t i = 0; i < from->count; i++)
        string_list_add(&copy, from->items[i]);
    return copy;
}

static struct string_map copy_map(const struct string_map *from)
{
    struct string_map copy = {0};
    for (size_t i = 0; i < from->count; i++)
        string_map_set(&copy, from->keys[i], from->values[i]);
    return copy;
}

static void look_in_dir(struct string_list *command)
{
    if (command->count == 0)
        return;
    auto_free char *program = mem_printf("{dir}/%s", command->items[0]);
    mem_replace(&command->items[0], program);
}

/* The built-in engine as it is when its program lies in `dir`. */
static struct engine make_copy(const struct engine *builtin, const char *dir, const char *version)
{
    struct engine copy = {
        .name = mem_strdup(builtin->name),
        .aliases = copy_list(&builtin->aliases),
        .version = mem_strdup(version),
        .formats = copy_list(&builtin->formats),
        .command = copy_list(&builtin->command),
        .args = copy_list(&builtin->args),
        .reserved = copy_list(&builtin->reserved),
        .env = copy_map(&builtin->env),
        .ports = builtin->ports,
        .ready_path = mem_strdup(builtin->ready_path),
        .ready_interval_ms = builtin->ready_interval_ms,
        .metrics_path = mem_strdup(builtin->metrics_path),
        .token_env = mem_strdup(builtin->token_env),
        .apis = builtin->apis,
        .device_types = copy_list(&builtin->device_types),
        .dir = mem_strdup(dir),
        .gang = {.args = copy_list(&builtin->gang.args),
                 .env = copy_map(&builtin->gang.env),
                 .ports = builtin->gang.ports},
        .rank = {.command = copy_list(&builtin->rank.command),
                 .args = copy_list(&builtin->rank.args),
                 .env = copy_map(&builtin->rank.env),
                 .ports = builtin->rank.ports,
                 .takes_parameters = builtin->rank.takes_parameters},
    };
    look_in_dir(&copy.command);
    look_in_dir(&copy.rank.command);
    for (int figure = 0; figure < ENGINE_FIGURE_COUNT; figure++) {
        copy.placed[figure] = copy_list(&builtin->placed[figure]);
        copy.placed_unless[figure] = copy_list(&builtin->placed_unless[figure]);
    }
    for (int task = 0; task < ENGINE_TASK_COUNT; task++) {
        copy.tasks[task] = copy_list(&builtin->tasks[task]);
        copy.tasks_unless[task] = copy_list(&builtin->tasks_unless[task]);
    }
    return copy;
}

static int check_same(const char *file, const char *key, const char *given, const char *expected,
                      struct err *err)
{
    if (!given || strcmp(given, expected) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s: %s: must be '%s' as the folder's name says, not '%s'",
                   file, key, expected, given);
}

static void take_list(struct string_list *to, struct string_list *from)
{
    if (from->count == 0)
        return;
    string_list_fini(to);
    *to = *from;
    *from = (struct string_list){0};
}

static void take_map(struct string_map *to, struct string_map *from)
{
    if (from->count == 0)
        return;
    string_map_fini(to);
    *to = *from;
    *from = (struct string_map){0};
}

/* Lays the file's command and env over `engine`. */
static int apply_override(const char *file, struct engine *engine, struct engine_override *override,
                          struct err *err)
{
    int rc = check_same(file, "version", override->version, engine->version, err);
    if (rc == 0 && !string_list_has(&engine->aliases, override->backend ? override->backend : ""))
        rc = check_same(file, "backend", override->backend, engine->name, err);
    if (rc < 0)
        return rc;
    take_list(&engine->command, &override->command);
    take_map(&engine->env, &override->env);
    take_list(&engine->device_types, &override->device_types);
    take_list(&engine->rank.command, &override->rank.command);
    take_map(&engine->rank.env, &override->rank.env);
    rc = engine_check_placeholders(engine, err);
    return rc < 0 ? err_wrap(err, rc, "%s", file) : 0;
}

/* Reads the folder's engine.yaml. 1 when there is one, 0 when not. */
static int read_override(struct engine *engine, struct err *err)
{
    auto_free char *file = mem_printf("%s/engine.yaml", engine->dir);
    if (!file_exists(file))
        return 0;
    struct buf text = {0};
    struct engine_override override = {0};
    int rc = file_read(file, DESC_FILE_MAX, &text, err);
    if (rc == 0)
        rc = engine_read_override(file, buf_str(&text), &override, err);
    if (rc == 0)
        rc = apply_override(file, engine, &override, err);
    engine_override_fini(&override);
    buf_fini(&text);
    return rc < 0 ? rc : 1;
}

/* A folder that isn't a copy of a known engine belongs to somebody else and is passed over. */
static int load_folder(struct engine_set *set, const char *bin_dir, const char *folder,
                       struct err *err)
{
    const char *version;
    const struct engine *builtin = find_builtin(set, folder, &version);
    if (!builtin)
        return 0;
    auto_free char *path = mem_printf("%s/%s", bin_dir, folder);
    auto_free char *dir = realpath(path, NULL);
    if (!dir)
        return 0; /* gone since the folder was listed */
    struct engine engine = make_copy(builtin, dir, version);
    int rc = read_override(&engine, err);
    if (rc > 0 || (rc == 0 && engine_is_present(&engine, false)))
        set_add(set, engine);
    else
        engine_fini(&engine);
    return rc < 0 ? rc : 0;
}

static int load_installed(struct engine_set *set, const char *bin_dir, struct err *err)
{
    DIR *dir = opendir(bin_dir);
    if (!dir)
        return errno == ENOENT ? 0 : err_errno(err, errno, "can't read engine folder %s", bin_dir);
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)))
        rc = load_folder(set, bin_dir, entry->d_name, err);
    closedir(dir);
    return rc;
}

int engine_set_load(const char *bin_dir, struct engine_set **ret, struct err *err)
{
    struct engine_set *set = mem_alloc(sizeof *set);
    int rc = load_builtin(set, err);
    if (rc == 0 && bin_dir)
        rc = load_installed(set, bin_dir, err);
    if (rc < 0) {
        engine_set_free(set);
        return rc;
    }
    *ret = set;
    return 0;
}

const struct engine *engine_set_at(const struct engine_set *set, size_t i)
{
    return i < set->count ? &set->items[i] : NULL;
}

void engine_set_free(struct engine_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        engine_fini(&set->items[i]);
    free(set->items);
    free(set);
}

/* ---- finding ---- */

static bool has_format(const struct engine *engine, const char *model_path)
{
    struct str path = str_of(model_path);
    for (size_t i = 0; i < engine->formats.count; i++) {
        struct str format = str_of(engine->formats.items[i]);
        if (path.len >= format.len && str_eq_nocase(str_skip(path, path.len - format.len), format))
            return true;
    }
    return false;
}

static bool is_wanted(const struct engine *engine, const char *backend, const char *version,
                      const char *model_path)
{
    if (version && (!engine->version || strcmp(engine->version, version) != 0))
        return false;
    if (!backend)
        return has_format(engine, model_path);
    return strcmp(engine->name, backend) == 0 || string_list_has(&engine->aliases, backend);
}

/* Installed copies before those on PATH, newer ones before older ones. */
static bool is_better(const struct engine *a, const struct engine *b)
{
    if (!b || !a->version || !b->version)
        return !b || (a->version && !b->version);
    return strverscmp(a->version, b->version) > 0;
}

static int refuse(const struct engine_set *set, const char *backend, const char *version,
                  const char *model_path, struct err *err)
{
    struct buf there = {0};
    for (size_t i = 0; i < set->count; i++)
        buf_printf(&there, "%s%s %s", i ? ", " : "", set->items[i].name,
                   set->items[i].version ? set->items[i].version : "(on PATH)");
    int rc =
        err_set(err, ERR_NOT_FOUND, "no engine for %s%s%s%s; there are %s",
                backend ? "backend " : "model file ", backend ? backend : model_path,
                version ? " version " : "", version ? version : "", there.ptr ? there.ptr : "none");
    buf_fini(&there);
    return rc;
}

int engine_find(const struct engine_set *set, const char *backend, const char *version,
                const char *model_path, const struct engine **ret, struct err *err)
{
    const struct engine *best = NULL;
    for (size_t i = 0; i < set->count; i++)
        if (is_wanted(&set->items[i], backend, version, model_path) &&
            is_better(&set->items[i], best))
            best = &set->items[i];
    if (!best)
        return refuse(set, backend, version, model_path, err);
    *ret = best;
    return 0;
}
