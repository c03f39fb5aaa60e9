/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/user.h"

#include "domain/record_priv.h"

#define FIELD(member) FIELD_OF(struct api_key, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED, .max = 128},
    {FIELD(description), .kind = FIELD_STRING},
    {FIELD(user_id), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(access_key), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(secret_digest), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY | FIELD_SECRET,
     .max = 64},
    {FIELD(previous_digest), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY | FIELD_SECRET,
     .max = 64},
    {FIELD(previous_expires_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(scope), .kind = FIELD_STRINGS, .max = SCOPE_COUNT},
    {FIELD(allowed_model_names), .kind = FIELD_STRINGS},
    LIMITS_FIELDS(struct api_key),
    {FIELD(expires_in), .kind = FIELD_INT, .flags = FIELD_WRITE_ONLY, .max = INT32_MAX},
    {FIELD(expires_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(is_custom), .kind = FIELD_BOOL, .flags = FIELD_READ_ONLY},
    {FIELD(enabled), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD(last_used_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(version), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX,
     .fallback = "1"},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type api_key_type = {
    .noun = "api-key",
    .table = "api_keys",
    .size = sizeof(struct api_key),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

bool api_key_has_digest(const struct api_key *key, const char *digest, int64_t now_ms)
{
    bool is_present = str_eq_const_time(str_of(digest), str_of(key->secret_digest));
    bool is_previous = str_eq_const_time(str_of(digest), str_of(key->previous_digest));
    return is_present | (is_previous & (key->previous_expires_at > now_ms));
}

int api_key_validate(const struct api_key *key, struct err *err)
{
    static const char *const words[SCOPE_COUNT] = {
        [SCOPE_ALL] = "*", [SCOPE_MANAGEMENT] = "management", [SCOPE_INFERENCE] = "inference"};
    struct faults faults = {0};
    for (size_t i = 0; i < key->scope.count; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            known = known || strcmp(key->scope.items[i], words[k]) == 0;
        if (!known)
            faults_add(&faults, "scope", "must be of *, management, inference, not \"%.48s\"",
                       key->scope.items[i]);
    }
    return faults_finish(&faults, err);
}
