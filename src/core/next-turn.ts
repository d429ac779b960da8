/** Something that will happen soon. Cancelling it after it happened does nothing. */
export interface NextTurn {
  cancel(): void;
}

/**
 * Calls `callback` once everything the sockets of this turn already had was read. What is ready now is read by the next
 * poll of the event loop, which lies between the first `setImmediate` and the second.
 */
export function afterNextPoll(callback: () => void): NextTurn {
  let pending = setImmediate(() => {
    pending = setImmediate(callback);
  });
  return { cancel: () => clearImmediate(pending) };
}
