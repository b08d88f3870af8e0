import { mustRun } from '../../e2e/harness/run-command.ts';
import { compiled, fromSources } from '../compiled.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { tried } from '../tried.ts';
import type { Measure } from './measure.ts';

/** From spawning the process to its first answer. */
export const start: Measure = {
  name: 'start',
  async take({ rounds }) {
    const program = await compiled();
    const results = await inTurn(3 * rounds, {
      compiled: () => firstAnswer(program),
      sources: () => firstAnswer(fromSources),
      node: async () => (await mustRun([process.execPath, '-e', '0'])).ms,
    });
    const node = { name: 'node -e 0', samples: results.map(({ node }) => node) };
    const row = (what: string, relay: number[]): Row => ({
      what,
      unit: 'ms',
      relay,
      beside: [node],
      aim: { atMost: 300, tried: tried.start },
    });
    return {
      name: 'start',
      method:
        'From spawning the process, with an empty cache directory, to the first whole 200 for /nix-cache-info, where it was started before; beside a Node that does nothing.',
      rows: [
        row(
          'first answer, as packaged',
          results.map(({ compiled }) => compiled),
        ),
        row(
          'first answer, npm start',
          results.map(({ sources }) => sources),
        ),
      ],
    };
  },
};

async function firstAnswer(program: string): Promise<number> {
  await using relay = await Relay.start({ program, substituter: 'http://127.0.0.1:9' });
  return relay.startedIn;
}
