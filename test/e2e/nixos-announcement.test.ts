import { expect, test } from 'vitest';
import { evaluate, nixos } from '../unit/nixos/evaluate.ts';
import { Lab, labForbidden } from './discovery/lab.ts';
import { startHost, up } from './discovery/lab-host.ts';
import { skippable } from './harness/skippable.ts';

skippable(test, labForbidden())(
  'a machine finds the cache that nginx serves and the module has avahi announce',
  async () => {
    const announcement: string = await evaluate(`(import ${nixos}/static-cache-parts.nix).announcement 6272`);
    const lab = new Lab();
    try {
      lab.addLan('home');
      for (const [i, host] of ['laptop', 'pi'].entries()) {
        lab.addHost(host);
        lab.plug(host, 'eth0', 'home', `10.7.0.${i + 1}`);
      }
      await startHost(lab, 'pi', { id: 'pi0000', port: 6272, browse: false, announce: false });
      await lab.avahi('pi', [announcement]);
      const laptop = await startHost(lab, 'laptop', { id: 'laptop0000', port: 6271 });
      const { name, origin } = await laptop.until(up('http://10.7.0.2:6272/'));
      expect([name, origin]).toEqual(['Nix cache on avahi-pi', '_http._tcp']);
    } finally {
      await lab.close();
    }
  },
);
