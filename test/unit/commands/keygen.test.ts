import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSecretKey } from '../../../agent/nix/secret-key.ts';
import { parsePublicKey } from '../../../agent/nix/signature.ts';
import { dir, main, narrowcast } from './narrowcast.ts';

let made = 0;
function freshFiles() {
  const folder = join(dir, `keys-${made++}`);
  mkdirSync(folder);
  return { secret: join(folder, 'secret'), public: join(folder, 'public') };
}

function keygen(files: Partial<ReturnType<typeof freshFiles>>, name = 'test-1') {
  const secret = files.secret === undefined ? [] : ['--secret-key-file', files.secret];
  const pub = files.public === undefined ? [] : ['--public-key-file', files.public];
  return narrowcast(['keygen', name, ...secret, ...pub]);
}

test('without files both keys go to stdout, the secret one first', async () => {
  const { code, stdout, stderr } = await keygen({});
  expect([code, stderr]).toEqual([0, '']);
  const [secret = '', pub = '', rest] = stdout.split('\n');
  expect([parseSecretKey(secret).name, parsePublicKey(pub).name, rest]).toEqual(['test-1', 'test-1', '']);
});

test('each file takes one of them away', async () => {
  const files = freshFiles();
  expect((await keygen({ secret: files.secret })).stdout).toMatch(/^test-1:\S{44}\n$/);
  expect((await keygen({ public: files.public })).stdout).toMatch(/^test-1:\S{88}\n$/);
  expect((await keygen(freshFiles())).stdout).toBe('');
});

test('the files are like those of nix-store --generate-binary-cache-key, and the secret is for the owner only', async () => {
  const [ours, theirs] = [freshFiles(), freshFiles()];
  expect((await keygen(ours)).code).toBe(0);
  execFileSync('nix-store', ['--generate-binary-cache-key', 'test-1', theirs.secret, theirs.public]);
  for (const kind of ['secret', 'public'] as const) {
    const shape = (file: string) =>
      readFileSync(file, 'utf8').replace(/[A-Za-z0-9+/]+(=*)$/, (key) => `${key.length}`);
    expect(shape(ours[kind])).toBe(shape(theirs[kind]));
  }
  expect(statSync(ours.secret).mode & 0o777).toBe(0o600);
});

describe('a file that exists is never overwritten', () => {
  test.each(['secret', 'public'] as const)('%s', async (kind) => {
    const files = freshFiles();
    writeFileSync(files[kind], 'precious');
    const { code, stdout, stderr } = await keygen(files);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      `narrowcast: ${files[kind]} was not written: it exists, and a key is never overwritten: choose another name.\n`,
    );
    expect(readFileSync(files[kind], 'utf8')).toBe('precious');
    expect(readdirSync(join(files[kind], '..'))).toEqual([kind]);
  });

  test('not even by the other one', async () => {
    const { secret } = freshFiles();
    expect((await keygen({ secret, public: secret })).code).toBe(1);
    expect(existsSync(secret)).toBe(false);
  });
});

test('a folder that does not exist is an error with the reason', async () => {
  const { code, stderr } = await keygen({ secret: '/nonexistent/secret' });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^narrowcast: \/nonexistent\/secret was not written: .*ENOENT/);
});

describe('on a terminal', () => {
  function onTerminal(...args: string[]): string {
    const command = [process.execPath, main, 'keygen', 'test-1', ...args, '; echo "code $?"'].join(' ');
    return execFileSync('script', ['-qc', command, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, SHELL: '/bin/sh' },
    });
  }

  test('a secret is not shown', () => {
    const shown = onTerminal();
    expect(shown).toContain(
      'narrowcast: The secret key would appear on this terminal: add --secret-key-file FILE',
    );
    expect(shown).toContain('code 2');
    expect(shown).not.toContain('test-1:');
  });

  test('a public key is', () => {
    const { secret } = freshFiles();
    expect(onTerminal('--secret-key-file', secret)).toMatch(/^test-1:\S{44}\r\ncode 0/);
  });
});

describe('real Nix', () => {
  const env = { ...process.env, HOME: dir, XDG_CACHE_HOME: join(dir, 'nix-cache') };
  const nix = (...args: string[]) =>
    execFileSync('nix', ['--extra-experimental-features', 'nix-command', ...args], {
      env,
      stdio: 'pipe',
      encoding: 'utf8',
    });

  /** A binary cache with one path that only a signature can vouch for. */
  function unsignedCache() {
    const root = join(dir, 'root');
    const file = join(dir, 'file');
    writeFileSync(file, 'some content\n');
    const path = execFileSync('nix-store', ['--store', `local?root=${root}`, '--add', file], {
      env,
      encoding: 'utf8',
    }).trim();
    nix('copy', '--from', `local?root=${root}`, '--to', `file://${dir}/cache`, path);
    const narinfo = join(dir, 'cache', `${path.slice('/nix/store/'.length).slice(0, 32)}.narinfo`);
    writeFileSync(narinfo, readFileSync(narinfo, 'utf8').replace(/^CA: .*\n/m, ''));
    return { store: `file://${dir}/cache`, path, narinfo };
  }

  test('signs with the secret file and verifies with the public one', async () => {
    const [files, others] = [freshFiles(), freshFiles()];
    await Promise.all([keygen(files), keygen(others)]);
    const { store, path, narinfo } = unsignedCache();
    const verify = ({ public: file }: typeof files) => {
      rmSync(env.XDG_CACHE_HOME, { recursive: true, force: true });
      return nix(
        'store',
        'verify',
        '--store',
        store,
        '--sigs-needed',
        '1',
        '--trusted-public-keys',
        readFileSync(file, 'utf8'),
        path,
      );
    };
    expect(() => verify(files)).toThrow('is untrusted');
    nix('store', 'sign', '--store', store, '-k', files.secret, path);
    expect(readFileSync(narinfo, 'utf8')).toMatch(/^Sig: test-1:/m);
    verify(files);
    expect(() => verify(others)).toThrow('is untrusted');
  });
});
