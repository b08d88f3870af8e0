import { setImmediate as yieldToLoop } from 'node:timers/promises';

/** For how long such work keeps the event loop to itself, in ms. */
const turn = 5;

/** Does the work for each until it says `'enough'`, and gives way to others as soon as its turn is over. */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => unknown): Promise<void> {
  let end = performance.now() + turn;
  for (const item of items) {
    if (work(item) === 'enough') return;
    if (performance.now() < end) continue;
    await yieldToLoop();
    end = performance.now() + turn;
  }
}
