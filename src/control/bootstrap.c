/* SPDX-License-Identifier: Apache-2.0 */
#include "control/bootstrap.h"

#include "auth/auth.h"
#include "base/file.h"
#include "base/log.h"

#define PASSWORD_FILE "initial_admin_password"

static int write_password_file(const char *data_dir, const char *password, struct err *err)
{
    auto_free char *path = mem_printf("%s/" PASSWORD_FILE, data_dir);
    struct buf line = {0};
    buf_printf(&line, "%s\n", password);
    int rc = file_write(path, buf_str(&line), 0600, err);
    explicit_bzero(line.ptr, line.len);
    buf_fini(&line);
    if (rc == 0)
        log_info("auth", "the password of the first user, admin, is in %s", path);
    return rc;
}

static int put_admin(struct control *control, const char *password, bool must_change,
                     struct err *err)
{
    char *hash = auth_password_hash(str_of(password));
    if (!hash)
        return err_set(err, ERR_UNAVAILABLE, "no memory to hash the first password");
    struct user admin = {0};
    record_init(&user_type, &admin);
    mem_replace(&admin.username, "admin");
    mem_replace(&admin.full_name, "Default System Admin");
    admin.is_admin = admin.is_active = true;
    admin.require_password_change = must_change;
    admin.password_hash = hash;
    cluster_put(control_cluster(control), KIND_USER, &admin, control_now_ms(control));
    return 0;
}

int bootstrap_admin(struct control *control, const char *data_dir, const char *password,
                    struct err *err)
{
    if (control_cluster(control)->tables[KIND_USER].count > 0)
        return 0;
    if (password) {
        int rc = auth_password_check(str_of(password), err);
        if (rc < 0)
            return err_wrap(err, rc, "--bootstrap-password");
        return put_admin(control, password, false, err);
    }
    char *made = auth_password_make();
    /* The file comes first: a password that only the database knows would lock everybody out. */
    int rc = write_password_file(data_dir, made, err);
    if (rc == 0)
        rc = put_admin(control, made, true, err);
    mem_free_secret(made);
    return rc;
}
