import fc from 'fast-check';
import { expect } from 'vitest';
import { representations } from './nar-sample.ts';
import { play, type Result } from './play.ts';
import {
  another,
  hasTrustedLiar,
  idOf,
  isTrusted,
  type Situation,
  sampleOf,
  situation,
} from './situation.ts';
import { smallLimits, type World } from './world.ts';

/** In each of two files, which run beside each other. */
const runs = Number(process.env['NARROWCAST_MODEL_RUNS'] ?? 1_000);
const seed = Number(process.env['NARROWCAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Lets random situations that are `like` this happen, and checks each: a client gets the right bytes or is cut, nothing hangs, and
 * waste is bounded.
 */
export async function holdsFor(name: string, like: (s: Situation) => boolean): Promise<void> {
  process.stdout.write(`${name}: ${runs} cases, NARROWCAST_SEED=${seed}\n`);
  await fc.assert(
    fc.asyncProperty(situation.filter(like), async (s) => {
      const { world, results, close } = await play(s);
      try {
        for (const result of results) check(s, result);
        checkWaste(s, world, results);
      } finally {
        await world.stop();
        await close();
      }
    }),
    { numRuns: runs, seed },
  );
}

function check(s: Situation, { from, bytes, last, tries, stays }: Result): void {
  const right = sampleOf(s).nar.subarray(from, from + bytes.length);
  if (last.how === 'complete') {
    expect(bytes.equals(sampleOf(s).nar.subarray(from))).toBe(true);
  }
  // Only what the operator named can have given wrong bytes, and then the client is cut.
  if (!hasTrustedLiar(s)) expect(bytes.equals(right)).toBe(true);
  if (sampleOf(s).nar.length <= smallLimits.holdUpTo && last.first < smallLimits.holdFor)
    expect(bytes.equals(right)).toBe(true);
  // No client is cut off by a source while another has the NAR.
  if (s.saved && stays && !hasTrustedLiar(s) && s.disk === Number.POSITIVE_INFINITY) {
    expect([last.how, String(last.error ?? '')]).toEqual(['complete', '']);
    expect(tries).toBe(1);
  }
}

function checkWaste(s: Situation, world: World, results: readonly Result[]): void {
  const sources = [...world.sources.values()];
  const total = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  const [first] = s.sources;
  const alike =
    first !== undefined &&
    !s.saved &&
    s.disk === Number.POSITIVE_INFINITY &&
    s.earlier === undefined &&
    s.stored === undefined &&
    s.sources.every(
      (spec) =>
        isTrusted(spec) &&
        spec.lie === undefined &&
        !spec.nameless &&
        spec.captive === undefined &&
        spec.ranges === 'honoured' &&
        spec.representation === first.representation,
    );
  // I5: sources with the same file give every byte of it once, all of them together.
  if (alike) expect(total).toBeLessThanOrEqual(sampleOf(s).files[first.representation].length);

  const largest = Math.max(
    ...representations.map((name) => sampleOf(s).files[name].length),
    another.nar.length,
  );
  const transfers = results.reduce((sum, { tries }) => sum + tries, 0);
  const anew = 6 + 2 * s.sources.filter((spec) => spec.lie !== undefined).length;
  const rangeless = s.sources.reduce(
    (sum, { ranges }, n) => sum + (ranges === 'ignored' ? (world.sources.get(idOf(n))?.bytes ?? 0) : 0),
    0,
  );
  expect(total - rangeless).toBeLessThanOrEqual(largest * anew * transfers);
}
