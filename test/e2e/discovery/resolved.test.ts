import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, labForbidden } from './lab.ts';
import { type LabHost, startHost, up } from './lab-host.ts';
import { resolvedMissing, startResolved } from './resolved.ts';

const forbidden = labForbidden() ?? resolvedMissing();
if (forbidden) process.stdout.write(`skipped: discovery beside systemd-resolved: ${forbidden}\n`);

const soon = { timeout: 15_000 };

describe.skipIf(forbidden)('discovery beside systemd-resolved', () => {
  let lab: Lab;
  let hosts: LabHost[] = [];

  afterEach(async () => {
    await Promise.all(hosts.map((host) => host.kill()));
    hosts = [];
    await lab.close();
  });

  async function start(host: string): Promise<LabHost> {
    const started = await startHost(lab, host, { id: `${host}0000`, port: 6271 });
    hosts.push(started);
    return started;
  }

  it.for(['first', 'last'])(
    'both keep working when discovery is started %s',
    { timeout: 60_000 },
    async (when) => {
      lab = new Lab();
      lab.addLan('home');
      for (const [i, host] of ['pi', 'other'].entries()) {
        lab.addHost(host);
        lab.plug(host, 'eth0', 'home', `10.7.0.${i + 1}`);
      }
      if (when === 'first') for (const host of ['pi', 'other']) await start(host);
      const here = await startResolved(lab, 'pi');
      const there = await startResolved(lab, 'other');
      if (when === 'last') for (const host of ['pi', 'other']) await start(host);
      const [pi, other] = hosts;
      if (!pi || !other) throw new Error('two hosts were started');

      await Promise.all([pi.until(up('http://10.7.0.2:6271/')), other.until(up('http://10.7.0.1:6271/'))]);
      await expect.poll(() => here.query('narrowcast-other0000.local'), soon).toBe('10.7.0.2');
      await expect.poll(() => there.query('narrowcast-pi0000.local'), soon).toBe('10.7.0.1');
      await expect.poll(() => there.query('resolved-pi.local'), soon).toBe('10.7.0.1');
      const query = fileURLToPath(new URL('unicast-query.ts', import.meta.url));
      const answered = lab.exec('other', process.execPath, [query, '10.7.0.1', 'resolved-pi.local', '20']);
      expect(Number(answered)).toBe(20);
      for (const host of hosts) expect(host.events.filter(({ event }) => event === 'trouble')).toEqual([]);
    },
  );
});
