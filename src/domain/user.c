/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/user.h"

#include "domain/record_priv.h"

static const char *const source_names[] = {
    [USER_LOCAL] = "Local", [USER_OIDC] = "OIDC", [USER_SAML] = "SAML"};

#define FIELD(member) FIELD_OF(struct user, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(username), .kind = FIELD_STRING, .flags = FIELD_REQUIRED | FIELD_CREATE_ONLY,
     .max = 128},
    {FIELD(is_admin), .kind = FIELD_BOOL},
    {FIELD(full_name), .kind = FIELD_STRING, .max = 256},
    {FIELD(avatar_url), .kind = FIELD_STRING, .max = 128 << 10}, /* may be a data: URL */
    {FIELD(source), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = source_names,
     .name_count = USER_SOURCE_COUNT},
    {FIELD(is_active), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD(require_password_change), .kind = FIELD_BOOL},
    LIMITS_FIELDS(struct user),
    {FIELD(password), .kind = FIELD_STRING, .flags = FIELD_WRITE_ONLY, .max = 256},
    {FIELD(password_hash), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY | FIELD_SECRET},
    {FIELD(version), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX,
     .fallback = "1"},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type user_type = {
    .noun = "user",
    .table = "users",
    .size = sizeof(struct user),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

static bool is_username(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-@";
    return name && *name && name[strspn(name, allowed)] == '\0' && strlen(name) <= 128;
}

int user_validate(const struct user *user, struct err *err)
{
    struct faults faults = {0};
    if (!is_username(user->username))
        faults_add(&faults, "username", "must be 1-128 letters, digits or . _ - @");
    return faults_finish(&faults, err);
}
