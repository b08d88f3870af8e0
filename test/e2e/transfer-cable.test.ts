import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Lab, labForbidden } from './discovery/lab.ts';
import { type BigNar, bigNar } from './harness/big-nar.ts';
import { figuresTold } from './harness/figures.ts';
import { LanNginx } from './harness/lan-nginx.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { RelayProcess } from './harness/relay-process.ts';
import { skippable } from './harness/skippable.ts';

/** Silence for so long, in ms, is a stall. */
const stall = 2_000;

skippable(describe, labForbidden() ?? privateStoreSkipReason())(
  'the cable of a cache on the LAN',
  {
    timeout: 90_000,
  },
  () => {
    const figures = figuresTold();
    let big: BigNar;
    let lab: Lab;

    beforeAll(async () => {
      big = await bigNar(20);
    });
    beforeEach(() => {
      lab = new Lab();
      lab.addLan('home');
      for (const [n, host] of ['laptop', 'pi', 'web'].entries()) {
        lab.addHost(host);
        lab.plug(host, 'eth0', 'home', `10.7.0.${n + 1}`);
      }
      lab.exec('pi', 'tc', 'qdisc add dev eth0 root tbf rate 24mbit burst 32kb latency 20ms'.split(' '));
    });
    afterEach(() => lab.close());

    /** Bytes that a host has sent. */
    const sent = (host: string): number =>
      JSON.parse(lab.exec(host, 'ip', ['-json', '-stats', 'link', 'show', 'eth0']))[0].stats64.tx.bytes;

    test.for([10, 50, 99])(
      'is cut at %i %: real Nix notices nothing, and next to nothing comes twice',
      async (at) => {
        const { dir, fileSize } = big.caches.xz;
        await using _pi = await LanNginx.start(lab, 'pi', dir);
        await using web = await LanNginx.start(lab, 'web', dir);
        await using relay = await RelayProcess.start(
          {
            substituters: ['http://10.7.0.3'],
            'trusted-public-keys': [big.publicKey],
            'stalled-download-timeout': `${stall / 1_000}s`,
            lan: { discover: false, advertise: false, listen: '', peers: ['http://10.7.0.2'] },
          },
          { inside: lab.on('laptop') },
        );
        await relay.logged('cache found on the LAN');
        await using store = await PrivateStore.create({
          inside: lab.on('laptop'),
          options: { 'trusted-public-keys': big.publicKey },
        });
        const copying = store.run(['nix', 'copy', '--from', relay.url, big.path]);
        while (sent('pi') < (fileSize * at) / 100) await setTimeout(10);
        lab.disconnect('pi', 'eth0');
        const cut = Date.now();
        const { code, stderr } = await copying;
        expect(code, stderr).toBe(0);
        expect(stderr).not.toMatch(/retrying/);
        await store.mustVerify([big]);

        const { time } = await relay.logged('transfer interrupted');
        const noticing = Date.parse(String(time)) - cut;
        const [nar, ...more] = (await web.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
        expect(more).toEqual([]);
        expect(nar?.status).toBe(206);
        figures.push(
          `cut at ${at} %: noticed after ${noticing} ms; the other cache gave ${nar?.bytes} of ${fileSize} bytes`,
        );
        expect(noticing).toBeLessThan(stall + 3_000);
        // What had come is not asked for again: only what the shaper and the cable held.
        expect(nar?.bytes).toBeLessThan(fileSize * (1 - at / 100) + 200_000);
      },
    );
  },
);
