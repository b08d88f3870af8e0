import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { parseNarinfo } from '../../../agent/nix/narinfo.ts';
import { type Sample, storeDir, twinOf } from '../cache/support/sample.ts';
import { ask, privateKey, serveLan, signed } from './lan-face.ts';

const narinfoPath = ({ narinfo }: Sample) => `/${narinfo.storePath.hashPart}.narinfo`;
const narPath = ({ fileHash, meta }: Sample) =>
  `/nar/${toBase32(fileHash.digest)}.nar${meta.compression === 'zstd' ? '.zst' : ''}`;

describe('what the LAN sees', () => {
  it('is a cache for our store', async () => {
    const { port } = await serveLan();
    const { status, headers, body } = await ask(port, '/nix-cache-info');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/x-nix-cache-info');
    expect(body.toString()).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n');
  });

  it('are paths signed by a shared key: narinfo and NAR as they are stored', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['private', 'shared'], { compression: 'zstd' });
    const answered = await ask(lan.port, narinfoPath(kept));
    expect(answered.status).toBe(200);
    expect(answered.headers['content-type']).toBe('text/x-nix-narinfo');
    const narinfo = parseNarinfo(answered.body.toString(), storeDir);
    expect(narinfo).toEqual(await lan.cache.narinfo(kept.narinfo.storePath.hashPart));
    expect(`/${narinfo.url}`).toBe(narPath(kept));

    const nar = await ask(lan.port, `/${narinfo.url}`);
    expect(nar.status).toBe(200);
    expect(nar.headers['accept-ranges']).toBe('bytes');
    expect(nar.headers['content-encoding']).toBeUndefined();
    expect(nar.body).toEqual(kept.file);
  });

  it('are not the paths that only a private key, or none, has signed: neither narinfo nor NAR', async () => {
    const lan = await serveLan();
    const shared = await lan.keep(['shared']);
    for (const keys of [['private'], []] as const) {
      const hidden = await lan.keep(keys);
      expect(await lan.cache.narinfo(hidden.narinfo.storePath.hashPart)).toBeDefined();
      for (const method of ['GET', 'HEAD']) {
        for (const path of [narinfoPath(hidden), narPath(hidden)]) {
          const { status, headers, body } = await ask(lan.port, path, { method });
          const unknown = await ask(lan.port, path.replace(/[0-9a-z]{32}/, '0'.repeat(32)), { method });
          expect([status, headers['content-length'], body]).toEqual([
            404,
            unknown.headers['content-length'],
            unknown.body,
          ]);
        }
      }
    }
    expect((await ask(lan.port, narPath(shared))).status).toBe(200);
  });

  it('is a NAR that a shared and a private path have in common, under the shared name only', async () => {
    const lan = await serveLan();
    const common = await lan.keep(['shared']);
    const twin = signed(twinOf(common), [privateKey]);
    expect(await lan.cache.adopt(twin.narinfo)).toBeDefined();
    expect((await ask(lan.port, narinfoPath(twin))).status).toBe(404);
    expect((await ask(lan.port, narPath(common))).body).toEqual(common.file);
  });

  it('is no NAR whose path has another by now', async () => {
    const lan = await serveLan();
    const [one, other] = [await lan.keep(['shared']), await lan.keep(['shared'])];
    const { hashPart } = one.narinfo.storePath;
    const text = await readFile(join(lan.dir, `${hashPart}.narinfo`), 'utf8');
    const moved = text.replace(/^URL: .*$/m, `URL: ${narPath(other).slice(1)}`);
    await writeFile(join(lan.dir, `${hashPart}.narinfo`), moved);
    expect((await ask(lan.port, narPath(one))).status).toBe(404);
    expect((await ask(lan.port, narPath(other))).body).toEqual(other.file);
  });

  it('ends where the cache directory ends, and is read-only', async () => {
    const wrong: string[] = [];
    const lan = await serveLan();
    const kept = await lan.keep(['shared']);
    const hashPart = kept.narinfo.storePath.hashPart;
    const nothing = [
      '/',
      '/stats',
      '/lock',
      `/${hashPart}`,
      `/${hashPart}.NARINFO`,
      `/${hashPart}.narinfo?x`,
      `/${hashPart}.narinfo/`,
      `//${hashPart}.narinfo`,
      `/${hashPart.toUpperCase()}.narinfo`,
      `/${'0'.repeat(32)}.narinfo`,
      `/${'e'.repeat(32)}.narinfo`,
      `/${'0'.repeat(33)}.narinfo`,
      `/${'0'.repeat(8_000)}.narinfo`,
      `/nar/${'0'.repeat(8_000)}`,
      `/nar/${'0'.repeat(52)}.nar.xz`,
      `/nar/../${hashPart}.narinfo`,
      `/nar/%2e%2e/${hashPart}.narinfo`,
      `/nar/%2e%2e%2f${hashPart}.narinfo`,
      '/nar/..%2f..%2f..%2f..%2fetc%2fpasswd',
      '/../../../../etc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/nar/%00',
      '/nar/%',
      '/nar/%ff',
      '/nar/',
      '/nar/.',
      '/partial/x',
      '/log/x.drv',
      '/realisations/x',
      `http://127.0.0.1:1/${hashPart}.narinfo`,
      'http://169.254.169.254/latest/meta-data',
    ];
    for (const path of nothing) {
      for (const method of ['GET', 'HEAD']) {
        const { status } = await ask(lan.port, path, { method });
        if (status !== 404) wrong.push(`${method} ${path} ${status}`);
      }
    }
    for (const path of ['/nix-cache-info', narinfoPath(kept), narPath(kept), '/nowhere']) {
      for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']) {
        const { status, headers } = await ask(lan.port, path, { method });
        if (status !== 405 || headers['allow'] !== 'GET, HEAD') wrong.push(`${method} ${path} ${status}`);
      }
    }
    expect(wrong).toEqual([]);
    const tooLong = await ask(lan.port, `/${'0'.repeat(20_000)}`);
    expect(tooLong.status).toBe(431);
    expect((await ask(lan.port, narPath(kept))).body).toEqual(kept.file);
  });

  it('can be read in parts', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['shared'], { contents: Buffer.alloc(600_000, 'some bytes ') });
    const { file } = kept;
    const part = (range: string, method = 'GET') =>
      ask(lan.port, narPath(kept), { method, headers: { range } });
    for (const [range, start, end] of [
      ['bytes=0-', 0, file.length],
      ['bytes=300001-', 300_001, file.length],
      ['bytes=5-9', 5, 10],
      ['bytes=599000-9999999', 599_000, file.length],
      ['bytes=-7', file.length - 7, file.length],
    ] as const) {
      const { status, headers, body } = await part(range);
      expect([status, headers['content-range']]).toEqual([206, `bytes ${start}-${end - 1}/${file.length}`]);
      expect(body.equals(file.subarray(start, end)), range).toBe(true);
    }
    const behind = await part(`bytes=${file.length}-`);
    expect([behind.status, behind.headers['content-range']]).toEqual([416, `bytes */${file.length}`]);
    const head = await part('bytes=10-', 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
      206,
      String(file.length - 10),
      0,
    ]);
  });

  it('answers HEAD like GET without the body', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['shared']);
    for (const path of ['/nix-cache-info', narinfoPath(kept), narPath(kept), '/nowhere']) {
      const got = await ask(lan.port, path);
      const head = await ask(lan.port, path, { method: 'HEAD' });
      expect(head.status).toBe(got.status);
      expect(head.headers['content-length']).toBe(String(got.body.length));
      expect(head.body.length).toBe(0);
    }
  });

  it('decodes a URL that a newer client has encoded', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['shared']);
    expect((await ask(lan.port, narPath(kept).replace('.nar', '%2Enar'))).body).toEqual(kept.file);
  });
});

describe('I10', () => {
  it('a request that came round in a circle is answered 404, whatever is here', async () => {
    const lan = await serveLan();
    const kept = await lan.keep(['shared']);
    for (const via of ['1.1 narrowcast-me', '1.1 other, 1.1 narrowcast-me', '1.1 narrowcast-me, 1.1 other']) {
      expect((await ask(lan.port, narinfoPath(kept), { headers: { via } })).status).toBe(404);
      expect((await ask(lan.port, narPath(kept), { headers: { via } })).status).toBe(404);
    }
    expect((await ask(lan.port, narinfoPath(kept), { headers: { via: '1.1 other' } })).status).toBe(200);
  });
});

describe('pull-through', () => {
  it('is asked for what is not here or not shared, and for nothing else', async () => {
    const asked: (string | undefined)[] = [];
    const lan = await serveLan({
      pullThrough: async (request, response) => {
        asked.push(request.url);
        response.writeHead(404).end();
      },
    });
    const kept = await lan.keep(['shared']);
    const hidden = await lan.keep(['private']);
    const through = [narinfoPath(hidden), narPath(hidden), `/${'0'.repeat(32)}.narinfo`, '/nar/unknown.nar'];
    for (const path of ['/nix-cache-info', narinfoPath(kept), narPath(kept), ...through]) {
      await ask(lan.port, path);
    }
    await ask(lan.port, through[0] ?? '', { method: 'PUT' });
    await ask(lan.port, through[0] ?? '', { headers: { via: '1.1 narrowcast-me' } });
    expect(asked).toEqual(through);
  });
});
