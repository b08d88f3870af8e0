import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from 'vitest';
import { asLookup, Resolver } from '../../../agent/source/resolver.ts';
import { faultOf } from './support/fault-of.ts';
import { httpSource } from './support/http-source.ts';
import { ManualClock, turn } from './support/manual-clock.ts';

/** Name resolution that answers when the test says so. */
class Names {
  readonly #queries: { host: string; answering: PromiseWithResolvers<LookupAddress[]> }[] = [];

  readonly resolve = (host: string): Promise<LookupAddress[]> => {
    const answering = Promise.withResolvers<LookupAddress[]>();
    this.#queries.push({ host, answering });
    return answering.promise;
  };

  /** The names asked for so far. */
  async asked(): Promise<string[]> {
    await turn();
    return this.#queries.map(({ host }) => host);
  }

  /** Answers the query number `n`, from 0. */
  async answer(n: number, ...addresses: string[]): Promise<void> {
    await turn();
    this.#queries[n]?.answering.resolve(addresses.map(asAddress));
    await turn();
  }

  async fail(n: number, code: string): Promise<void> {
    await turn();
    this.#queries[n]?.answering.reject(Object.assign(new Error(code), { code }));
    await turn();
  }
}

function asAddress(address: string): LookupAddress {
  return { address, family: address.includes(':') ? 6 : 4 };
}

function scene() {
  const clock = new ManualClock();
  const names = new Names();
  const resolver = new Resolver(clock, names.resolve);
  const addresses = async (host: string) => (await resolver.addresses(host)).map(({ address }) => address);
  return { clock, names, resolver, addresses };
}

describe('names', () => {
  test('asked for by many at once are resolved once', async () => {
    const { names, addresses } = scene();
    const asked = Promise.all([addresses('a'), addresses('a'), addresses('a')]);
    await names.answer(0, '192.0.2.1');
    expect(await asked).toEqual([['192.0.2.1'], ['192.0.2.1'], ['192.0.2.1']]);
    expect(await names.asked()).toHaveLength(1);
  });

  test('once resolved are known for a minute', async () => {
    const { clock, names, addresses } = scene();
    const first = addresses('a');
    await names.answer(0, '192.0.2.1');
    await first;
    await clock.pass(59_999);
    expect(await addresses('a')).toEqual(['192.0.2.1']);
    expect(await names.asked()).toHaveLength(1);
    await clock.pass(1);
    const again = addresses('a');
    await names.answer(1, '192.0.2.2');
    expect(await again).toEqual(['192.0.2.2']);
  });

  test('whose host is not where it was are asked for at once, and once for all who noticed', async () => {
    const { names, addresses, resolver } = scene();
    const first = addresses('a');
    await names.answer(0, '192.0.2.1');
    await first;
    const from = resolver.known('a') ?? [];
    const moved = Promise.all([resolver.moved('a', from), resolver.moved('a', from)]);
    await names.answer(1, '192.0.2.2');
    expect(await moved).toEqual([true, true]);
    expect(await resolver.moved('a', from)).toBe(true);
    expect(await names.asked()).toHaveLength(2);

    const still = resolver.moved('a', resolver.known('a') ?? []);
    await names.answer(2, '192.0.2.2');
    expect(await still).toBe(false);
  });

  test('that cannot be resolved are asked for again', async () => {
    const { names, addresses } = scene();
    const first = addresses('a');
    const refused = expect(first).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await names.fail(0, 'ENOTFOUND');
    await refused;
    const second = addresses('a');
    await names.answer(1, '192.0.2.1');
    expect(await second).toEqual(['192.0.2.1']);
  });

  test('are resolved two at a time, in order', async () => {
    const { names, addresses } = scene();
    const all = Promise.allSettled(['a', 'b', 'c', 'd'].map(addresses));
    expect(await names.asked()).toEqual(['a', 'b']);
    await names.fail(1, 'EAI_AGAIN');
    expect(await names.asked()).toEqual(['a', 'b', 'c']);
    await names.answer(0, '192.0.2.1');
    await names.answer(2, '192.0.2.3');
    await turn();
    await names.answer(3, '192.0.2.4');
    expect((await all).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
  });

  test('that were known serve again after a second of silence, and the late answer counts from then on', async () => {
    const { clock, names, addresses } = scene();
    const first = addresses('a');
    await names.answer(0, '192.0.2.1');
    await first;
    await clock.pass(60_000);
    let answer: string[] | undefined;
    const again = addresses('a').then((found) => {
      answer = found;
    });
    await clock.pass(999);
    expect(answer).toBeUndefined();
    await clock.pass(1);
    await again;
    expect(answer).toEqual(['192.0.2.1']);
    await names.answer(1, '192.0.2.2');
    await turn();
    expect(await addresses('a')).toEqual(['192.0.2.2']);
    expect(await names.asked()).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  test('that were known serve again when they cannot be resolved any more', async () => {
    const { clock, names, addresses } = scene();
    const first = addresses('a');
    await names.answer(0, '192.0.2.1');
    await first;
    await clock.pass(60_000);
    const again = addresses('a');
    await names.fail(1, 'EAI_AGAIN');
    expect(await again).toEqual(['192.0.2.1']);
  });
});

describe('on another network', () => {
  test('nothing is known', async () => {
    const { names, resolver, addresses } = scene();
    const first = addresses('a');
    await names.answer(0, '192.0.2.1');
    await first;
    resolver.forget();
    const again = addresses('a');
    const refused = expect(again).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await names.fail(1, 'ENOTFOUND');
    await refused;
  });

  test('queries that still hang on the old one hold up nobody, and their answers do not count', async () => {
    const { names, resolver, addresses } = scene();
    const old = [addresses('a'), addresses('b')];
    resolver.forget();
    const a = addresses('a');
    expect(await names.asked()).toEqual(['a', 'b', 'a']);
    await names.answer(2, '192.0.2.2');
    expect(await a).toEqual(['192.0.2.2']);
    await names.answer(0, '192.0.2.1');
    await names.answer(1, '192.0.2.1');
    await Promise.all(old);
    expect(await addresses('a')).toEqual(['192.0.2.2']);
    void addresses('b');
    expect(await names.asked()).toHaveLength(4);
  });

  test('they take six threads at most, however often the network changes', async () => {
    const { names, resolver, addresses } = scene();
    for (let network = 0; network < 10; network++) {
      for (const host of ['a', 'b', 'c']) addresses(`${host}${network}`).catch(() => {});
      resolver.forget();
    }
    expect(await names.asked()).toHaveLength(6);
    for (let query = 0; query < 6; query++) await names.fail(query, 'EAI_AGAIN');
    expect(await names.asked()).toHaveLength(8);
  });
});

describe('as the system asks', () => {
  const both = asLookup(async () => [asAddress('2001:db8::1'), asAddress('192.0.2.1')]);
  const look = (options: Parameters<typeof both>[1]) =>
    new Promise((resolve) => {
      both('a', options, (error, address, family) =>
        resolve(error ?? (options.all ? address : [address, family])),
      );
    });

  test('all addresses, the first, or those of one family', async () => {
    expect(await look({ all: true })).toEqual([asAddress('2001:db8::1'), asAddress('192.0.2.1')]);
    expect(await look({})).toEqual(['2001:db8::1', 6]);
    expect(await look({ family: 4 })).toEqual(['192.0.2.1', 4]);
    expect(await look({ family: 'IPv4', all: true })).toEqual([asAddress('192.0.2.1')]);
    expect(await look({ family: 'IPv6' })).toEqual(['2001:db8::1', 6]);
  });

  test('no address is ENOTFOUND, and an error is the error', async () => {
    const failed = (addresses: () => Promise<LookupAddress[]>) =>
      new Promise((resolve) => asLookup(addresses)('a', { all: true }, (error) => resolve(error)));
    expect(await failed(async () => [])).toMatchObject({ code: 'ENOTFOUND' });
    const error = Object.assign(new Error('no'), { code: 'EAI_AGAIN' });
    expect(await failed(() => Promise.reject(error))).toBe(error);
  });
});

test('a source whose name hangs is unreachable once the time for a connection is over', async () => {
  const { resolver } = scene();
  const source = httpSource(new URL('http://cache.example'), { resolver, connectTimeout: 10 });
  expect(await faultOf(source.probe(new AbortController().signal))).toBe('unreachable');
});

// In turn they would take half a second each and more: the clock that connecting goes by is no more exact than that.
test('all who wait for such a source over HTTP/2 end together, not in turn', async () => {
  const { resolver } = scene();
  const source = httpSource(new URL('https://cache.example'), { resolver, connectTimeout: 10 });
  const probe = () => faultOf(source.probe(new AbortController().signal));
  const ended: string[] = [];
  const all = Array.from({ length: 12 }, async () => ended.push(`${await probe()}`));
  await Promise.race(all);
  await expect.poll(() => ended, { timeout: 3_000 }).toEqual(all.map(() => 'unreachable'));
});
