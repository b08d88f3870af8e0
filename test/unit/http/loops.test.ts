import { describe, expect, test } from 'vitest';
import { having } from '../relay/support/lookup-scene.ts';
import { narinfoPath, sample, signedSample } from '../source/support/cache-files.ts';
import { httpSource } from '../source/support/http-source.ts';
import { text } from '../source/support/scripted-server.ts';
import { ask } from './lan-face.ts';
import { type LocalScene, localScene } from './local-scene.ts';

interface NamedAgent extends LocalScene {
  readonly name: string;
}

async function agent(name: string): Promise<NamedAgent> {
  const instance = `narrowcast-${name}`;
  return { ...(await localScene({ instance })), name };
}

/** Makes one agent a substituter of the other. */
function uses(one: NamedAgent, other: NamedAgent): void {
  const identity = { via: `1.1 narrowcast-${one.name}`, 'user-agent': 'narrowcast' };
  one.pool.add(
    httpSource(new URL(`http://127.0.0.1:${other.port}`), { identity, clock: one.clock, priority: 1 }),
  );
}

// The clocks stand still: whatever waited for a time to pass would wait for ever.
describe('I10: no lookup travels in a circle', () => {
  test('an agent does not take itself for a cache', async () => {
    const self = await agent('a');
    uses(self, self);
    expect((await ask(self.port, narinfoPath(sample()))).status).toBe(404);
    await self.pool.checkAll();
    expect(self.pool.all.map(({ health }) => health)).toEqual(['captive']);
  });

  test.for([2, 3])('%i agents that use each other all know that nobody has a path', async (count) => {
    const agents = await Promise.all(Array.from({ length: count }, (_, i) => agent(String(i))));
    agents.forEach((one, i) => {
      const next = agents[(i + 1) % count];
      if (next !== undefined) uses(one, next);
    });
    const path = narinfoPath(sample());
    const answers = await Promise.all(agents.map(({ port }) => ask(port, path)));
    expect(answers.map(({ status }) => status)).toEqual(agents.map(() => 404));
  });

  test('agents that use each other find what one of them can get, and get it', async () => {
    const [a, b] = [await agent('a'), await agent('b')];
    uses(a, b);
    uses(b, a);
    const path = signedSample(a.key);
    const { server } = await b.upstream('cache', having(path), 2);
    const url = `/nar/${path.narinfo.storePath.hashPart}-${path.narHash}.nar`;
    const answers = await Promise.all([ask(a.port, narinfoPath(path)), ask(b.port, narinfoPath(path))]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect((await ask(a.port, url)).body).toEqual(path.file);
    expect(server.count(narinfoPath(path))).toBeGreaterThan(0);
  });

  test('a NAR is asked for in the names of all who wait for it, so that none of them is asked', async () => {
    const self = await agent('a');
    const path = signedSample(self.key);
    const { server } = await self.upstream('cache', having(path));
    const url = `/nar/${path.narinfo.storePath.hashPart}-${path.narHash}.nar`;
    expect((await ask(self.port, url, { headers: { via: '1.1 narrowcast-b' } })).body).toEqual(path.file);
    const [nar] = server.requests.filter(({ url }) => url?.includes('/nar/'));
    expect(nar?.headers.via).toBe('1.1 narrowcast-b, 1.1 narrowcast-test');
  });

  test('a question with our own name is answered 404, whatever it is for', async () => {
    const self = await agent('a');
    const { server } = await self.upstream('cache', text(200, 'x'));
    for (const via of [
      '1.1 narrowcast-a',
      '1.1 proxy, 1.1 narrowcast-a',
      '1.0 narrowcast-a (comment), 1.1 other',
    ])
      for (const path of ['/nix-cache-info', narinfoPath(sample()), '/log/x'])
        expect((await ask(self.port, path, { headers: { via } })).status).toBe(404);
    expect(server.requests).toHaveLength(0);
  });

  test('a question that came by more agents than there can be is not passed on', async () => {
    const self = await agent('a');
    const { server } = await self.upstream('cache', text(404));
    const via = Array.from({ length: 60 }, (_, i) => `1.1 narrowcast-${i}`).join(', ');
    expect((await ask(self.port, narinfoPath(sample()), { headers: { via } })).status).toBe(404);
    expect(server.requests).toHaveLength(0);
    expect((await ask(self.port, narinfoPath(sample()), { headers: { via: '1.1 other' } })).status).toBe(404);
    expect(server.requests).toHaveLength(1);
  });
});
