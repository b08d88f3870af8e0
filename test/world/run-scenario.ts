import { smallClosure } from '../fixtures/closure.ts';
import type { Scenario } from './scenario.ts';
import { Timeline } from './timeline.ts';
import { World } from './world.ts';

/** No scenario goes on for longer, in ms. */
const longest = 120_000;

/** Plays a scenario in a world of its own, printing its timeline. Returns whether everything was as it must be. */
export async function runScenario({ name, about, play }: Scenario): Promise<boolean> {
  process.stdout.write(`\n${name}: ${about}\n`);
  const fixture = await smallClosure();
  using timeline = new Timeline();
  await using world = await World.start(fixture, timeline);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${longest / 1_000} s`)), longest);
  });
  try {
    await Promise.race([play({ world, fixture, timeline }), late]);
    return true;
  } catch (error) {
    timeline.say('✗', error instanceof Error ? error.message : String(error));
    return false;
  } finally {
    clearTimeout(timer);
  }
}
