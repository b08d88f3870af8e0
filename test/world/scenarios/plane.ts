import { smallExpression } from '../../fixtures/closure.ts';
import { must, type Scenario, storeWithAll } from '../scenario.ts';

/** DESIGN 1, third scene. */
export const plane: Scenario = {
  name: 'plane',
  about: 'with no network what is cached comes, what is not is known to be away at once, and builds go on',
  play: async (stage) => {
    const { world, fixture, timeline } = stage;
    const agent = await world.agent('laptop');
    const before = await world.store('laptop', agent.url);
    await world.run('laptop', before, ['nix-store', '--realise', fixture.top]);
    world.unplug('laptop');
    timeline.say('laptop', 'takes off');
    await agent.logged('network changed');
    const crossed = world.overUplink;

    const store = await storeWithAll(stage, 'laptop', agent.url);
    const said = await world.run('laptop', store, [
      'nix-build',
      '--no-out-link',
      '-A',
      'wanted',
      smallExpression,
    ]);
    must(timeline, /^building '.*-small-wanted\.drv'/m.test(said), 'what is in no cache was built');
    const asked = performance.now();
    const { status } = await world.get('laptop', `${agent.url}/${'0'.repeat(32)}.narinfo`);
    const ms = performance.now() - asked;
    must(
      timeline,
      status === 404 && ms < 1_000,
      `an unknown path was answered 404 in ${ms.toFixed(0)} ms, curl's start included`,
    );
    must(timeline, world.overUplink === crossed, 'nothing crossed the uplink');
  },
};
