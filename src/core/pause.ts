/** Resolves after `delayMs`. For commands that poll; the data path waits by its TimerWheel. */
export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
