import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, describe, expect, test } from 'vitest';
import { kill, Lab, labForbidden } from './discovery/lab.ts';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { Nginx } from './harness/nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

let big: BigNar;
beforeAll(async () => {
  big = await bigNar(20);
});

/** What Nix says when it was given a wrong byte, which fails a build whatever else could have been done. */
const wrongByte = /hash mismatch/;

/** Real Nix takes the path from a relay into a fresh store. */
async function copied(relay: RelayProcess, lab?: Lab): Promise<{ code: number | null; stderr: string }> {
  await using store = await PrivateStore.create({
    ...(lab && { inside: lab.on('laptop') }),
    options: { 'trusted-public-keys': big.publicKey },
  });
  const { code, stderr } = await store.run(['nix', 'copy', '--from', relay.url, big.path]);
  if (code === 0) await store.mustVerify([big]);
  return { code, stderr };
}

skippable(describe, privateStoreSkipReason())(
  'a cache that the operator named, and that lies',
  {
    timeout: 120_000,
  },
  () => {
    /** The cache with one bit turned over in its NAR at that byte. */
    async function lying(dir: string, at: number): Promise<string> {
      const { none } = big.caches;
      await cp(none.dir, dir, { recursive: true });
      const file = join(dir, none.url);
      const bytes = await readFile(file);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await writeFile(file, bytes);
      return dir;
    }

    async function between(at: number, then: (relay: RelayProcess) => Promise<void>): Promise<void> {
      await using directory = await TemporaryDirectory.create('liar');
      await using liar = await Nginx.start(await lying(join(directory.path, 'lies'), at));
      await using web = await Nginx.start(big.caches.xz.dir);
      await using relay = await RelayProcess.start({
        substituters: [web.url],
        'trusted-public-keys': [big.publicKey],
        lan: { discover: false, advertise: false, listen: '', peers: [liar.url] },
      });
      await relay.logged('cache found on the LAN');
      await then(relay);
    }

    test('I3: in the middle: Nix is never told that all is well, and the next try succeeds', async () => {
      await between(big.narSize >> 1, async (relay) => {
        const first = await copied(relay);
        expect(first.stderr).not.toMatch(wrongByte);
        expect((await relay.logged('source gave a wrong NAR'))['alone']).toBe(true);
        expect(first.code).not.toBe(0);
        expect(await copied(relay)).toMatchObject({ code: 0 });
      });
    });

    test('I6: in its last bytes, which nobody had yet: Nix notices nothing', async () => {
      await between(big.narSize - 1_000, async (relay) => {
        expect(await copied(relay)).toMatchObject({ code: 0 });
        await relay.logged('source gave a wrong NAR');
      });
    });
  },
);

skippable(describe, labForbidden() ?? privateStoreSkipReason())(
  'a cache that was found on the LAN, and that lies',
  {
    timeout: 120_000,
  },
  () => {
    test.for([false, true])(
      'I3: nobody is given a byte of it; with a true cache beside it: %s',
      async (beside) => {
        const lab = new Lab();
        try {
          lab.addLan('cafe');
          for (const [n, host] of ['laptop', 'evil', 'web'].entries()) {
            lab.addHost(host);
            lab.plug(host, 'eth0', 'cafe', `10.7.0.${n + 1}`);
          }
          await using web = await LanNginx.start(lab, 'web', big.caches.xz.dir);
          const options = { dir: big.caches.none.dir, malice: 'wrong-nars', port: 6271, trap: '' };
          const program = join(import.meta.dirname, 'harness/hostile-cache.ts');
          const evil = lab.spawn('evil', process.execPath, [program, JSON.stringify(options)]);
          const asked: string[] = [];
          if (evil.stdout !== null)
            createInterface({ input: evil.stdout }).on('line', (line) => asked.push(line));
          await using relay = await RelayProcess.start(
            {
              substituters: beside ? ['http://10.7.0.3'] : [],
              'trusted-public-keys': [big.publicKey],
              lan: { advertise: false, listen: '' },
            },
            { inside: lab.on('laptop') },
          );
          await relay.logged('cache found on the LAN');
          const { code, stderr } = await copied(relay, lab);
          expect(stderr).not.toMatch(wrongByte);
          expect(asked.some((line) => line.includes('/nar/'))).toBe(true);
          await relay.logged('source gave a wrong NAR');
          // Without another cache the path is 'not here', so that Nix would build it.
          expect(code === 0, stderr).toBe(beside);
          expect((await web.requests()).some(({ uri }) => uri.includes('/nar/'))).toBe(beside);
          await kill(evil);
        } finally {
          await lab.close();
        }
      },
    );
  },
);
