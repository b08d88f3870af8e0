import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { toBase32 } from '../../../agent/nix/base32.ts';
import type { HashPart, StorePath } from '../../../agent/nix/store-path.ts';
import { parseStoreBase } from '../../../agent/nix/store-path.ts';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { LookAhead } from '../../../agent/relay/look-ahead.ts';
import { type Sample, sample } from '../source/support/cache-files.ts';
import { ManualClock, turn } from '../source/support/manual-clock.ts';

function knownPath({ narinfo }: Pick<Sample, 'narinfo'>): KnownPath {
  return new KnownPath({ narinfo, by: 'test' }, 0);
}

/** Paths that refer to the given ones, and cost a turn to find. */
class World {
  readonly clock = new ManualClock();
  readonly asked: HashPart[] = [];
  readonly stored = new Set<string>();
  readonly #paths = new Map<HashPart, KnownPath>();
  readonly #gate: () => Promise<void>;
  atOnce = 0;
  mostAtOnce = 0;
  readonly ahead = new LookAhead({
    clock: this.clock,
    inStore: async ({ base }: StorePath) => this.stored.has(base),
    find: async (hashPart) => {
      this.asked.push(hashPart);
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
      await this.#gate();
      this.atOnce--;
      return this.#paths.get(hashPart);
    },
  });

  constructor(gate: () => Promise<void> = turn) {
    this.#gate = gate;
  }

  path(...references: KnownPath[]): KnownPath {
    const { narinfo } = sample();
    const known = knownPath({
      narinfo: { ...narinfo, references: references.map((one) => one.narinfo.storePath) },
    });
    this.#paths.set(known.hashPart, known);
    return known;
  }

  /** Resolves when nothing is asked any more. */
  async quiet(): Promise<void> {
    for (let asked = -1; asked !== this.asked.length || this.atOnce > 0; await turn()) {
      asked = this.asked.length;
      for (let i = 0; i < 5; i++) await turn();
    }
  }
}

/** A path with references to so many others that nobody has. */
function wide(count: number): KnownPath {
  const references = Array.from({ length: count }, () => parseStoreBase(`${toBase32(randomBytes(20))}-x`));
  return knownPath({ narinfo: { ...sample().narinfo, references } });
}

describe('looking ahead', () => {
  test('finds a whole closure, each path once', async () => {
    const world = new World();
    const leaf = world.path();
    const left = world.path(leaf);
    const right = world.path(leaf, left);
    const root = world.path(left, right);
    world.ahead.from(root);
    await world.quiet();
    expect(world.asked.toSorted()).toEqual([leaf, left, right].map(({ hashPart }) => hashPart).sort());
  });

  test('takes one round for each level of a closure', async () => {
    let rounds = 0;
    let open = Promise.withResolvers<void>();
    const world = new World(() => open.promise);
    let level = [world.path()];
    for (let depth = 0; depth < 4; depth++) {
      const below = level;
      level = [1, 2, 3].map(() => world.path(...below));
    }
    world.ahead.from(world.path(...level));
    for (;;) {
      await turn();
      if (world.atOnce === 0) break;
      rounds++;
      open.resolve();
      open = Promise.withResolvers();
    }
    expect(world.asked).toHaveLength(13);
    expect(rounds).toBe(5);
  });

  test('is not for paths that the store has, nor for what only they refer to', async () => {
    const world = new World();
    const leaf = world.path();
    const inStore = world.path(leaf);
    const other = world.path();
    world.stored.add(inStore.narinfo.storePath.base);
    world.ahead.from(world.path(inStore, other));
    await world.quiet();
    expect(world.asked).toEqual([other.hashPart]);
  });

  test('asks 256 at once', async () => {
    const world = new World();
    world.ahead.from(wide(400));
    await world.quiet();
    expect(world.asked).toHaveLength(400);
    expect(world.mostAtOnce).toBe(256);
  });

  test('is bounded', async () => {
    const world = new World();
    world.ahead.from(wide(20_000));
    await world.quiet();
    expect(world.asked).toHaveLength(8_192);
  });

  test('does not go round in circles, nor from a path to itself', async () => {
    const world = new World();
    const self = world.path();
    world.ahead.from(knownPath({ narinfo: { ...self.narinfo, references: [self.narinfo.storePath] } }));
    await world.quiet();
    expect(world.asked).toEqual([]);
  });

  test('is done once a minute for a path, and again afterwards', async () => {
    const world = new World();
    const leaf = world.path();
    const root = world.path(leaf);
    for (let i = 0; i < 3; i++) world.ahead.from(root);
    await world.quiet();
    await world.clock.pass(60_000);
    world.ahead.from(root);
    await world.quiet();
    expect(world.asked).toEqual([leaf.hashPart]);
    await world.clock.pass(1);
    world.ahead.from(root);
    await world.quiet();
    expect(world.asked).toEqual([leaf.hashPart, leaf.hashPart]);
  });

  test('follows a path that it only asked about before, once Nix is told of it', async () => {
    const world = new World();
    const leaf = world.path();
    const missing = knownPath({ narinfo: { ...sample().narinfo, references: [leaf.narinfo.storePath] } });
    world.ahead.from(world.path(missing));
    await world.quiet();
    expect(world.asked).toEqual([missing.hashPart]);
    world.ahead.from(missing);
    await world.quiet();
    expect(world.asked).toEqual([missing.hashPart, leaf.hashPart]);
  });

  test('begins anew on another network, and drops what waits', async () => {
    const open = Promise.withResolvers<void>();
    const world = new World(() => open.promise);
    const root = wide(400);
    world.ahead.from(root);
    await turn();
    expect(world.asked).toHaveLength(256);
    world.ahead.reset();
    open.resolve();
    await world.quiet();
    expect(world.asked).toHaveLength(256);
    world.ahead.from(root);
    await world.quiet();
    expect(world.asked).toHaveLength(656);
  });
});
