import { expect, it } from 'vitest';
import { startAgent } from './agent-here.ts';
import { ask } from './lan-face.ts';

const ownParts = /(?:src|href)="(\/dashboard\/[^"]+)"/g;

/** The page and the paths of what it names. */
async function thePage(port: number): Promise<{ text: string; parts: string[] }> {
  const { status, headers, body } = await ask(port, '/');
  expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  const text = body.toString();
  return { text, parts: [...text.matchAll(ownParts)].map(([, path = '']) => path) };
}

it('serves the page and, for ever, all that it is made of', async () => {
  const port = await startAgent(['substituters', '']);
  const { text, parts } = await thePage(port);
  expect(parts.length).toBeGreaterThan(10);
  expect(text).not.toMatch(/<(?:style|script>)|\son\w+=|https?:/);
  for (const part of parts) {
    expect(part).toMatch(/^\/dashboard\/[\w-]{22}\/[a-z-]+\.(?:js|css|svg)$/);
    const { status, headers, body } = await ask(port, part);
    expect(status, part).toBe(200);
    expect(headers['cache-control']).toBe('max-age=31536000, immutable');
    if (!part.endsWith('.js') || /preact|uplot/.test(part)) continue;
    // Every module is asked for with the page, not only once another has come.
    for (const [, name = ''] of body.toString().matchAll(/from '\.\/([^']+)'/g))
      expect(parts, part).toContain(part.replace(/[^/]+$/, name));
  }
});

it('lets the page use nothing but its own, and nobody else use it', async () => {
  const port = await startAgent(['substituters', '']);
  const { parts } = await thePage(port);
  for (const path of ['/', ...parts]) {
    expect((await ask(port, path)).headers, path).toMatchObject({
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; (?!.*unsafe).*frame-ancestors 'none'$/,
      ),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    const rebound = await ask(port, path, { headers: { host: 'rebound.example' } });
    expect(rebound.status, path).toBe(403);
  }
});

it('is not sent again to who has it', async () => {
  const port = await startAgent(['substituters', '']);
  const { headers } = await ask(port, '/');
  expect(headers['cache-control']).toBe('no-cache');
  const again = await ask(port, '/', { headers: { 'if-none-match': String(headers['etag']) } });
  expect([again.status, again.body.length]).toEqual([304, 0]);
});

it('gives out nothing else of the disk', async () => {
  const port = await startAgent(['substituters', '']);
  const { parts } = await thePage(port);
  const folder = (parts[0] ?? '').replace(/[^/]+$/, '');
  const names = [
    '',
    '../agent.ts',
    '..%2fagent.ts',
    'tsconfig.json',
    'preact.d.ts',
    'page.css?x',
    'index.html',
  ];
  for (const name of names) expect((await ask(port, folder + name)).status, name).toBe(404);
  expect((await ask(port, '/dashboard/page.css')).status).toBe(404);
  expect((await ask(port, '/', { method: 'POST' })).status).toBe(405);
  const head = await ask(port, '/', { method: 'HEAD' });
  expect([head.status, head.body.length]).toEqual([200, 0]);
});
