import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A function of the program and the CPU time that it took itself, without what it called. */
export interface Cost {
  readonly name: string;
  readonly ms: number;
  /** Of all time that the process was busy. */
  readonly share: number;
}

/** What V8 writes with `--cpu-prof` (Node 24), as far as it is used here; times in µs. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** V8's name for doing nothing. */
const idle = '(idle)';

/** The functions that took most, the most expensive first, from the one profile in a directory. */
export async function topFunctions(directory: string, count: number): Promise<Cost[]> {
  const [file] = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error(`There is no CPU profile in ${directory}.`);
  const profile: CpuProfile = JSON.parse(await readFile(join(directory, file), 'utf8'));
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const spent = new Map<string, number>();
  for (const [n, id] of profile.samples.entries()) {
    const name = names.get(id) ?? '?';
    if (name !== idle) spent.set(name, (spent.get(name) ?? 0) + (profile.timeDeltas[n] ?? 0) / 1_000);
  }
  const busy = [...spent.values()].reduce((sum, ms) => sum + ms, 0);
  return [...spent]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, ms]) => ({ name, ms, share: ms / busy }));
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName || '(anonymous)';
  return url === '' ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}
