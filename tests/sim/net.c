/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/net.h"

#include "http/lines.h"
#include "sim/world.h"

/* One line of a stream on its way. */
struct line {
    struct list_node node;
    uint64_t stream;
    char *text; /* owned */
};

static void free_line(struct line *line)
{
    list_remove(&line->node);
    free(line->text);
    free(line);
}

void net_init(struct sim_link *link)
{
    list_init(&link->lines);
}

void net_fini(struct sim_link *link)
{
    LIST_FOR_EACH(struct line, line, &link->lines, node)
        free_line(line);
}

static bool is_cut(const struct sim_node *node)
{
    return node->sim->events.now_ms < node->link.partition_until_ms;
}

static int64_t delay(struct sim *sim)
{
    bool is_late = rng_chance(&sim->rng, sim->faults.mix[FAULT_MESSAGE_LATE]);
    return is_late ? rng_between(&sim->rng, 50, 8000) : rng_between(&sim->rng, 1, 20);
}

static bool is_lost(struct sim_node *node)
{
    struct sim *sim = node->sim;
    return is_cut(node) || rng_chance(&sim->rng, sim->faults.mix[FAULT_MESSAGE_LOST]);
}

static void on_stream_end(struct sim_event *event)
{
    sim_node_stream_ended(event->ctx, event->tag);
}

/* Nothing comes on the stream any more; the worker finds out after a while. */
static void kill_stream(struct sim_node *node, uint64_t stream, int64_t after_ms)
{
    if (stream > node->link.dead_stream)
        node->link.dead_stream = stream;
    events_add(&node->sim->events, after_ms, on_stream_end, node)->tag = stream;
}

/* ---- requests ---- */

static void on_request(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (!is_cut(node))
        sim_control_request(node->sim, node, event->number, event->tag, event);
    else if (event->number == REQUEST_STREAM)
        kill_stream(node, event->tag, LINES_SILENCE_MS);
}

static void send_copy(struct sim_node *node, enum request_kind kind, const char *bearer,
                      const char *text)
{
    struct sim *sim = node->sim;
    struct sim_event *event = events_add(&sim->events, delay(sim), on_request, node);
    event->number = kind;
    event->tag = node->link.last_request;
    event->bearer = mem_strdup(bearer);
    event->text = mem_strdup(text);
}

uint64_t net_request(struct sim_node *node, enum request_kind kind, const char *bearer,
                     const char *text)
{
    struct sim *sim = node->sim;
    uint64_t number = ++node->link.last_request;
    if (is_lost(node)) {
        if (kind == REQUEST_STREAM)
            kill_stream(node, number, LINES_SILENCE_MS);
        return number;
    }
    send_copy(node, kind, bearer, text);
    if (kind != REQUEST_STREAM && rng_chance(&sim->rng, sim->faults.mix[FAULT_MESSAGE_TWICE]))
        send_copy(node, kind, bearer, text);
    return number;
}

static void on_reply(struct sim_event *event)
{
    sim_node_reply(event->ctx, event->tag, (unsigned)event->number, event->text);
}

void net_reply(struct sim_node *node, uint64_t request, unsigned status, const char *text)
{
    if (is_lost(node)) {
        if (request == node->stream)
            kill_stream(node, request, LINES_SILENCE_MS);
        return;
    }
    struct sim_event *event = events_add(&node->sim->events, delay(node->sim), on_reply, node);
    event->tag = request;
    event->number = status;
    event->text = mem_strdup(text);
}

/* ---- streams ---- */

bool net_is_open(const struct sim_node *node, uint64_t stream)
{
    return stream > node->link.dead_stream && !is_cut(node);
}

/* Every event lets the oldest line arrive, whichever it was made for: that keeps their order. */
static void on_line(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_link *link = &node->link;
    struct events *events = &node->sim->events;
    if (is_cut(node)) {
        events_add(events, link->partition_until_ms - events->now_ms, on_line, node);
        return;
    }
    struct line *line = LIST_FIRST(&link->lines, struct line, node);
    list_remove(&line->node);
    if (line->stream > link->dead_stream)
        sim_node_line(node, line->stream, line->text);
    free_line(line);
}

void net_line(struct sim_node *node, uint64_t stream, const char *text)
{
    struct sim *sim = node->sim;
    if (stream <= node->link.dead_stream)
        return;
    if (rng_chance(&sim->rng, sim->faults.mix[FAULT_MESSAGE_LOST])) {
        kill_stream(node, stream, LINES_SILENCE_MS);
        return;
    }
    struct line *line = mem_alloc(sizeof *line);
    line->stream = stream;
    line->text = mem_strdup(text);
    list_add_tail(&node->link.lines, &line->node);
    events_add(&sim->events, delay(sim), on_line, node);
}

void net_close(struct sim_node *node, uint64_t stream)
{
    bool is_told = !is_cut(node);
    int64_t after_ms = is_told ? rng_between(&node->sim->rng, 1, 500) : LINES_SILENCE_MS;
    kill_stream(node, stream, after_ms);
}

void net_partition(struct sim_node *node, int64_t duration_ms)
{
    struct sim_link *link = &node->link;
    int64_t until_ms = node->sim->events.now_ms + duration_ms;
    if (until_ms > link->partition_until_ms)
        link->partition_until_ms = until_ms;
    trace_note(&node->sim->trace, "net: %s is cut off for %lld ms", node->name,
               (long long)duration_ms);
    if (duration_ms >= LINES_SILENCE_MS)
        kill_stream(node, node->stream, LINES_SILENCE_MS);
}
