/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/record.h"

#include "base/file.h"
#include "base/num.h"
#include "engine/peers.h"

#include <dirent.h>

static const struct field fields[] = {
    {FIELD_OF(struct engine_record, id), .kind = FIELD_INT, .flags = FIELD_REQUIRED, .min = 1,
     .max = INT64_MAX},
    {FIELD_OF(struct engine_record, name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED},
    {FIELD_OF(struct engine_record, model_name), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, model_generation), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, cluster_id), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, rank), .kind = FIELD_INT, .max = PEERS_MAX - 1},
    {FIELD_OF(struct engine_record, rank_count), .kind = FIELD_INT, .min = 1, .max = PEERS_MAX,
     .fallback = "1"},
    {FIELD_OF(struct engine_record, gang_epoch), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, pid), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD_OF(struct engine_record, start_ticks), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, boot_id), .kind = FIELD_STRING, .max = 39},
    {FIELD_OF(struct engine_record, ports), .kind = FIELD_INTS, .max = 16},
    {FIELD_OF(struct engine_record, run), .kind = FIELD_INT, .min = -1, .max = INT32_MAX,
     .fallback = "-1"},
    {FIELD_OF(struct engine_record, restart_count), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD_OF(struct engine_record, last_restart_time), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, restart_on_error), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD_OF(struct engine_record, max_restarts), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD_OF(struct engine_record, failures), .kind = FIELD_INT, .max = INT32_MAX},
    {FIELD_OF(struct engine_record, state_reason), .kind = FIELD_ENUM, .names = reason_names,
     .name_count = REASON_COUNT},
    {FIELD_OF(struct engine_record, state_args), .kind = FIELD_JSON},
    {FIELD_OF(struct engine_record, state_text), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, state_log), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, retry_at_ms), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, serving_since_ms), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, draining_since_ms), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, state), .kind = FIELD_STRING, .max = 32},
    {FIELD_OF(struct engine_record, ready_path), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, resolved_path), .kind = FIELD_STRING},
    {FIELD_OF(struct engine_record, model_bytes), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, measured_claim), .kind = FIELD_JSON},
    {FIELD_OF(struct engine_record, launch_note), .kind = FIELD_JSON},
    {FIELD_OF(struct engine_record, started_at), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD_OF(struct engine_record, token), .kind = FIELD_STRING},
};

static const struct record_type engine_record_type = {
    .noun = "engine record",
    .size = sizeof(struct engine_record),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

void engine_record_init(struct engine_record *record, int64_t id)
{
    record_init(&engine_record_type, record);
    record->id = id;
}

void engine_record_fini(struct engine_record *record)
{
    mem_free_secret(TAKE(record->token));
    record_fini(&engine_record_type, record);
}

char *engine_record_dir(const char *data_dir)
{
    return mem_printf("%s/run/instances", data_dir);
}

static char *record_path(const char *dir, int64_t id)
{
    return mem_printf("%s/%lld.json", dir, (long long)id);
}

int engine_record_save(const char *dir, const struct engine_record *record, struct err *err)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    record_write(&engine_record_type, record, &w);
    buf_add_char(&text, '\n');
    auto_free char *path = record_path(dir, record->id);
    int rc = file_write(path, buf_str(&text), 0600, err);
    explicit_bzero(text.ptr, text.len); /* it has the token */
    buf_fini(&text);
    return rc;
}

/* A port outside the range would be probed and forwarded to: the file isn't trusted that far. */
static int check_ports(const struct engine_record *record, struct err *err)
{
    for (size_t i = 0; i < record->ports.count; i++) {
        int64_t port = record->ports.items[i];
        if (port < 1 || port > 65535)
            return err_set(err, ERR_INVALID, "ports must be 1-65535, not %lld", (long long)port);
    }
    return 0;
}

static int parse_record(struct str text, int64_t id, struct engine_record *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(text, &root, err);
    if (rc == 0)
        rc = record_read(&engine_record_type, ret, root, RECORD_CREATE, err);
    if (rc == 0)
        rc = check_ports(ret, err);
    if (rc == 0 && ret->id != id)
        rc = err_set(err, ERR_INVALID, "it tells of instance %lld", (long long)ret->id);
    return rc;
}

int engine_record_load(const char *dir, int64_t id, struct engine_record *ret, struct err *err)
{
    auto_free char *path = record_path(dir, id);
    struct buf text = {0};
    int rc = file_read(path, ENGINE_RECORD_MAX, &text, err);
    if (rc == 0) {
        rc = parse_record(buf_str(&text), id, ret, err);
        if (rc < 0) {
            engine_record_fini(ret);
            err_wrap(err, rc, "%s", path);
        }
    }
    buf_fini(&text);
    return rc;
}

void engine_record_remove(const char *dir, int64_t id)
{
    auto_free char *path = record_path(dir, id);
    (void)unlink(path);
}

/* Whether a file name is "<id>.json". */
static bool parse_file_name(const char *name, int64_t *ret_id)
{
    struct str stem = str_of(name);
    if (!str_has_suffix(stem, STR(".json")))
        return false;
    stem.len -= STR(".json").len;
    return num_parse_i64(stem, 1, INT64_MAX, ret_id) == 0;
}

void engine_record_ids(const char *dir, struct int_list *ret)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return;
    const struct dirent *entry;
    int64_t id;
    while ((entry = readdir(folder)) && ret->count < ENGINE_RECORDS_MAX)
        if (parse_file_name(entry->d_name, &id))
            int_list_add(ret, id);
    closedir(folder);
}
