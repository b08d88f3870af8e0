import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import type { Sample } from '../cache/support/sample.ts';
import { openCache } from '../cache/support/temporary.ts';
import { ask, type Served, serveLan } from './lan-face.ts';

const drvHash = (digit: number) => String(digit).repeat(32);
const deriver = (digit: number, name = 'sample') => `${drvHash(digit)}-${name}.drv`;
const hashPartOf = ({ narinfo }: Sample) => narinfo.storePath.hashPart;

async function put({ cache }: Served, path: string, content: unknown): Promise<string> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await cache.otherFiles.store(
    path,
    (async function* () {
      yield Buffer.from(text);
    })(),
  );
  return `/${path}`;
}

/** The body; undefined for an answer that is the same as the one for what is nowhere. */
async function shown({ port }: Pick<Served, 'port'>, path: string): Promise<string | undefined> {
  const nowhere = await ask(port, '/log/nowhere');
  const [got, head] = [await ask(port, path), await ask(port, path, { method: 'HEAD' })];
  expect([head.status, head.headers['content-length']]).toEqual([got.status, got.headers['content-length']]);
  if (got.status === 200) return got.body.toString();
  expect([got.status, got.body]).toEqual([404, nowhere.body]);
  return undefined;
}

describe('I9: what was put beside the paths is shown with a shareable path only', () => {
  it('a listing', async () => {
    const lan = await serveLan();
    const [open, hidden] = [await lan.keep(['shared']), await lan.keep(['private'])];
    for (const { narinfo } of [open, hidden]) await put(lan, `${narinfo.storePath.hashPart}.ls`, '{}');
    await put(lan, `${'0'.repeat(32)}.ls`, '{}');
    expect(await shown(lan, `/${hashPartOf(open)}.ls`)).toBe('{}');
    for (const path of [`/${hashPartOf(hidden)}.ls`, `/${hashPartOf(hidden)}%2Els`, `/${'0'.repeat(32)}.ls`])
      expect(await shown(lan, path), path).toBeUndefined();
  });

  it('a log', async () => {
    const lan = await serveLan();
    await lan.keep(['shared'], { deriver: deriver(1) });
    await lan.keep(['shared'], { deriver: deriver(1), name: 'sample-dev' });
    await lan.keep(['private'], { deriver: deriver(2) });
    await lan.keep([], { deriver: deriver(3) });
    for (const digit of [1, 2, 3, 4]) await put(lan, `log/${deriver(digit)}`, `log ${digit}`);
    expect(await shown(lan, `/log/${deriver(1)}`)).toBe('log 1');
    for (const digit of [2, 3, 4]) expect(await shown(lan, `/log/${deriver(digit)}`)).toBeUndefined();
    const { headers } = await ask(lan.port, `/log/${deriver(1)}`);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  it('a log to which an unsigned Deriver of a shareable path points, but a private path too', async () => {
    const lan = await serveLan();
    await put(lan, `log/${deriver(1)}`, 'secret');
    await lan.keep(['private'], { deriver: deriver(1) });
    await lan.keep(['shared'], { deriver: deriver(1) });
    expect(await shown(lan, `/log/${deriver(1)}`)).toBeUndefined();
  });

  it('a log of a derivation of which the shareable path cannot be an output', async () => {
    const lan = await serveLan();
    for (const [digit, name] of [
      [1, 'secret'],
      [2, 'sampler'],
      [3, 'sam'],
      [4, 'sample'],
    ] as const) {
      await put(lan, `log/${deriver(digit, name)}`, name);
      await lan.keep(['shared'], { deriver: deriver(digit, name) });
    }
    for (const [digit, name] of [
      [1, 'secret'],
      [2, 'sampler'],
      [3, 'sam'],
    ] as const)
      expect(await shown(lan, `/log/${deriver(digit, name)}`), name).toBeUndefined();
    expect(await shown(lan, `/log/${deriver(4)}`)).toBe('sample');
  });

  it('a log whose path went, or was there before the agent', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['shared'], { deriver: deriver(1) });
    const log = await put(lan, `log/${deriver(1)}`, 'log');
    await lan.cache.close();
    const again = await openCache({ dir: lan.dir });
    const { port } = await serveLan({ cache: again, otherFiles: again.otherFiles });
    expect(await shown({ port }, log)).toBe('log');
    await again.quarantine(
      { ...kept.narinfo, url: (await again.narinfo(hashPartOf(kept)))?.url ?? '' },
      'a test',
    );
    expect(await shown({ port }, log)).toBeUndefined();
  });

  it('debug info', async () => {
    const lan = await serveLan();
    const archiveOf = async (sample: Sample) => (await lan.cache.narinfo(hashPartOf(sample)))?.url;
    const open = await archiveOf(await lan.keep(['shared']));
    const hidden = await archiveOf(await lan.keep(['private']));
    const pointers: Record<string, unknown> = {
      hidden: { archive: `../${hidden}`, member: 'lib/x.debug' },
      gone: { archive: `../nar/${'0'.repeat(52)}.nar.xz`, member: 'lib/x.debug' },
      outside: { archive: '../nix-cache-info', member: 'x' },
      none: { member: 'x' },
      number: { archive: 7 },
      text: 'no JSON',
      long: { archive: `../${open}`, member: 'x'.repeat(65_536) },
    };
    for (const [name, pointer] of Object.entries(pointers)) {
      await put(lan, `debuginfo/${name}.debug`, pointer);
      expect(await shown(lan, `/debuginfo/${name}.debug`), name).toBeUndefined();
    }
    const right = { archive: `../${open}`, member: 'lib/x.debug' };
    const path = await put(lan, 'debuginfo/open.debug', right);
    expect(await shown(lan, path)).toBe(JSON.stringify(right));
    expect((await ask(lan.port, path)).headers['content-type']).toBe('application/json');
  });

  test.for(['realisations/sha256:0123!out.doi', `build-trace-v2/${deriver(1)}/out.doi`])(
    '%s',
    async (path) => {
      const lan = await serveLan();
      const { base, hashPart } = (await lan.keep(['shared'])).narinfo.storePath;
      const hidden = (await lan.keep(['private'])).narinfo.storePath.base;
      for (const outPath of [
        hidden,
        `/nix/store/${hidden}`,
        `${hashPart}-other`,
        `${'0'.repeat(32)}-x`,
        '',
        7,
      ]) {
        await put(lan, path, { outPath, signatures: [] });
        expect(await shown(lan, `/${path}`), `${outPath}`).toBeUndefined();
      }
      for (const outPath of [base, `/nix/store/${base}`]) {
        await put(lan, path, { outPath });
        expect(await shown(lan, `/${path}`)).toBe(JSON.stringify({ outPath }));
      }
    },
  );
});

it('a narinfo that another program has put there counts for the log too', async () => {
  const lan = await serveLan();
  const { narinfo } = await lan.keep(['shared'], { deriver: deriver(1) });
  const log = await put(lan, `log/${deriver(2)}`, 'log');
  expect(await shown(lan, log)).toBeUndefined();
  const file = join(lan.dir, `${narinfo.storePath.hashPart}.narinfo`);
  const text = await readFile(file, 'utf8');
  await lan.cache.close();
  await writeFile(file, text.replace(deriver(1), deriver(2)));
  const again = await openCache({ dir: lan.dir });
  const { port } = await serveLan({ cache: again, otherFiles: again.otherFiles });
  expect(await shown({ port }, log)).toBe('log');
});
