// SPDX-License-Identifier: Apache-2.0
/*
 * The feed for all tabs of this browser. A tab says {subscribe: TOPICS}, {retry} or {leave}; what
 * it is told are feed.ts's messages. Tabs that vanish without a word are found by a lock that each
 * holds for as long as it lives.
 */
import { Feed, type Message } from "./feed.js";

export type Ask = { subscribe: string; lock: string } | { retry: true } | { leave: true };

const feeds = new Map<string, Feed>();

function feedOf(topics: string): Feed {
  let feed = feeds.get(topics);
  if (!feed) feeds.set(topics, (feed = new Feed(topics)));
  return feed;
}

function serve(port: MessagePort): void {
  let feed: Feed | undefined;
  let leave: (() => void) | undefined;
  const end = () => {
    leave?.();
    leave = undefined;
  };
  port.onmessage = (event: MessageEvent<Ask>) => {
    const ask = event.data;
    if ("subscribe" in ask) {
      end();
      feed = feedOf(ask.subscribe);
      leave = feed.subscribe((message: Message) => port.postMessage(message));
      void navigator.locks.request(ask.lock, end);
    } else if ("retry" in ask) feed?.retry();
    else end();
  };
}

(globalThis as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0];
  if (port) serve(port);
};
