import { describe, expect, test } from 'vitest';
import type { HashPart, StorePath } from '../../../agent/nix/store-path.ts';
import { FetchAhead } from '../../../agent/relay/fetch-ahead.ts';
import { KnownPath } from '../../../agent/relay/known-path.ts';
import { type Sample, signedSample } from '../source/support/cache-files.ts';
import { ManualClock, turn } from '../source/support/manual-clock.ts';
import { having, type LookupScene, lookupScene } from './support/lookup-scene.ts';

/** Paths of an upstream, and what was fetched ahead of Nix; each fetch goes on until it is let end. */
class World {
  readonly clock = new ManualClock();
  readonly inStore = new Set<string>();
  readonly fetched: HashPart[] = [];
  /** NARs on their way for Nix itself. */
  nixHas = 0;
  readonly ahead = new FetchAhead({
    clock: this.clock,
    running: () => this.nixHas + this.#ends.length,
    inStore: async ({ base }: StorePath) => this.inStore.has(base),
    fetch: (known) => {
      this.fetched.push(known.hashPart);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#ends.push(resolve);
      return promise;
    },
  });
  readonly #ends: (() => void)[] = [];
  readonly #scene: LookupScene;

  constructor(scene: LookupScene) {
    this.#scene = scene;
  }

  /** A path that an upstream has, or only a cache nearby. */
  async path(
    references: readonly KnownPath[] = [],
    where: 'upstream' | 'peer' = 'upstream',
  ): Promise<KnownPath> {
    const path: Sample = signedSample(this.#scene.key, { references });
    const { source } = await this.#scene[where](path.narinfo.storePath.hashPart, having(path));
    const known = new KnownPath({ narinfo: path.narinfo, by: 'test' }, 0);
    known.offer({ source, narinfo: path.narinfo }, 0);
    return known;
  }

  async asks(...paths: readonly KnownPath[]): Promise<void> {
    for (const path of paths) this.ahead.asked(path);
    await turn();
  }

  async oneEnds(): Promise<void> {
    this.#ends.shift()?.();
    await turn();
  }
}

async function world(): Promise<World> {
  return new World(await lookupScene());
}

/** Two leaves, what refers to both, and the top. */
async function tree(w: World) {
  const [left, right] = [await w.path(), await w.path()];
  const middle = await w.path([left, right]);
  const top = await w.path([middle]);
  for (const path of [top, middle, left, right]) w.ahead.told(path);
  return { left, right, middle, top };
}

describe('what Nix will ask for next', () => {
  test('comes once the NARs of all that it refers to were asked for, and so on up to the top', async () => {
    const w = await world();
    const { left, right, middle, top } = await tree(w);
    await w.asks(left);
    expect(w.fetched).toEqual([]);
    await w.asks(right);
    expect(w.fetched).toEqual([middle.hashPart, top.hashPart]);
  });

  test('comes when the rest is in the store already', async () => {
    const w = await world();
    const { left, right, middle, top } = await tree(w);
    w.inStore.add(right.narinfo.storePath.base);
    await w.asks(left);
    expect(w.fetched).toEqual([middle.hashPart, top.hashPart]);
  });

  test('comes once, and not when Nix has asked for it itself', async () => {
    const w = await world();
    const { left, right, middle, top } = await tree(w);
    await w.asks(left, right, middle);
    await w.asks(left, right, middle);
    expect(w.fetched).toEqual([top.hashPart]);
  });

  test('does not come while Nix keeps the link busy, but when it has less to do', async () => {
    const w = await world();
    const { left, right, middle, top } = await tree(w);
    w.nixHas = 16;
    await w.asks(left, right);
    expect(w.fetched).toEqual([]);
    w.nixHas = 15;
    await w.asks(right);
    expect(w.fetched).toEqual([middle.hashPart]);
    await w.oneEnds();
    expect(w.fetched).toEqual([middle.hashPart, top.hashPart]);
  });

  test('does not come when Nix was not told of it, or long ago', async () => {
    const w = await world();
    const { left, right } = await tree(w);
    await w.clock.pass(120_001);
    await w.asks(left, right);
    expect(w.fetched).toEqual([]);
  });

  test('does not come from a cache nearby, which gives it at once', async () => {
    const w = await world();
    const leaf = await w.path();
    const near = await w.path([leaf], 'peer');
    w.ahead.told(near);
    w.ahead.told(leaf);
    await w.asks(leaf);
    expect(w.fetched).toEqual([]);
  });

  test('does not come when it is in the cache directory', async () => {
    const w = await world();
    const { left, right, middle } = await tree(w);
    middle.stored = middle.narinfo;
    await w.asks(left, right);
    expect(w.fetched).toEqual([]);
  });

  test('nothing comes for who only looks around', async () => {
    const w = await world();
    await tree(w);
    await turn();
    expect(w.fetched).toEqual([]);
  });

  test('is forgotten with the network', async () => {
    const w = await world();
    const { left, right } = await tree(w);
    w.ahead.reset();
    await w.asks(left, right);
    expect(w.fetched).toEqual([]);
  });

  test('may refer to itself', async () => {
    const w = await world();
    const leaf = await w.path();
    const self = await w.path([leaf]);
    const own = new KnownPath(
      {
        narinfo: { ...self.narinfo, references: [...self.narinfo.references, self.narinfo.storePath] },
        by: 'test',
      },
      0,
    );
    for (const offer of self.offers) own.offer(offer, 0);
    w.ahead.told(own);
    w.ahead.told(leaf);
    await w.asks(leaf);
    expect(w.fetched).toEqual([own.hashPart]);
  });
});
