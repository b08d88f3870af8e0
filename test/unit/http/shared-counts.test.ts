import { expect, it } from 'vitest';
import { Counters } from '../../../agent/telemetry/counters.ts';
import { ask, serveLan } from './lan-face.ts';

it('counts what other machines are given apart from what this machine asks', async () => {
  const counters = new Counters();
  const { port, keep } = await serveLan({ finished: (request) => counters.shared(request) });
  const kept = await keep(['shared']);
  const hidden = await keep(['private']);
  const narinfo = await ask(port, `/${kept.narinfo.storePath.hashPart}.narinfo`);
  const url = /^URL: (.*)$/m.exec(narinfo.body.toString())?.[1];
  const nar = await ask(port, `/${url}`);
  const part = await ask(port, `/${url}`, { headers: { range: 'bytes=100-' } });
  expect([narinfo.status, nar.status, part.status]).toEqual([200, 200, 206]);
  await ask(port, `/${url}`, { method: 'HEAD' });
  await ask(port, `/${hidden.narinfo.storePath.hashPart}.narinfo`);
  await ask(port, '/nix-cache-info');

  const bytes = narinfo.body.length + nar.body.length + part.body.length;
  expect(counters.counts.shared).toEqual({ requests: 5, hits: 4, misses: 0, absent: 1, bytes });
  expect(counters.counts.narinfo.requests + counters.counts.nar.requests).toBe(0);
  expect(counters.requests).toEqual([]);
});
