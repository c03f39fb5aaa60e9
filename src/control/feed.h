/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateways' feed: users, keys, sessions, models, endpoints, routes and spending, as a snapshot
 * and then deltas.
 *
 * The lines are described in ARCHITECTURE.md, "Protocols between the roles". A subscriber that
 * reads too slowly is cut off; it comes back and gets a snapshot. Control's thread.
 */
#pragma once

#include "control/control.h"
#include "http/server.h"

enum {
    FEED_HEARTBEAT_MS = 5000,
    FEED_QUEUE_MAX = 8 << 20, /* bytes that may wait for a subscriber, beside its snapshot */
};

/* Answers the exchange with the feed; it stays open until either side ends. */
void feed_subscribe(struct feed_hub *feed, struct http_exchange *ex);
