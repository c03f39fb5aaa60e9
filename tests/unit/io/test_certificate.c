/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for servers: what is refused with which words, what is warned of, how files are
 * followed. */
#include "base/file.h"
#include "io/certificate_watch.h"

#include <errno.h>

#include "identity.h"

static char folder[] = "/tmp/test_certificate_XXXXXX";
static char chain_path[64], key_path[64];
static struct identity one, two, old;

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(chain_path, sizeof chain_path, "%s/chain.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    make_identity(&one, "one", "DNS:one.example");
    make_identity(&two, "two", "DNS:two.example");
    make_identity_until(&old, "old", "DNS:old.example", -60);
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    drop_identity(&one);
    drop_identity(&two);
    drop_identity(&old);
    unlink(chain_path);
    unlink(key_path);
    return rmdir(folder);
}

static void expect_refusal(const char *file, const char *text)
{
    struct certificate *got = NULL;
    struct err err = {0};
    assert_true(certificate_load(chain_path, key_path, &got, &err) < 0);
    assert_null(got);
    if (!strstr(err.text, file) || !strstr(err.text, text))
        fail_msg("\"%s\" has no \"%s\" about %s", err.text, text, file);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, str_of(text), 0600, NULL), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    write_cert(chain_path, &one);
    unlink(key_path);
    expect_refusal(key_path, "No such file");
    write_text(key_path, "something else\n");
    expect_refusal(key_path, "has no private key in PEM form");
    write_cert(key_path, &one);
    expect_refusal(key_path, "has no private key in PEM form");
    write_key(key_path, &one, 0600, "secret");
    expect_refusal(key_path, "is protected by a passphrase");
    write_key(key_path, &two, 0600, NULL);
    expect_refusal(key_path, "does not belong to the certificate");
    write_text(chain_path, "");
    expect_refusal(chain_path, "has no certificate in PEM form");
    write_key(chain_path, &one, 0600, NULL);
    expect_refusal(chain_path, "has no certificate in PEM form");
    unlink(chain_path);
    expect_refusal(chain_path, "No such file");
}

static void test_damaged_chain_is_refused(void **state)
{
    (void)state;
    write_key(key_path, &one, 0600, NULL);
    write_cert(chain_path, &one);
    struct buf text = {0};
    assert_int_equal(file_read(chain_path, 1 << 16, &text, NULL), 0);
    buf_add_cstr(&text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write_text(chain_path, text.ptr);
    expect_refusal(chain_path, "its chain is damaged");
    buf_fini(&text);
}

static void expect_warning(const char *text)
{
    struct certificate *got = NULL;
    struct err err = {0};
    if (certificate_load(chain_path, key_path, &got, &err) < 0)
        fail_msg("%s", err.text);
    const char *warning = certificate_warning(got);
    if (!text)
        assert_null(warning);
    else if (!warning || !strstr(warning, text))
        fail_msg("\"%s\" has no \"%s\"", warning ? warning : "", text);
    certificate_unref(got);
}

static void test_warnings(void **state)
{
    (void)state;
    write_cert(chain_path, &one);
    write_key(key_path, &one, 0600, NULL);
    expect_warning(NULL);
    write_key(key_path, &one, 0640, NULL);
    expect_warning("has mode 0640");
    write_cert(chain_path, &old);
    write_key(key_path, &old, 0600, NULL);
    expect_warning("has expired");
}

static void test_text(void **state)
{
    (void)state;
    write_cert(chain_path, &one);
    write_key(key_path, &one, 0600, NULL);
    struct certificate *got = NULL;
    assert_int_equal(certificate_load(chain_path, key_path, &got, NULL), 0);
    assert_non_null(strstr(certificate_text(got), "CN=one, valid until 20"));
    certificate_unref(got);
}

/* ---- following ---- */

static int64_t virtual_ms = 1000;

static int64_t read_virtual(void *ctx)
{
    (void)ctx;
    return virtual_ms;
}

static const struct clock virtual_clock = {.mono_ms = read_virtual, .wall_ms = read_virtual};

struct follower {
    struct loop *loop;
    struct certificate_watch *watch;
    unsigned loads, faults;
    char text[600];
    bool frees;   /* in the callback */
    bool reloads; /* once, in the callback */
};

/* A new file in the place of the old one: no check sees half of it. */
static void write_pem_aside(const char *path, const struct identity *cert,
                            const struct identity *key)
{
    char aside[96];
    snprintf(aside, sizeof aside, "%s.new", path);
    if (cert)
        write_cert(aside, cert);
    else
        write_key(aside, key, 0600, NULL);
    assert_int_equal(rename(aside, path), 0);
}

static void on_files(int rc, struct certificate *fresh, const char *text, void *ctx)
{
    struct follower *follower = ctx;
    if (rc < 0)
        follower->faults++;
    else
        follower->loads++;
    snprintf(follower->text, sizeof follower->text, "%s",
             rc < 0 ? text : certificate_text(fresh));
    if (follower->reloads)
        certificate_watch_reload(follower->watch);
    follower->reloads = false;
    if (follower->frees)
        certificate_watch_free(TAKE(follower->watch));
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Time for a check, and turns in which it may be done; the pool takes as long as it takes. */
static void pass_check(struct follower *follower)
{
    virtual_ms += CERTIFICATE_CHECK_MS;
    loop_work(follower->loop, nothing, stop_loop, follower->loop);
    loop_run(follower->loop);
    loop_post(follower->loop, stop_loop, follower->loop);
    loop_run(follower->loop);
}

/* Checks go by until this was told, and some more in which nothing else is. */
static void expect_told(struct follower *follower, unsigned loads, unsigned faults)
{
    for (int i = 0; i < 10000 && (follower->loads < loads || follower->faults < faults); i++)
        pass_check(follower);
    for (int i = 0; i < 20; i++)
        pass_check(follower);
    assert_int_equal(follower->loads, loads);
    assert_int_equal(follower->faults, faults);
}

static void test_files_are_followed(void **state)
{
    (void)state;
    struct follower follower = {.loop = loop_new(&virtual_clock)};
    write_cert(chain_path, &one);
    write_key(key_path, &one, 0600, NULL);
    follower.watch =
        certificate_watch_new(follower.loop, chain_path, key_path, on_files, &follower);
    expect_told(&follower, 0, 0);

    /* The certificate is there before its key: told once, however often it is looked at. */
    write_pem_aside(chain_path, &two, NULL);
    expect_told(&follower, 0, 1);
    assert_non_null(strstr(follower.text, "does not belong"));
    write_pem_aside(key_path, NULL, &two);
    expect_told(&follower, 1, 1);
    assert_non_null(strstr(follower.text, "CN=two"));

    /* When told to, also while a check is under way, and once a day, all without a change. */
    follower.reloads = true;
    certificate_watch_reload(follower.watch);
    expect_told(&follower, 3, 1);
    virtual_ms += CERTIFICATE_RENEW_MS;
    expect_told(&follower, 4, 1);

    follower.frees = true;
    certificate_watch_reload(follower.watch);
    while (follower.watch)
        pass_check(&follower);
    loop_free(follower.loop);
}

static void test_freed_while_reading(void **state)
{
    (void)state;
    struct follower follower = {.loop = loop_new(&virtual_clock)};
    follower.watch =
        certificate_watch_new(follower.loop, chain_path, key_path, on_files, &follower);
    certificate_watch_reload(follower.watch);
    certificate_watch_free(follower.watch);
    loop_free(follower.loop); /* runs what is under way to its end */
    assert_int_equal(follower.loads + follower.faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_chain_is_refused),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_files_are_followed),
        cmocka_unit_test(test_freed_while_reading),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
