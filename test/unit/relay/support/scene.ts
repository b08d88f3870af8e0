import { expect, onTestFinished } from 'vitest';
import { narSample } from './nar-sample.ts';
import type { Script } from './scripted-source.ts';
import { type Got, temporaryCache, World, type WorldOptions } from './world.ts';

/** A NAR that is larger than what is held back, and than the window … */
export const large = narSample('large', 300_000);
/** … and one that is held back until it is verified. */
export const small = narSample('small', 40_000);

export interface SceneOptions extends Partial<WorldOptions> {
  /** Whether there is a cache directory; there is by default. */
  readonly disk?: boolean;
}

/** A world with the large NAR and a cache directory, which end with the test. */
export async function scene({ disk = true, ...options }: SceneOptions = {}): Promise<World> {
  const stored = disk && options.cache === undefined ? await temporaryCache() : undefined;
  const world = new World({ sample: large, ...(stored && { cache: stored.cache }), ...options });
  onTestFinished(async () => {
    await world.stop();
    await stored?.close();
  });
  return world;
}

/** A cache on the LAN that the operator named, … */
export const lan = (script: Partial<Script> = {}) => ({ id: 'lan', reach: 'lan', ...script }) as const;
/** … one that was discovered, … */
export const peer = (script: Partial<Script> = {}) =>
  ({ id: 'peer', reach: 'lan', configured: false, ...script }) as const;
/** … and one behind the slow link. */
export const upstream = (script: Partial<Script> = {}) => ({ id: 'upstream', ...script }) as const;

export function expectWhole(got: Got, nar = large.nar): void {
  expect(got.how, String(got.error)).toBe('complete');
  expect(got.bytes.equals(nar)).toBe(true);
}

/** The bytes with one bit turned over, in the middle unless said otherwise. */
export function flipped(bytes: Buffer, at = bytes.length >> 1): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
