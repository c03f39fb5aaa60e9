// SPDX-License-Identifier: Apache-2.0
/*
 * Does something again and again while the page is seen. Used where there is no stream of changes.
 *
 *     $effect(() => repeat(load, 10_000));
 *
 * Never two at a time: the pause begins when it has ended. At once when the page is seen again.
 */
export function repeat(run: () => Promise<void>, pause_ms: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;
  let isRunning = false;
  const isHidden = () => document.visibilityState === "hidden";

  async function go(): Promise<void> {
    if (isRunning || isStopped || isHidden()) return;
    isRunning = true;
    clearTimeout(timer);
    try {
      await run();
    } finally {
      isRunning = false;
      if (!isStopped) timer = setTimeout(() => void go(), pause_ms);
    }
  }
  const onVisible = () => void go();
  document.addEventListener("visibilitychange", onVisible);
  void go();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}
