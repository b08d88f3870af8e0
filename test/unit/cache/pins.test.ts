import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Pins } from '../../../agent/cache/pins.ts';
import { storeDir } from './support/sample.ts';
import { temporaryDirectory } from './support/temporary.ts';

const one = `${storeDir}/${'1'.repeat(32)}-one`;
const two = `${storeDir}/${'2'.repeat(32)}-two`;

test('pins are files with a path, listed by name, replaced and removed', async () => {
  const dir = await temporaryDirectory();
  const pins = new Pins(dir, storeDir);
  expect(await pins.list()).toEqual([]);
  await pins.pin('work', one);
  await pins.pin('home', two);
  expect(await new Pins(dir, storeDir).list()).toEqual([
    { name: 'home', path: two },
    { name: 'work', path: one },
  ]);
  await pins.pin('work', two);
  expect(await pins.list()).toContainEqual({ name: 'work', path: two });
  expect(await pins.unpin('work')).toBe(true);
  expect(await pins.unpin('work')).toBe(false);
  expect(await readdir(join(dir, 'pins'))).toEqual(['home']);
});

test('a name that is none and a path that is in no store are refused', async () => {
  const pins = new Pins(await temporaryDirectory(), storeDir);
  for (const name of ['', '.', '..', '../nar/x', 'a/b', '.hidden', 'a b', 'x'.repeat(101)]) {
    await expect(pins.pin(name, one)).rejects.toMatchObject({ code: 'bad-pin' });
    await expect(pins.unpin(name)).rejects.toMatchObject({ code: 'bad-pin' });
  }
  for (const path of ['', '/etc/passwd', `${one}/bin/sh`, '/gnu/store/x']) {
    await expect(pins.pin('name', path)).rejects.toMatchObject({ code: 'bad-store-path' });
  }
  expect(await pins.list()).toEqual([]);
});

test('what else lies among the pins is passed over', async () => {
  const dir = await temporaryDirectory();
  const pins = new Pins(dir, storeDir);
  await pins.pin('good', one);
  await writeFile(join(dir, 'pins', 'nonsense'), 'not a path');
  await writeFile(join(dir, 'pins', 'long'), one.repeat(100));
  await writeFile(join(dir, 'pins', '.good.123'), two);
  await mkdir(join(dir, 'pins', 'directory'));
  await writeFile(join(dir, 'pins', 'by-hand'), two);
  expect((await pins.list()).map(({ name }) => name)).toEqual(['by-hand', 'good']);
});
