import type { Clock } from './clock.ts';

/** What became of asking a peer whether it is a cache for us. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * Asks the peer at a base URL, such as `http://192.168.0.42:6271/`, whether it is a cache for us. Discovery knows
 * nothing of caches, so its user says how. A rejection counts as `ok: false`, and so does an answer after `signal`
 * fired.
 */
export type Verify = (url: string, signal: AbortSignal) => Promise<Verdict>;

/** A verdict and the ms that it took. */
export type TimedVerdict = Verdict & { readonly took: number };

const verifyWithin = 2_000; // ms; a peer on the LAN that needs longer is no help
const maxAtOnce = 8;

/** Puts bounds on `verify`: 8 at once, 2 s each. What it returns never rejects. */
export function boundVerify(
  verify: Verify,
  clock: Clock,
): (url: string, signal: AbortSignal) => Promise<TimedVerdict> {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async (url, signal) => {
    if (running === maxAtOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    const verdict = await verifyOne(url, signal);
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
    return verdict;
  };

  function verifyOne(url: string, abandoned: AbortSignal): Promise<TimedVerdict> {
    const began = clock.now();
    const controller = new AbortController(); // AbortSignal.any would keep each signal for ever
    return new Promise((resolve) => {
      const cancel = clock.after(verifyWithin, giveUp);
      abandoned.addEventListener('abort', giveUp);
      if (abandoned.aborted) giveUp();
      else
        verify(url, controller.signal).then(settle, (error) =>
          settle({ ok: false, reason: messageOf(error) }),
        );

      function giveUp(): void {
        controller.abort();
        settle({ ok: false, reason: `no answer within ${verifyWithin / 1_000} s` });
      }

      function settle(verdict: Verdict): void {
        cancel();
        resolve({ ...verdict, took: clock.now() - began });
      }
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
