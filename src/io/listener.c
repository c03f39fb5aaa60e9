/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include "io/port_owner_priv.h"
#include "io/stream_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
    ACCEPTS_PER_TURN = 64, /* so that a rush of connections leaves time for those that are there */
    PAUSE_MS = 100,
    PEER_TEXT_MAX = INET6_ADDRSTRLEN,
};

struct listener {
    struct loop *loop;
    int fd; /* owned; -1 once freed */
    struct watch *watch;
    struct timer pause; /* armed while accepting rests for want of descriptors */
    listener_accept_cb *on_accept;
    listener_starved_cb *on_starved; /* NULL: nobody wants to know */
    void *ctx;
    char *path;        /* owned; unix socket's file, NULL with TCP */
    dev_t path_device; /* what the file was when it was made, so that no successor's is removed */
    ino_t path_inode;
};

static void peer_text(const struct sockaddr_storage *peer, char text[PEER_TEXT_MAX])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    snprintf(text, PEER_TEXT_MAX, "unix");
    if (peer->ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, text, PEER_TEXT_MAX);
    else if (peer->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, PEER_TEXT_MAX);
    else if (peer->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, text, PEER_TEXT_MAX);
}

static int64_t peer_uid(int fd)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 ? (int64_t)cred.uid : -1;
}

static void hand_over(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
    char text[PEER_TEXT_MAX];
    peer_text(peer, text);
    listener->on_accept(listener, fd, text, listener->path ? peer_uid(fd) : -1, listener->ctx);
}

/* The connection that can't be taken stays where it is; looking at it again at once is no use. */
static void pause_accepting(struct listener *listener, int code)
{
    watch_set(listener->watch, 0);
    timer_start(&listener->pause, PAUSE_MS);
    if (listener->on_starved)
        listener->on_starved(listener, code, listener->ctx);
}

void listener_set_on_starved(struct listener *listener, listener_starved_cb *on_starved)
{
    listener->on_starved = on_starved;
}

void listener_resume(struct listener *listener)
{
    if (!timer_is_armed(&listener->pause))
        return;
    timer_stop(&listener->pause);
    watch_set(listener->watch, WATCH_READ);
}

/* The kernel looks for a descriptor before it looks for a connection. */
static bool has_waiting(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, 0) > 0;
}

/* Whether the next connection may be asked for at once. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    int fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        hand_over(listener, fd, &peer);
        return listener->fd >= 0;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        int code = -errno;
        if (has_waiting(listener->fd))
            pause_accepting(listener, code);
        return false;
    }
    /* Anything but "none left" concerns that one connection. */
    return errno != EAGAIN;
}

static void on_ready(struct watch *watch, unsigned events, void *ctx)
{
    (void)watch, (void)events;
    struct listener *listener = ctx;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
}

static void on_pause_over(struct timer *timer, void *ctx)
{
    (void)timer;
    struct listener *listener = ctx;
    watch_set(listener->watch, WATCH_READ);
}

static struct listener *listener_new(struct loop *loop, int fd, listener_accept_cb *on_accept,
                                     void *ctx)
{
    struct listener *listener = mem_alloc(sizeof *listener);
    *listener = (struct listener){.loop = loop, .fd = fd, .on_accept = on_accept, .ctx = ctx};
    timer_init(&listener->pause, loop, on_pause_over, listener);
    listener->watch = watch_new(loop, fd, on_ready, listener);
    watch_set(listener->watch, WATCH_READ);
    return listener;
}

struct tcp_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

static int parse_address(const char *host, unsigned port, struct tcp_address *ret, struct err *err)
{
    struct tcp_address address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.storage;
    if (port > UINT16_MAX)
        return err_set(err, -EINVAL, "port must be 0-65535, not %u", port);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        address.size = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        address.size = sizeof *v6;
    } else {
        return err_set(err, -EINVAL, "can't listen on \"%s\": not a numeric address", host);
    }
    *ret = address;
    return 0;
}

static void set_option(int fd, int level, int option, int value)
{
    /* These are conveniences; where one is refused, bind() or listen() still decides. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

static int bind_failure(const char *host, unsigned port, int fault, struct err *err)
{
    struct port_owner owner;
    if (fault != EADDRINUSE)
        return err_errno(err, fault, "can't listen on %s port %u", host, port);
    if (!port_owner_find(port, &owner))
        return err_set(err, -EADDRINUSE,
                       "port %u is in use by another program; choose another port", port);
    return err_set(err, -EADDRINUSE,
                   "port %u is in use by pid %d (%s); stop it or choose another port", port,
                   (int)owner.pid, owner.program);
}

static unsigned bound_port(int fd)
{
    struct tcp_address address = {.size = sizeof address.storage};
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.size) < 0)
        return 0;
    /* The port stands at the same place in both families. */
    return ntohs(((struct sockaddr_in *)&address.storage)->sin_port);
}

int listener_tcp(struct loop *loop, const char *host, unsigned port, bool reuse_port,
                 listener_accept_cb *on_accept, void *ctx, struct listener **ret,
                 unsigned *ret_port, struct err *err)
{
    struct tcp_address address;
    int rc = parse_address(host, port, &address, err);
    if (rc < 0)
        return rc;
    auto_close int fd =
        socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "can't listen on %s port %u", host, port);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    stream_set_accepted_options(fd); /* connections inherit them: six system calls less for each */
    if (address.storage.ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, (struct sockaddr *)&address.storage, address.size) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return bind_failure(host, port, errno, err);
    if (ret_port)
        *ret_port = bound_port(fd);
    *ret = listener_new(loop, fd, on_accept, ctx);
    fd = -1; /* the listener's now */
    return 0;
}

/* Whether somebody serves the socket file; if not, it may be replaced. */
static int check_served(const char *path, const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "can't look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EADDRINUSE, "%s exists and is no socket; move it away", path);
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "can't open a socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED)
        return 0;
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || cred.pid <= 0)
        return err_set(err, -EADDRINUSE, "%s is in use by another program", path);
    char program[64];
    port_owner_name(cred.pid, program, sizeof program);
    return err_set(err, -EADDRINUSE, "%s is in use by pid %d (%s)", path, (int)cred.pid, program);
}

static int bind_unix(int fd, const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", path,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    int rc = check_served(path, &address, err);
    if (rc < 0)
        return rc;
    (void)unlink(path);
    /* Linux gives the file the mode of the socket, so there is no moment with a wider one. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return err_errno(err, errno, "can't listen on %s", path);
    return 0;
}

int listener_unix(struct loop *loop, const char *path, listener_accept_cb *on_accept, void *ctx,
                  struct listener **ret, struct err *err)
{
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "can't open a socket");
    int rc = bind_unix(fd, path, err);
    if (rc < 0)
        return rc;
    struct listener *listener = listener_new(loop, fd, on_accept, ctx);
    fd = -1; /* the listener's now */
    listener->path = mem_strdup(path);
    struct stat st;
    if (lstat(path, &st) == 0) {
        listener->path_device = st.st_dev;
        listener->path_inode = st.st_ino;
    }
    *ret = listener;
    return 0;
}

static void remove_file(const struct listener *listener)
{
    struct stat st;
    if (lstat(listener->path, &st) == 0 && st.st_dev == listener->path_device &&
        st.st_ino == listener->path_inode)
        (void)unlink(listener->path);
}

static void release(void *arg)
{
    struct listener *listener = arg;
    free(listener->path);
    free(listener);
}

void listener_free(struct listener *listener)
{
    if (!listener || listener->fd < 0)
        return;
    if (listener->path)
        remove_file(listener);
    timer_stop(&listener->pause);
    watch_free(TAKE(listener->watch));
    close(listener->fd);
    listener->fd = -1;
    /* on_ready() may be on the stack. */
    loop_defer(listener->loop, release, listener);
}
