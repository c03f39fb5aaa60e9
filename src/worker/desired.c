/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/desired.h"

#include "engine/peers.h"
#include "hub/listing.h"

static const struct field fields[] = {
    {FIELD_OF(struct desired_instance, id), .kind = FIELD_INT, .flags = FIELD_REQUIRED, .min = 1,
     .max = INT64_MAX},
    {FIELD_OF(struct desired_instance, name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED},
    {FIELD_OF(struct desired_instance, model_id), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct desired_instance, model_name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED},
    {FIELD_OF(struct desired_instance, model_generation), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct desired_instance, source), .kind = FIELD_STRING, .flags = FIELD_REQUIRED},
    {FIELD_OF(struct desired_instance, local_path), .kind = FIELD_STRING},
    {FIELD_OF(struct desired_instance, backend), .kind = FIELD_STRING},
    {FIELD_OF(struct desired_instance, backend_version), .kind = FIELD_STRING},
    {FIELD_OF(struct desired_instance, backend_parameters), .kind = FIELD_STRINGS},
    {FIELD_OF(struct desired_instance, env), .kind = FIELD_MAP},
    {FIELD_OF(struct desired_instance, categories), .kind = FIELD_STRINGS},
    {FIELD_OF(struct desired_instance, gpu_indexes), .kind = FIELD_INTS},
    {FIELD_OF(struct desired_instance, claim), .kind = FIELD_JSON},
    {FIELD_OF(struct desired_instance, restart_on_error), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD_OF(struct desired_instance, max_restarts), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD_OF(struct desired_instance, draining), .kind = FIELD_BOOL},
    {FIELD_OF(struct desired_instance, rank), .kind = FIELD_INT, .max = PEERS_MAX - 1},
    {FIELD_OF(struct desired_instance, rank_count), .kind = FIELD_INT, .min = 1, .max = PEERS_MAX,
     .fallback = "1"},
    {FIELD_OF(struct desired_instance, gang_epoch), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct desired_instance, go), .kind = FIELD_BOOL},
    {FIELD_OF(struct desired_instance, ranks), .kind = FIELD_JSON},
    {FIELD_OF(struct desired_instance, token), .kind = FIELD_STRING,
     .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY},
};

static const struct record_type desired_instance_type = {
    .noun = "instance",
    .size = sizeof(struct desired_instance),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

void desired_instance_copy(struct desired_instance *to, const struct desired_instance *from)
{
    record_copy(&desired_instance_type, to, from);
}

void desired_instance_fini(struct desired_instance *instance)
{
    record_fini(&desired_instance_type, instance);
}

bool desired_instance_is_gang(const struct desired_instance *instance)
{
    return instance->rank_count > 1;
}

bool desired_instance_is_same_try(const struct desired_instance *a,
                                  const struct desired_instance *b)
{
    return a->model_generation == b->model_generation && a->rank == b->rank &&
           a->gang_epoch == b->gang_epoch;
}

void desired_instance_claim(const struct desired_instance *instance, struct resource_claim *ret)
{
    claim_fini(ret);
    if (instance->claim && claim_read(str_of(instance->claim), ret, NULL) < 0)
        claim_fini(ret); /* of a desired state it was checked */
}

static int check_claim(const struct desired_instance *instance, struct err *err)
{
    struct resource_claim claim = {0};
    int rc = instance->claim ? claim_read(str_of(instance->claim), &claim, err) : 0;
    claim_fini(&claim);
    return rc < 0 ? err_wrap(err, rc, "claim") : 0;
}

static void model_file_fini(struct desired_model_file *file)
{
    free(file->source);
    free(file->repo_id);
    free(file->file);
}

void desired_state_fini(struct desired_state *state)
{
    for (size_t i = 0; i < state->count; i++)
        desired_instance_fini(&state->items[i]);
    free(state->items);
    for (size_t i = 0; i < state->inspection_count; i++)
        free(state->inspections[i].path);
    free(state->inspections);
    for (size_t i = 0; i < state->model_file_count; i++)
        model_file_fini(&state->model_files[i]);
    free(state->model_files);
    *state = (struct desired_state){0};
}

static int by_id(const void *a, const void *b)
{
    const struct desired_instance *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

const struct desired_instance *desired_state_find(const struct desired_state *state, int64_t id)
{
    struct desired_instance key = {.id = id};
    if (!state->count)
        return NULL;
    return bsearch(&key, state->items, state->count, sizeof key, by_id);
}

static int check_rank(const struct desired_instance *instance, struct err *err)
{
    struct peers peers = {0};
    int rc = peers_read(instance->ranks, &peers, err);
    if (rc == 0 && instance->rank >= instance->rank_count)
        rc = err_set(err, ERR_INVALID, "rank must be below rank_count %lld, not %lld",
                     (long long)instance->rank_count, (long long)instance->rank);
    if (rc == 0 && desired_instance_is_gang(instance) && instance->go &&
        (int64_t)peers.count != instance->rank_count)
        rc = err_set(err, ERR_INVALID, "ranks must be %lld with go, not %zu",
                     (long long)instance->rank_count, peers.count);
    peers_fini(&peers);
    return rc;
}

static int read_instances(const json_t *array, struct desired_state *state, struct err *err)
{
    size_t count = json_array_size(array);
    state->items = mem_alloc_array(count + 1, sizeof *state->items);
    for (size_t i = 0; i < count; i++) {
        struct desired_instance *item = &state->items[state->count++];
        int rc =
            record_read(&desired_instance_type, item, json_array_get(array, i), RECORD_CREATE, err);
        if (rc == 0)
            rc = check_rank(item, err);
        if (rc == 0)
            rc = check_claim(item, err);
        if (rc < 0)
            return err_wrap(err, rc, "instances[%zu]", i);
    }
    qsort(state->items, count, sizeof *state->items, by_id);
    for (size_t i = 1; i < count; i++)
        if (state->items[i].id == state->items[i - 1].id)
            return err_set(err, ERR_INVALID, "instance %lld is there twice",
                           (long long)state->items[i].id);
    return 0;
}

static int read_inspection(const json_t *item, struct desired_inspection *ret, struct err *err)
{
    const char *path = json_member_string(item, "path");
    if (!path || path[0] != '/' || strlen(path) > DESIRED_PATH_MAX)
        return err_set(err, ERR_INVALID, "path must begin with \"/\" and have at most %d bytes",
                       DESIRED_PATH_MAX);
    ret->path = mem_strdup(path);
    ret->shape = json_is_true(json_object_get(item, "shape"));
    return 0;
}

/* Control of an earlier version asks for none. */
static int read_inspections(const json_t *array, struct desired_state *state, struct err *err)
{
    const size_t count = json_array_size(array);
    if (count > DESIRED_INSPECTIONS_MAX)
        return err_set(err, ERR_TOO_LARGE, "inspect: %zu paths are more than %d", count,
                       DESIRED_INSPECTIONS_MAX);
    state->inspections = mem_alloc_array(count + 1, sizeof *state->inspections);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_inspection(json_array_get(array, i), &state->inspections[i], err);
        if (rc == 0)
            state->inspection_count++;
    }
    return rc < 0 ? err_wrap(err, rc, "inspect") : 0;
}

static int read_action(const json_t *item, enum model_file_action *ret, struct err *err)
{
    static const char *const names[] = {[MODEL_FILE_DOWNLOAD] = "download",
                                        [MODEL_FILE_PAUSE] = "pause",
                                        [MODEL_FILE_DELETE] = "delete"};
    const char *word = json_member_string(item, "action");
    for (size_t i = 0; word && i < ARRAY_LEN(names); i++) {
        if (strcmp(word, names[i]) == 0) {
            *ret = (enum model_file_action)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "action must be download, pause or delete, not %.32s",
                   word ? word : "missing");
}

/* OWNER/REPO: it becomes part of paths and URLs. */
static bool is_repo(const char *text)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    return slash && slash != text && slash[1] && !strchr(slash + 1, '/') &&
           strlen(text) <= DESIRED_REPO_MAX && listing_is_file_name(str_of(text));
}

static int read_model_file(const json_t *item, struct desired_model_file *ret, struct err *err)
{
    const char *source = json_member_string(item, "source");
    const char *repo = json_member_string(item, "repo_id");
    const char *pattern = json_member_string(item, "file");
    *ret = (struct desired_model_file){.id = json_member_int(item, "id", 0),
                                       .lease = json_member_int(item, "lease", 0)};
    if (ret->id < 1 || ret->lease < 1)
        return err_set(err, ERR_INVALID, "id and lease must be numbers above 0");
    if (!source || (strcmp(source, "huggingface") != 0 && strcmp(source, "model_scope") != 0))
        return err_set(err, ERR_INVALID, "source must be huggingface or model_scope, not %.32s",
                       source ? source : "missing");
    if (!is_repo(repo))
        return err_set(err, ERR_INVALID, "repo_id must be OWNER/REPO, not %.64s",
                       repo ? repo : "missing");
    if (pattern && strlen(pattern) > DESIRED_REPO_MAX)
        return err_set(err, ERR_INVALID, "file must have at most %d bytes", DESIRED_REPO_MAX);
    const int rc = read_action(item, &ret->action, err);
    if (rc < 0)
        return rc;
    ret->source = mem_strdup(source);
    ret->repo_id = mem_strdup(repo);
    ret->file = mem_strdup(pattern);
    return 0;
}

/* Control of an earlier version wants none. */
static int read_model_files(const json_t *array, struct desired_state *state, struct err *err)
{
    const size_t count = json_array_size(array);
    if (count > DESIRED_MODEL_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "model_files: %zu are more than %d", count,
                       DESIRED_MODEL_FILES_MAX);
    state->model_files = mem_alloc_array(count + 1, sizeof *state->model_files);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_model_file(json_array_get(array, i), &state->model_files[i], err);
        if (rc == 0)
            state->model_file_count++;
    }
    return rc < 0 ? err_wrap(err, rc, "model_files") : 0;
}

int desired_state_read(struct str line, struct desired_state *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(line, &root, err);
    if (rc < 0)
        return rc;
    const json_t *generation = json_object_get(root, "generation");
    const json_t *instances = json_object_get(root, "instances");
    if (!json_is_integer(generation) || !json_is_array(instances))
        return err_set(err, ERR_INVALID, "generation must be a number and instances an array");
    if (json_array_size(instances) > DESIRED_INSTANCES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu instances are more than %d",
                       json_array_size(instances), DESIRED_INSTANCES_MAX);
    struct desired_state state = {.known = true, .generation = json_integer_value(generation)};
    rc = read_instances(instances, &state, err);
    if (rc == 0)
        rc = read_inspections(json_object_get(root, "inspect"), &state, err);
    if (rc == 0)
        rc = read_model_files(json_object_get(root, "model_files"), &state, err);
    if (rc < 0)
        desired_state_fini(&state);
    else
        *ret = state;
    return rc;
}
