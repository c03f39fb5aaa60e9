/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/node.h"

#include "base/file.h"
#include "base/netns.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum { NODE_FILE_MAX = 256 };

/* ---- identity ---- */

static int write_line(const char *path, const char *line, struct err *err)
{
    auto_free char *text = mem_printf("%s\n", line);
    return file_write(path, str_of(text), 0644, err);
}

int node_read_uuid(const char *data_dir, char **ret, struct err *err)
{
    auto_free char *path = mem_printf("%s/worker_uuid", data_dir);
    auto_free char *uuid = NULL;
    int rc = file_read_line(path, NODE_FILE_MAX, &uuid, err);
    if (rc < 0)
        return rc;
    if (!*uuid)
        return err_set(err, ERR_INVALID, "%s is empty; remove it to make a new identity", path);
    *ret = TAKE(uuid);
    return 0;
}

static int load_uuid(const char *data_dir, char **ret, struct err *err)
{
    int rc = node_read_uuid(data_dir, ret, err);
    if (rc != -ENOENT)
        return rc;
    auto_free char *path = mem_printf("%s/worker_uuid", data_dir);
    auto_free char *uuid = random_uuid();
    rc = write_line(path, uuid, err);
    if (rc == 0)
        *ret = TAKE(uuid);
    return rc;
}

static char *name_path(const char *data_dir)
{
    return mem_printf("%s/worker_name", data_dir);
}

static void choose_name(const struct config *config, struct node *node)
{
    auto_free char *path = name_path(config->data_dir);
    auto_free char *saved = NULL;
    node->name_is_configured = config->worker_name != NULL;
    bool is_saved = file_read_line(path, NODE_FILE_MAX, &saved, NULL) == 0 && *saved;
    if (config->worker_name)
        node->name = mem_strdup(config->worker_name);
    else
        node->name = mem_strdup(is_saved ? saved : node->hostname);
    node->name_is_saved = is_saved && strcmp(saved, node->name) == 0;
}

int node_init(const struct config *config, struct node *ret, struct err *err)
{
    struct node node = {0};
    int rc = file_make_dirs(config->data_dir, 0755, err);
    if (rc == 0)
        rc = load_uuid(config->data_dir, &node.uuid, err);
    if (rc < 0)
        return rc;
    char hostname[HOST_NAME_MAX + 1] = "localhost";
    (void)gethostname(hostname, sizeof hostname - 1);
    node.hostname = mem_strdup(hostname);
    node.netns_id = netns_id();
    node.cluster_id = mem_strdup("");
    node.ip = mem_strdup(config->worker_ip);
    choose_name(config, &node);
    *ret = node;
    return 0;
}

void node_fini(struct node *node)
{
    free(node->uuid);
    free(node->name);
    free(node->hostname);
    free(node->netns_id);
    free(node->ip);
    free(node->cluster_id);
    *node = (struct node){0};
}

int node_set_name(struct node *node, const char *data_dir, const char *name, struct err *err)
{
    if (node->name_is_saved && strcmp(node->name, name) == 0)
        return 0;
    mem_replace(&node->name, name);
    auto_free char *path = name_path(data_dir);
    int rc = write_line(path, name, err);
    node->name_is_saved = rc == 0;
    return rc;
}

/* ---- addresses ---- */

int node_server_target(const struct config *config, struct http_target *ret, struct err *err)
{
    if (config->server_url)
        return http_target_parse(config->server_url, ret, err);
    const char *host = config->host;
    bool is_wildcard = !*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    struct http_target target = {.port = (unsigned)config->port};
    if (config->ssl_certfile) {
        /* Its certificate is for another name than this machine's address. */
        auto_free char *url = config_local_url(config);
        int rc = http_target_parse(url, &target, err);
        if (rc < 0)
            return rc;
    }
    snprintf(target.host, sizeof target.host, "%s", is_wildcard ? "127.0.0.1" : host);
    *ret = target;
    return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static char *numeric_text(const struct sockaddr *address, socklen_t size)
{
    char text[NI_MAXHOST];
    if (getnameinfo(address, size, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
        return NULL;
    return mem_strdup(text);
}

/* What getifaddrs() lists first that others can reach. */
static char *first_interface_address(void)
{
    struct ifaddrs *all = NULL;
    char *text = NULL;
    if (getifaddrs(&all) < 0)
        return NULL;
    for (const struct ifaddrs *at = all; at && !text; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || !(at->ifa_flags & IFF_UP))
            continue;
        const struct sockaddr_in *v4 = (const void *)at->ifa_addr;
        bool is_link_local = (ntohl(v4->sin_addr.s_addr) >> 16) == 0xa9fe; /* 169.254/16 */
        if (!is_loopback(at->ifa_addr) && !is_link_local)
            text = numeric_text(at->ifa_addr, sizeof *v4);
    }
    freeifaddrs(all);
    return text;
}

/* connect() on a datagram socket sends nothing: it only makes the kernel choose the own address. */
static char *address_towards(const struct addrinfo *server)
{
    auto_close int fd = socket(server->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (fd < 0 || connect(fd, server->ai_addr, server->ai_addrlen) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &size) < 0)
        return NULL;
    if (!is_loopback((const struct sockaddr *)&own))
        return numeric_text((const struct sockaddr *)&own, size);
    char *text = first_interface_address();
    return text ? text : mem_strdup("127.0.0.1");
}

char *node_find_ip(const char *host, unsigned port, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *all = NULL;
    char port_text[16];
    snprintf(port_text, sizeof port_text, "%u", port);
    int rc = getaddrinfo(host, port_text, &hints, &all);
    if (rc != 0) {
        err_set(err, ERR_UNAVAILABLE, "server's host %s: %s", host, gai_strerror(rc));
        return NULL;
    }
    char *text = NULL;
    for (const struct addrinfo *at = all; at && !text; at = at->ai_next)
        text = address_towards(at);
    freeaddrinfo(all);
    if (!text)
        err_set(err, ERR_UNAVAILABLE, "no way to the server's host %s from here", host);
    return text;
}
