/** What a timer of Node can wait at most, in milliseconds; a longer one fires at once, again and again. */
const longest = 2 ** 31 - 1;

/**
 * Calls a function every interval, however long that is, for as long as something else keeps the process running.
 * @param interval milliseconds, at least 1
 */
export function setLongInterval(callback: () => void, interval: number): { close(): void } {
  let timer: NodeJS.Timeout;
  const wait = (rest: number) => {
    const step = Math.min(rest, longest);
    timer = setTimeout(() => {
      if (rest > step) return wait(rest - step);
      // Before the call, which may be what closes it.
      wait(interval);
      callback();
    }, step).unref();
  };
  wait(interval);
  return {
    close: () => clearTimeout(timer),
  };
}
