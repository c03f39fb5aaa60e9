/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/entry.h"

#include <errno.h>

static const char *const kind_names[ENTRY_KINDS] = {
    [ENTRY_USER] = "user",   [ENTRY_KEY] = "key",           [ENTRY_SESSION] = "session",
    [ENTRY_MODEL] = "model", [ENTRY_ENDPOINT] = "endpoint", [ENTRY_ROUTE] = "route",
};

int entry_kind_parse(const char *name, enum entry_kind *ret)
{
    for (int kind = 0; kind < ENTRY_KINDS; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            *ret = (enum entry_kind)kind;
            return 0;
        }
    }
    return -EINVAL;
}

const char *entry_kind_name(enum entry_kind kind)
{
    return kind_names[kind];
}

/* ---- reading: members are taken one after the other, the first fault stays ---- */

struct reader {
    const json_t *object;
    struct err *err;
    int rc; /* 0 until a member was wrong */
};

static void refuse(struct reader *r, const char *key, const char *what)
{
    if (r->rc == 0)
        r->rc = err_set(r->err, ERR_INVALID, "%s %s", key, what);
}

static char *read_text(struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    if (!json_is_string(value) || json_string_length(value) > ENTRY_TEXT_MAX) {
        refuse(r, key, "must be a string of at most 1024 bytes");
        return NULL;
    }
    return mem_strndup(json_string_value(value), json_string_length(value));
}

/* null, as of a worker that didn't tell, becomes "". */
static char *read_text_or_null(struct reader *r, const char *key)
{
    return json_is_null(json_object_get(r->object, key)) ? mem_strdup("") : read_text(r, key);
}

/* Whether a member is there that older controls don't tell; null is as if it weren't. */
static bool has(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    return value && !json_is_null(value);
}

static int64_t read_int(struct reader *r, const char *key, int64_t min, int64_t max)
{
    const json_t *value = json_object_get(r->object, key);
    int64_t number = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
    if (!json_is_integer(value) || number < min || number > max)
        refuse(r, key, "must be an integer in its range");
    return number;
}

static int64_t read_id(struct reader *r, const char *key)
{
    return read_int(r, key, 1, INT64_MAX);
}

static int64_t read_time(struct reader *r, const char *key)
{
    return read_int(r, key, 0, INT64_MAX);
}

static unsigned read_port(struct reader *r, const char *key)
{
    return (unsigned)read_int(r, key, 0, 65535);
}

static bool read_bool(struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    if (!json_is_boolean(value))
        refuse(r, key, "must be true or false");
    return json_is_true(value);
}

static int64_t read_int_or_0(struct reader *r, const char *key, int64_t max)
{
    return has(r, key) ? read_int(r, key, 0, max) : 0;
}

static int read_period(struct reader *r, const char *key)
{
    if (!has(r, key))
        return BUDGET_NEVER;
    const char *word = json_member_string(r->object, key);
    for (int period = 0; word && period < BUDGET_PERIOD_COUNT; period++)
        if (strcmp(word, budget_period_names[period]) == 0)
            return period;
    refuse(r, key, "must be never, hour, day, week or month");
    return BUDGET_NEVER;
}

static void read_limits(struct reader *r, struct limits *limits)
{
    limits->requests_per_minute = read_int_or_0(r, "requests_per_minute", LIMITS_COUNT_MAX);
    limits->tokens_per_minute = read_int_or_0(r, "tokens_per_minute", LIMITS_COUNT_MAX);
    limits->concurrent_requests = read_int_or_0(r, "concurrent_requests", LIMITS_COUNT_MAX);
    limits->token_budget = read_int_or_0(r, "token_budget", INT64_MAX);
    limits->budget_period = read_period(r, "budget_period");
}

static void read_list(struct reader *r, const char *key, struct entry_list *list)
{
    const json_t *array = json_object_get(r->object, key);
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > ENTRY_LIST_MAX) {
        refuse(r, key, "must be an array of at most 4096 strings");
        return;
    }
    list->items = mem_alloc_array(count, sizeof list->items[0]);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_string(item)) {
            refuse(r, key, "must hold strings only");
            return;
        }
        list->items[list->count++] = mem_strdup(json_string_value(item));
    }
}

static void list_fini(struct entry_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static bool list_has(const struct entry_list *list, const char *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0)
            return true;
    return false;
}

bool entry_list_allows(const struct entry_list *list, const char *name)
{
    return list->count == 0 || list_has(list, name);
}

static void read_user(struct reader *r, struct user_entry *user)
{
    user->username = read_text(r, "username");
    user->is_admin = read_bool(r, "is_admin");
    user->is_active = read_bool(r, "is_active");
    user->require_password_change = read_bool(r, "require_password_change");
    read_limits(r, &user->limits);
}

static void read_key(struct reader *r, struct key_entry *key)
{
    struct entry_list scope = {0};
    key->user_id = read_id(r, "user_id");
    key->access_key = read_text(r, "access_key");
    key->secret_digest = read_text(r, "secret_digest");
    if (has(r, "previous_digest")) {
        key->previous_digest = read_text(r, "previous_digest");
        key->previous_expires_at_ms = read_time(r, "previous_expires_at_ms");
    }
    key->expires_at_ms = read_time(r, "expires_at_ms");
    read_list(r, "scope", &scope);
    key->may_infer = scope.count == 0 || list_has(&scope, "*") || list_has(&scope, "inference");
    list_fini(&scope);
    read_list(r, "allowed_model_names", &key->allowed_model_names);
    read_limits(r, &key->limits);
}

static void read_session(struct reader *r, struct session_entry *session)
{
    session->user_id = read_id(r, "user_id");
    session->token_digest = read_text(r, "token_digest");
    session->expires_at_ms = read_time(r, "expires_at_ms");
}

static void read_model(struct reader *r, struct model_entry *model)
{
    model->name = read_text(r, "name");
    model->created_ms = read_time(r, "created_ms");
    model->is_stopped = has(r, "is_stopped") && read_bool(r, "is_stopped");
    model->generic_proxy = has(r, "generic_proxy") && read_bool(r, "generic_proxy");
    model->first_byte_timeout_ms = read_int_or_0(r, "first_byte_timeout_ms", ENTRY_TIMEOUT_MAX);
    read_limits(r, &model->limits);
}

/* The token goes into a header: a line break in it would split the request to the engine. */
static bool is_header_safe(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text <= 0x20 || (unsigned char)*text >= 0x7f)
            return false;
    return text != NULL;
}

static void read_endpoint(struct reader *r, struct endpoint_entry *endpoint)
{
    endpoint->model_id = read_id(r, "model_id");
    endpoint->name = read_text(r, "name");
    endpoint->host = read_text(r, "host");
    endpoint->port = read_port(r, "port");
    endpoint->local_port = read_port(r, "local_port");
    endpoint->netns_id = read_text_or_null(r, "netns_id");
    char *token = read_text(r, "token");
    endpoint->served_name =
        has(r, "served_name") ? read_text(r, "served_name") : mem_strdup("");
    if (!is_header_safe(token))
        refuse(r, "token", "must be visible ASCII");
    endpoint->bearer = token ? mem_printf("Bearer %s", token) : NULL;
    mem_free_secret(token);
    if (endpoint->host && strlen(endpoint->host) > 255)
        refuse(r, "host", "must be at most 255 bytes");
}

static void read_targets(struct reader *r, struct route_entry *route)
{
    const json_t *array = json_object_get(r->object, "targets");
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > ENTRY_TARGETS_MAX) {
        refuse(r, "targets", "must be an array of at most 64 objects");
        return;
    }
    route->targets = mem_alloc_array(count, sizeof route->targets[0]);
    for (; route->target_count < count && r->rc == 0; route->target_count++) {
        struct route_target *target = &route->targets[route->target_count];
        struct reader item = {.object = json_array_get(array, route->target_count), .err = r->err};
        target->model_id = read_id(&item, "model_id");
        target->weight = (unsigned)read_int(&item, "weight", 0, ENTRY_WEIGHT_MAX);
        if (item.rc < 0)
            r->rc = err_wrap(r->err, item.rc, "targets");
    }
}

static void read_route(struct reader *r, struct route_entry *route)
{
    route->name = read_text(r, "name");
    route->fallback_model_id = read_int_or_0(r, "fallback_model_id", INT64_MAX);
    read_targets(r, route);
}

int entry_read(enum entry_kind kind, const json_t *object, struct entry **ret, struct err *err)
{
    struct reader r = {.object = object, .err = err};
    struct entry *entry = mem_alloc(sizeof *entry);
    atomic_init(&entry->refs, 1);
    entry->kind = kind;
    entry->id = read_id(&r, "id");
    switch (kind) {
    case ENTRY_USER:
        read_user(&r, &entry->user);
        break;
    case ENTRY_KEY:
        read_key(&r, &entry->key);
        break;
    case ENTRY_SESSION:
        read_session(&r, &entry->session);
        break;
    case ENTRY_MODEL:
        read_model(&r, &entry->model);
        break;
    case ENTRY_ENDPOINT:
        read_endpoint(&r, &entry->endpoint);
        break;
    case ENTRY_ROUTE:
        read_route(&r, &entry->route);
        break;
    case ENTRY_KINDS:
        break;
    }
    if (r.rc < 0) {
        entry_unref(entry);
        return r.rc;
    }
    *ret = entry;
    return 0;
}

/* ---- life ---- */

struct entry *entry_ref(struct entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return entry;
}

static void fini_endpoint(struct endpoint_entry *endpoint)
{
    free(endpoint->name);
    free(endpoint->host);
    free(endpoint->netns_id);
    mem_free_secret(endpoint->bearer);
    free(endpoint->served_name);
    endpoint_load_unref(endpoint->load);
}

bool entry_limits(const struct entry *entry, struct limit_subject *ret)
{
    switch (entry->kind) {
    case ENTRY_USER:
        *ret = (struct limit_subject){LIMIT_USER, &entry->user.limits, entry->user.limit};
        return true;
    case ENTRY_KEY:
        *ret = (struct limit_subject){LIMIT_KEY, &entry->key.limits, entry->key.limit};
        return true;
    case ENTRY_MODEL:
        *ret = (struct limit_subject){LIMIT_MODEL, &entry->model.limits, entry->model.limit};
        return true;
    case ENTRY_SESSION:
    case ENTRY_ENDPOINT:
    case ENTRY_ROUTE:
    case ENTRY_KINDS:
        break;
    }
    return false;
}

void entry_set_limit(struct entry *entry, struct limit_state *state)
{
    if (entry->kind == ENTRY_USER)
        entry->user.limit = state;
    else if (entry->kind == ENTRY_KEY)
        entry->key.limit = state;
    else
        entry->model.limit = state;
}

static void entry_free(struct entry *entry)
{
    struct limit_subject subject;
    if (entry_limits(entry, &subject))
        limit_state_unref(subject.state);
    switch (entry->kind) {
    case ENTRY_USER:
        free(entry->user.username);
        break;
    case ENTRY_KEY:
        free(entry->key.access_key);
        free(entry->key.secret_digest);
        free(entry->key.previous_digest);
        list_fini(&entry->key.allowed_model_names);
        break;
    case ENTRY_SESSION:
        free(entry->session.token_digest);
        break;
    case ENTRY_MODEL:
        free(entry->model.name);
        break;
    case ENTRY_ENDPOINT:
        fini_endpoint(&entry->endpoint);
        break;
    case ENTRY_ROUTE:
        free(entry->route.name);
        free(entry->route.targets);
        break;
    case ENTRY_KINDS:
        break;
    }
    free(entry);
}

void entry_unref(struct entry *entry)
{
    if (entry && atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1)
        entry_free(entry);
}

static struct str bytes_of(const int64_t *id)
{
    return str_sub((const char *)id, sizeof *id);
}

struct str entry_lookup_key(const struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_USER:
        return bytes_of(&entry->id);
    case ENTRY_KEY:
        return str_of(entry->key.access_key);
    case ENTRY_SESSION:
        return str_of(entry->session.token_digest);
    case ENTRY_MODEL:
        return str_of(entry->model.name);
    case ENTRY_ENDPOINT:
        return bytes_of(&entry->endpoint.model_id);
    case ENTRY_ROUTE:
        return str_of(entry->route.name);
    case ENTRY_KINDS:
        break;
    }
    return (struct str){0};
}

struct endpoint_load *endpoint_load_new(void)
{
    struct endpoint_load *load = mem_alloc(sizeof *load);
    atomic_init(&load->refs, 1);
    return load;
}

struct endpoint_load *endpoint_load_ref(struct endpoint_load *load)
{
    atomic_fetch_add_explicit(&load->refs, 1, memory_order_relaxed);
    return load;
}

void endpoint_load_unref(struct endpoint_load *load)
{
    if (load && atomic_fetch_sub_explicit(&load->refs, 1, memory_order_acq_rel) == 1)
        free(load);
}
