import { join } from 'node:path';
import { ready } from '../../e2e/discovery/lab.ts';
import { must, type Scenario, storeWithAll } from '../scenario.ts';

/** DESIGN 1, sixth scene. */
export const hostileCafe: Scenario = {
  name: 'hostile-cafe',
  about:
    'a machine in the café announces itself as a cache and gives wrong NARs; it costs a little time and nothing else',
  play: async (stage) => {
    const { world, fixture, timeline } = stage;
    const options = { dir: fixture.dir, malice: 'wrong-nars', port: 6271, trap: 'http://10.9.0.1/trap' };
    const program = join(import.meta.dirname, '../../e2e/harness/hostile-cache.ts');
    const attacker = world.lab.spawn('attacker', process.execPath, [program, JSON.stringify(options)]);
    await ready(attacker, 'stdout', /ready/);
    let asked = 0;
    attacker.stdout?.on('data', (text) => {
      asked += String(text).split('"/nar/').length - 1;
    });
    timeline.say('attacker', 'announces a cache with wrong NARs');
    world.carry('laptop', 'cafe');
    const agent = await world.agent('laptop');
    await agent.logged('cache found on the LAN');
    await storeWithAll(stage, 'laptop', agent.url);
    must(timeline, asked > 0, `the attacker gave ${asked} NARs, all of them wrong`);
  },
};
