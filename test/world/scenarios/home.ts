import { must, type Scenario, storeWithAll } from '../scenario.ts';

/** DESIGN 1, first scene. */
export const home: Scenario = {
  name: 'home',
  about: 'a Pi with a directory behind nginx gives what it has, and none of that crosses the uplink',
  play: async (stage) => {
    const { world, fixture, timeline } = stage;
    await world.nginxPi();
    const agent = await world.agent('laptop');
    await agent.logged('cache found on the LAN');
    await storeWithAll(stage, 'laptop', agent.url);
    const { overUplink } = world;
    must(timeline, overUplink < 20_000, `${overUplink} bytes crossed the uplink, of ${sum(fixture)}`);
  },
};

function sum({ paths }: { paths: readonly { fileSize: number }[] }): number {
  return paths.reduce((bytes, { fileSize }) => bytes + fileSize, 0);
}
