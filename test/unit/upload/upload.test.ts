import { createHash, randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { fromBase32, toBase32 } from '../../../agent/nix/base32.ts';
import { FakeTime } from '../cache/support/fake-time.ts';
import { FaultyFiles } from '../cache/support/faulty-files.ts';
import { builderKey, foreignKey, otherKey, uploadScene } from './support/upload-scene.ts';
import { packed, Uploader } from './support/uploader.ts';

test.for(['none', 'gzip', 'zstd', 'xz'] as const)(
  '%s: NAR, then narinfo, and it is there',
  async (compression) => {
    const { builder, stranger, visible, staged } = await uploadScene();
    const path = packed([builderKey], { compression });
    expect((await builder.send('HEAD', path.narPath)).status).toBe(404);
    expect((await builder.putNar(path, { expect: true })).status).toBe(201);
    expect((await builder.send('HEAD', path.narPath)).status).toBe(200);
    expect(await visible()).toEqual([]);
    expect((await stranger.send('GET', path.narinfoPath)).status).toBe(404);
    expect((await stranger.send('GET', path.narPath)).status).toBe(404);

    expect((await builder.putNarinfo(path)).status).toBe(201);
    const text = (await stranger.send('GET', path.narinfoPath)).body.toString();
    const url = /^URL: (.*)$/m.exec(text)?.[1];
    expect((await stranger.send('GET', `/${url}`)).body).toEqual(path.file);
    expect(await staged()).toEqual([]);

    // The same again is harmless, and costs no body.
    expect((await builder.send('HEAD', path.narPath)).status).toBe(200);
    expect(await builder.putNar(path, { expect: true })).toMatchObject({ status: 200, continued: false });
    expect((await builder.putNarinfo(path)).status).toBe(200);
  },
);

test('without a token or with a wrong one nothing is stored, and the body is not asked for', async () => {
  const { stranger, port, visible, staged } = await uploadScene();
  const path = packed([builderKey], { contents: randomBytes(2_000_000) });
  for (const who of [stranger, new Uploader(port, 'builder:wrong'), new Uploader(port, 'nobody:secret')]) {
    const answers = [
      await who.putNar(path, { expect: true }),
      await who.putNar(path),
      await who.putNarinfo(path),
      await who.send('PUT', '/nix-cache-info', { body: Buffer.from('StoreDir: /nix/store\n') }),
      await who.send('PUT', '/log/some.drv', { body: Buffer.from('log') }),
      await who.send('POST', '/missing', { body: Buffer.alloc(8) }),
      await who.send('PUT', '/roots/laptop', { body: Buffer.from('/nix/store/x') }),
      await who.send('DELETE', '/roots/laptop'),
      await who.send('GET', '/roots'),
      await who.send('GET', `/closure/${path.narinfo.storePath.hashPart}`),
    ];
    for (const { status, continued, headers } of answers) {
      expect([status, continued]).toEqual([401, false]);
      expect(headers['www-authenticate']).toContain('Basic');
    }
  }
  expect([await visible(), await staged()]).toEqual([[], []]);
});

test('a narinfo that no trusted key has signed, or not one of the uploader, is refused with the key expected', async () => {
  const { builder, limited, visible } = await uploadScene();
  for (const keys of [[], [foreignKey]]) {
    const path = packed(keys);
    await builder.putNar(path);
    const { status, body } = await builder.putNarinfo(path);
    expect([status, body.toString()]).toEqual([
      403,
      expect.stringMatching(/sign it with builder-1 or other-1/),
    ]);
  }
  const path = packed([builderKey]);
  await limited.putNar(path);
  const { status, body } = await limited.putNarinfo(path);
  expect([status, body.toString()]).toEqual([
    403,
    expect.stringMatching(/limited may not .* builder-1 .* other-1/),
  ]);
  expect(await visible()).toEqual([]);
  expect((await limited.putNarinfo(packed([otherKey]))).status).toBe(409);
});

test('a signature of other contents does not count', async () => {
  const { builder, visible } = await uploadScene();
  const path = packed([builderKey]);
  const other = packed([builderKey]);
  await builder.putNar(path);
  const text = path.text.replace(/^Sig: .*$/m, `Sig: ${/^Sig: (.*)$/m.exec(other.text)?.[1]}`);
  expect((await builder.putNarinfo({ ...path, text })).status).toBe(403);
  expect(await visible()).toEqual([]);
});

test('a narinfo before its NAR is refused', async () => {
  const { builder, visible } = await uploadScene();
  const path = packed([builderKey]);
  const { status, body } = await builder.putNarinfo(path);
  expect([status, body.toString()]).toEqual([409, expect.stringContaining('before its narinfo')]);
  expect(await visible()).toEqual([]);
});

test('bytes that are not the file named are refused, and forgotten', async () => {
  const { builder, staged, visible } = await uploadScene();
  const path = packed([builderKey], { compression: 'zstd' });
  const file = Buffer.from(path.file);
  file[file.length - 5] = (file[file.length - 5] ?? 0) ^ 1;
  expect((await builder.putNar({ ...path, file })).status).toBe(422);
  expect((await builder.putNarinfo(path)).status).toBe(409);
  expect([await visible(), await staged()]).toEqual([[], []]);
});

test('a NAR that is not the one of its signed narinfo is refused', async () => {
  const { builder, staged, visible } = await uploadScene();
  const path = packed([builderKey], { compression: 'zstd' });
  const other = packed([builderKey], { compression: 'zstd' });
  expect((await builder.putNar(other)).status).toBe(201);
  const text = path.text
    .replace(/^URL: .*$/m, `URL: ${other.narinfo.url}`)
    .replace(/^FileHash: .*\n/m, '')
    .replace(/^FileSize: .*\n/m, '');
  const { status, body } = await builder.putNarinfo({ ...path, text });
  expect([status, body.toString()]).toEqual([422, expect.stringContaining('not the one of its narinfo')]);
  expect([await visible(), await staged()]).toEqual([[], []]);
});

test('a NAR that unpacks to more than its NarSize is refused without being unpacked', async () => {
  const { builder, visible } = await uploadScene();
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const made = packed([builderKey], { compression: 'gzip' });
  const narPath = `/nar/${toBase32(createHash('sha256').update(bomb).digest())}.nar`;
  expect((await builder.putNar({ ...made, narPath, file: bomb })).status).toBe(201);
  const text = made.text
    .replace(/^URL: .*$/m, `URL: ${narPath.slice(1)}`)
    .replace(/^File(Hash|Size): .*\n/gm, '');
  expect((await builder.putNarinfo({ ...made, text })).status).toBe(422);
  expect(await visible()).toEqual([]);
});

test('an upload that was cut goes on where it stopped, also in parts and after a restart', async () => {
  const { builder, dir, staged } = await uploadScene();
  const path = packed([builderKey], { contents: randomBytes(3_000_000) });
  const { length: size } = path.file;
  await expect(builder.putNar(path, { cutAfter: 1_000_000 })).rejects.toThrow();
  await expect
    .poll(async () => (await builder.send('HEAD', path.narPath)).headers['upload-offset'])
    .toBe('1000000');
  expect(await staged()).toHaveLength(2);

  const part = (from: number, to: number, of = size) =>
    builder.putNar(path, {
      body: path.file.subarray(from, to),
      headers: { 'content-range': `bytes ${from}-${to - 1}/${of}` },
    });
  expect(await part(999_999, size)).toMatchObject({ status: 409, headers: { 'upload-offset': '1000000' } });
  expect((await part(1_000_001, size)).status).toBe(409);
  expect((await part(1_000_000, 1_500_000, size + 1)).status).toBe(409);
  expect((await part(1_000_000, 2_000_000)).status).toBe(200);
  expect((await builder.putNarinfo(path)).status).toBe(409);
  expect((await part(2_000_000, size)).status).toBe(201);
  expect((await builder.putNarinfo(path)).status).toBe(201);
  expect((await stat(join(dir, path.narinfo.url))).size).toBe(size);
});

test.for([
  ['without a length', { 'transfer-encoding': 'chunked' }, 411],
  ['in another encoding', { 'content-encoding': 'gzip' }, 415],
  ['as an impossible part', { 'content-range': 'bytes 5-2/10' }, 400],
  ['as a part of another length', { 'content-range': 'bytes 0-9/10' }, 400],
] as const)('a NAR %s is refused', async ([, headers, status]) => {
  const { builder } = await uploadScene();
  const path = packed([builderKey]);
  const body = 'transfer-encoding' in headers ? {} : { body: path.file };
  expect((await builder.send('PUT', path.narPath, { ...body, headers })).status).toBe(status);
});

test.for([
  '/nar/x.nar',
  '/nar/../lock',
  '/nar/..%2flock',
  `/nar/${'0'.repeat(52)}.nar.sh`,
  '/roots/..%2flock',
])('PUT %s is refused', async (path) => {
  const { builder } = await uploadScene();
  const { status } = await builder.send('PUT', path, { body: Buffer.from('/nix/store/x') });
  expect([400, 405]).toContain(status);
});

test('what cannot be verified is refused before its body', async () => {
  const { builder } = await uploadScene();
  const path = packed([builderKey]);
  const answer = await builder.send('PUT', `${path.narPath}.bz2`, { body: path.file, expect: true });
  expect(answer).toMatchObject({ status: 415, continued: false });
});

test('a NAR without a narinfo is kept for 24 hours', async () => {
  const time = new FakeTime();
  const { builder, staged } = await uploadScene({}, { clock: time, wall: time.wall });
  const path = packed([builderKey]);
  await builder.putNar(path);
  time.pass(23 * 3_600_000);
  await expect.poll(staged).toHaveLength(2);
  expect((await builder.send('HEAD', path.narPath)).status).toBe(200);
  time.pass(3_600_000 + 20 * 60_000);
  time.pass(20 * 60_000);
  await expect.poll(staged).toEqual([]);
});

test('what is too large is refused before its body, as is what there is no room for', async () => {
  const { builder, visible, staged } = await uploadScene({ maxSize: 4_000_000 });
  const large = packed([builderKey], { contents: randomBytes(3_000_000) });
  expect(await builder.putNar(large, { expect: true })).toMatchObject({ continued: false });
  expect([413, 507]).toContain((await builder.putNar(large, { expect: true })).status);
  const fits = packed([builderKey], { contents: randomBytes(1_000_000) });
  expect((await builder.putNar(fits)).status).toBe(201);
  const second = packed([builderKey], { contents: randomBytes(1_500_000) });
  expect(await builder.putNar(second, { expect: true })).toMatchObject({ status: 507, continued: false });
  expect(await visible()).toEqual([]);
  expect((await builder.putNarinfo(fits)).status).toBe(201);
  expect((await builder.putNar(second, { expect: true })).status).toBe(201);
  expect(await staged()).toHaveLength(2);
});

test('a full disk answers 507 at any write, and nothing is half there', async () => {
  for (const call of ['write', 'sync', 'open-create', 'link', 'rename', 'syncDirectory']) {
    const files = new FaultyFiles();
    const { builder, visible } = await uploadScene({}, { files });
    const path = packed([builderKey]);
    files.verdict = ({ name, path: at }) =>
      name === call || (call === 'link' && name === 'rename')
        ? at.includes('.tmp') && call === 'write'
          ? undefined
          : 'ENOSPC'
        : undefined;
    const nar = await builder.putNar(path);
    const narinfo = await builder.putNarinfo(path);
    expect([nar.status, narinfo.status], call).toContain(507);
    expect(
      (await visible()).filter((name) => name.endsWith('.narinfo')),
      call,
    ).toEqual([]);
  }
});

test('who sends nothing is cut off, and what came stays', async () => {
  const { builder, staged } = await uploadScene({}, {}, 300);
  const path = packed([builderKey], { contents: randomBytes(500_000) });
  const slow = builder.send('PUT', path.narPath, {
    headers: { 'content-length': String(path.file.length) },
    body: path.file.subarray(0, 1),
  });
  await expect(slow).rejects.toThrow();
  await expect.poll(staged).toHaveLength(2);
});

test('two narinfos of one NAR, and a second signature, are taken', async () => {
  const { builder, stranger, visible } = await uploadScene();
  const contents = randomBytes(1_000);
  const [one, two] = ['one', 'two'].map((name) => packed([builderKey], { name, contents })) as [
    ReturnType<typeof packed>,
    ReturnType<typeof packed>,
  ];
  await builder.putNar(one);
  expect((await builder.putNarinfo(one)).status).toBe(201);
  expect((await builder.send('HEAD', two.narPath)).status).toBe(200);
  expect((await builder.putNarinfo(two)).status).toBe(201);
  expect(await visible()).toHaveLength(3);

  const again = packed([otherKey], { name: 'one', contents });
  expect((await builder.putNarinfo(again)).status).toBe(201);
  expect((await builder.putNarinfo(again)).status).toBe(200);
  const text = (await stranger.send('GET', one.narinfoPath)).body.toString();
  expect(text.match(/^Sig: [^:]+/gm)).toEqual(['Sig: builder-1', 'Sig: other-1']);
});

test('which paths are missing is one question; a closure is there when all of it is', async () => {
  const { builder, cache } = await uploadScene();
  const leaf = packed([builderKey], { name: 'leaf' });
  const top = packed([builderKey], { name: 'top', references: [leaf] });
  const absent = packed([builderKey]);
  const ask = async (...paths: { narinfo: { storePath: { hashPart: string } } }[]) => {
    const body = Buffer.concat(
      paths.map(({ narinfo }) => fromBase32(narinfo.storePath.hashPart).subarray(0, 8)),
    );
    const { body: answer } = await builder.send('POST', '/missing', { body });
    return paths.map((_, i) => ((answer[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0);
  };
  const closure = ({ narinfo }: typeof top) =>
    builder.send('GET', `/closure/${narinfo.storePath.hashPart}`).then(({ status }) => status);
  const root = ({ narinfo }: typeof top, name = 'laptop') =>
    builder.send('PUT', `/roots/${name}`, { body: Buffer.from(`/nix/store/${narinfo.storePath.base}\n`) });
  await builder.push(top);
  expect(await ask(leaf, top, absent, ...Array.from({ length: 9 }, () => top))).toEqual([
    true,
    false,
    true,
    ...Array.from({ length: 9 }, () => false),
  ]);
  expect([await closure(top), await closure(absent)]).toEqual([404, 404]);
  expect(await root(top)).toMatchObject({ status: 409, body: expect.anything() });
  expect((await root(top)).body.toString()).toContain(leaf.narinfo.storePath.hashPart);
  await builder.push(leaf);
  expect([await closure(top), await closure(leaf)]).toEqual([204, 204]);
  expect(await ask(leaf, top)).toEqual([false, false]);
  expect((await builder.send('POST', '/missing', { body: Buffer.alloc(9) })).status).toBe(400);
  expect((await builder.send('POST', '/missing', { body: Buffer.alloc(800_008) })).status).toBe(413);

  expect((await root(leaf)).status).toBe(201);
  expect((await root(top)).status).toBe(201);
  expect((await root(top, 'no%2Fname')).status).toBe(400);
  const { body } = await builder.send('GET', '/roots');
  expect(JSON.parse(body.toString())).toEqual({
    laptop: [top, leaf].map(({ narinfo }) => ({
      time: expect.any(String),
      path: `/nix/store/${narinfo.storePath.base}`,
    })),
  });
  expect(await cache.roots.list()).toHaveLength(1);
  expect((await builder.send('DELETE', '/roots/laptop')).status).toBe(200);
  expect((await builder.send('DELETE', '/roots/laptop')).status).toBe(404);
});

test('listings, logs and debuginfo are stored as they came, compressed on the way or not, and shown with their path', async () => {
  const { builder, stranger, dir } = await uploadScene();
  const drv = (digit: string) => `${digit.repeat(32)}-sample.drv`;
  const path = packed([builderKey], { deriver: drv('1') });
  const hidden = packed([otherKey], { deriver: drv('2') });
  const listing = (of: typeof path) => of.narinfoPath.replace('.narinfo', '.ls');
  const text = Buffer.from(JSON.stringify({ archive: `..${path.narPath}`, member: 'lib/x.debug' }));
  for (const to of [listing(path), listing(hidden), `/log/${drv('2')}`, '/debuginfo/0123.debug'])
    expect((await builder.send('PUT', to, { body: text })).status).toBe(201);
  const encoded = { body: gzipSync(text), headers: { 'content-encoding': 'gzip' } };
  expect((await builder.send('PUT', `/log/${drv('1')}`, encoded)).status).toBe(201);
  const shown = [listing(path), `/log/${drv('1')}`, '/debuginfo/0123.debug'];
  for (const at of shown) expect((await stranger.send('GET', at)).status, at).toBe(404);
  await builder.push(path);
  await builder.push(hidden);
  for (const at of shown) expect((await stranger.send('GET', at)).body.toString(), at).toBe(text.toString());
  for (const at of [listing(hidden), `/log/${drv('2')}`])
    expect((await stranger.send('GET', at)).status, at).toBe(404);
  for (const outside of ['/log/../lock', '/log/..%2flock', '/log/.hidden'])
    expect((await builder.send('PUT', outside, { body: text })).status, outside).toBe(400);
  await writeFile(join(dir, 'lock.txt'), '');
  expect((await stranger.send('GET', '/log/..%2flock.txt')).status).toBe(404);
  expect((await builder.send('PUT', `/log/${drv('1')}`, { ...encoded, body: text })).status).toBe(400);
  expect((await readFile(join(dir, 'log', drv('1')))).toString()).toBe(text.toString());
});
