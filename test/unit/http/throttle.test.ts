import { setImmediate as settled } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Throttle } from '../../../agent/http/throttle.ts';
import { FakeTime } from '../cache/support/fake-time.ts';

const chunk = new Uint8Array(256 * 1024);
const kib = 1024;

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield chunk;
}

/** Clients behind one throttle, on time that is turned by hand. */
function behind(rate: number) {
  const time = new FakeTime();
  const throttle = new Throttle(rate, time);
  return {
    time,
    /** Takes as fast as it can; tells how many bytes it has. */
    take(client: string, gone = new AbortController().signal): { bytes: number; ended: boolean } {
      const taken = { bytes: 0, ended: false };
      void (async () => {
        for await (const { length } of throttle.pace(client, endless(), gone)) taken.bytes += length;
        taken.ended = true;
      })();
      return taken;
    },
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += 10) {
        time.pass(10);
        await settled();
      }
    },
  };
}

describe('a throttle', () => {
  it('lets no more through than its rate, after a burst of one second', async () => {
    const { take, pass } = behind(100 * kib);
    const taken = take('a');
    await pass(10_000);
    expect(taken.bytes).toBeGreaterThanOrEqual(1_090 * kib);
    expect(taken.bytes).toBeLessThanOrEqual(1_100 * kib + 32 * kib);
  });

  it('saves up no more than that burst', async () => {
    const { take, pass } = behind(100 * kib);
    await pass(60_000);
    const taken = take('a');
    await pass(1_000);
    expect(taken.bytes).toBeLessThanOrEqual(200 * kib + 32 * kib);
  });

  it('gives each client the same, however many transfers it runs', async () => {
    const { take, pass } = behind(100 * kib);
    const greedy = Array.from({ length: 16 }, () => take('greedy'));
    await pass(2_000);
    const modest = take('modest');
    const before = greedy.reduce((sum, { bytes }) => sum + bytes, 0);
    await pass(20_000);
    const got = greedy.reduce((sum, { bytes }) => sum + bytes, 0) - before;
    expect(modest.bytes / got).toBeGreaterThan(0.9);
    expect(modest.bytes / got).toBeLessThan(1.1);
    expect(Math.min(...greedy.map(({ bytes }) => bytes))).toBeGreaterThan(0);
  });

  it('gives all to the one who is there', async () => {
    const { take, pass } = behind(100 * kib);
    take('slept and left');
    const taken = take('b');
    await pass(1_000);
    const before = taken.bytes;
    await pass(10_000);
    expect(taken.bytes - before).toBeGreaterThan(450 * kib);
  });

  it('keeps nothing for those who are gone, and lets them go', async () => {
    const { take, pass } = behind(100 * kib);
    const leaving = new AbortController();
    const gone = Array.from({ length: 16 }, (_, n) => take(`gone ${n}`, leaving.signal));
    await pass(2_000);
    leaving.abort();
    const left = gone.map(({ bytes }) => bytes);
    const taken = take('stays');
    await pass(10_000);
    expect(gone.map(({ bytes }) => bytes)).toEqual(left);
    expect(gone.every(({ ended }) => ended)).toBe(true);
    expect(taken.bytes).toBeGreaterThanOrEqual(960 * kib);
  });

  it('with a rate of 0 holds nothing back and leaves the chunks whole', async () => {
    const throttle = new Throttle(0, new FakeTime());
    const chunks = throttle.pace('a', endless(), new AbortController().signal);
    for (let n = 0; n < 100; n += 1) expect((await chunks.next()).value).toBe(chunk);
    await chunks.return(undefined);
  });
});
