import { expect, it } from 'vitest';
import { startAgent } from './agent-here.ts';
import { EventReader } from './event-reader.ts';
import { ask } from './lan-face.ts';

/** For what happens at once, unless the machine is busy. */
const soon = { timeout: 10_000 };

it('gives a whole snapshot first, in the documented form', async () => {
  const port = await startAgent(['substituters', '']);
  const reader = await EventReader.open(port);
  expect(reader.response.headers['content-type']).toBe('text/event-stream');
  await expect.poll(() => reader.ofType('snapshot').length, soon).toBe(1);
  const [snapshot] = reader.ofType('snapshot');
  expect(snapshot?.stats.schema).toBe(2);
  expect(snapshot?.recent).toEqual({ requests: [], rejections: [] });
});

it('serves sixteen clients at once, and is for this machine', async () => {
  const port = await startAgent(['substituters', '']);
  const readers = await Promise.all(Array.from({ length: 16 }, () => EventReader.open(port)));
  for (const { response } of readers) expect(response.statusCode).toBe(200);
  expect((await ask(port, '/events')).status).toBe(503);
  readers[0]?.response.destroy();
  await expect.poll(async () => (await ask(port, '/events', { method: 'HEAD' })).status, soon).toBe(200);
  expect((await ask(port, '/events', { headers: { host: 'rebound.example' } })).status).toBe(403);
  expect((await ask(port, '/events', { method: 'POST' })).status).toBe(405);
});
