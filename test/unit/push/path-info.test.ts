import { expect, test } from 'vitest';
import { FormatError } from '../../../agent/nix/error.ts';
import { formatHash } from '../../../agent/nix/hash.ts';
import { parsePathInfos, referencesFirst } from '../../../agent/push/path-info.ts';
import { MadeStore } from './made-store.ts';

const path = '/nix/store/f4f1fazwxa04c9kqd0nqk4lkdlim19y3-small-text';
const top = '/nix/store/dqsfy5yxcsj8cvipxn7bzlbn9w61nlgd-small-top';
const deriver = '/nix/store/ppcpqfkkkizjdnxfk4aqigfywp2gm5sk-small-top.drv';
const signature = `key-1:${Buffer.alloc(64).toString('base64')}`;
const narHash = 'sha256-XrlUBYGhxwE+mN/wq8ldpcx8wvec3xDNPb3VfH/CJs4=';
const ca = 'text:sha256:0qpkfmgiyyq8zsx8mda3icvll6cl3aw0qm33c202byz4ppz5j666';

/** As these versions answer. */
const answers: Record<string, unknown> = {
  '2.8': [
    {
      path: top,
      narHash,
      narSize: 272,
      references: [path],
      deriver,
      registrationTime: 1,
      signatures: [signature],
    },
    { path, narHash, narSize: 144, references: [], ca, registrationTime: 1 },
  ],
  '2.26': {
    [top]: {
      ca: null,
      deriver,
      narHash,
      narSize: 272,
      references: [path],
      signatures: [signature],
      ultimate: true,
    },
    [path]: { ca, deriver: null, narHash, narSize: 144, references: [], signatures: [], ultimate: false },
  },
};

test.each(Object.entries(answers))('the answer of Nix %s is read', (_, answer) => {
  const [first, second] = parsePathInfos(JSON.stringify(answer), '/nix/store');
  expect(first).toMatchObject({ narSize: 272, deriver: deriver.slice('/nix/store/'.length) });
  expect(first?.storePath.name).toBe('small-top');
  expect(first?.references.map(({ name }) => name)).toEqual(['small-text']);
  expect(first?.signatures.map(({ keyName }) => keyName)).toEqual(['key-1']);
  expect(first && formatHash(first.narHash, 'sri')).toBe(narHash);
  expect(second).toMatchObject({ ca, signatures: [], references: [] });
  expect([first && 'ca' in first, second && 'deriver' in second]).toEqual([false, false]);
});

test.each([
  ['2.8', [{ path, valid: false }]],
  ['2.26', { [path]: null }],
])('a path that Nix %s calls invalid is named', (_, answer) => {
  expect(() => parsePathInfos(JSON.stringify(answer), '/nix/store')).toThrow(
    new FormatError('no-such-path', `The path "${path}" is not in the store of this machine.`),
  );
});

test.each(['', 'null', '{"version":9}', '[1]', '{"a":{"narSize":-1}}'])('%j is no answer', (text) => {
  expect(() => parsePathInfos(text, '/nix/store')).toThrow(FormatError);
});

test('sorted, each path comes after what it refers to, itself apart, also in a chain that is long', () => {
  const store = new MadeStore();
  let last = store.add('p0', Buffer.from('0'));
  for (let n = 1; n < 20_000; n++) last = store.add(`p${n}`, Buffer.from(`${n}`), [last]);
  const self = { ...last, references: [...last.references, last.storePath] };
  const sorted = referencesFirst([self, ...store.infos.slice(0, -1).reverse()]);
  expect(sorted.map(({ storePath }) => storePath.name)).toEqual(store.infos.map((_, n) => `p${n}`));
});
