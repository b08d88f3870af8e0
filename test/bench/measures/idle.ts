import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'smol-toml';
import { Lab, labForbidden } from '../../e2e/discovery/lab.ts';
import { compiled } from '../compiled.ts';
import type { Row } from '../report.ts';
import { cpuSeconds } from '../usage.ts';
import type { Measure } from './measure.ts';

/** An agent that nobody asks anything, on a LAN. */
export const idle: Measure = {
  name: 'idle',
  async take({ short }) {
    const forbidden = labForbidden();
    if (forbidden !== undefined) return { name: 'idle', method: `Not measured: ${forbidden}.`, rows: [] };
    const seconds = short ? 5 : 60;
    return {
      name: 'idle',
      method: `An agent with discovery and the LAN face switched on, alone on a LAN of network namespaces: ${seconds} s, from 10 s after its start on. Wake-ups are the voluntary context switches of all its threads.`,
      rows: await observe(seconds),
    };
  },
};

async function observe(seconds: number): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'narrowcast-idle-'));
  const file = join(directory, 'narrowcast.toml');
  const cache = { dir: join(directory, 'cache') };
  await writeFile(file, stringify({ substituters: [], 'log-level': 'warn', cache }));
  const lab = new Lab();
  try {
    lab.addLan('home');
    lab.addHost('laptop');
    lab.plug('laptop', 'eth0', 'home', '10.9.0.2');
    const agent = lab.spawn('laptop', process.execPath, [await compiled(), 'serve', '--config', file]);
    const pid = agent.pid ?? 0;
    await setTimeout(10_000);
    const before = { cpu: await cpuSeconds(pid), wakeUps: await wakeUps(pid) };
    await setTimeout(seconds * 1_000);
    const cpu = (await cpuSeconds(pid)) - before.cpu;
    const woken = (await wakeUps(pid)) - before.wakeUps;
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    const row = (what: string, unit: string, figure: number) => ({
      what,
      unit,
      relay: [figure],
      beside: [],
    });
    return [
      { ...row('RSS', 'MiB', Number(resident) / 1_024), aim: { atMost: 80 } },
      { ...row('CPU', '% of a core', (100 * cpu) / seconds), aim: { atMost: 0.3 } },
      row('wake-ups', 'a minute', (60 * woken) / seconds),
    ];
  } finally {
    await lab.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function wakeUps(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const statuses = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')),
  );
  const counts = statuses.map((status) => Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]));
  return counts.reduce((sum, count) => sum + count, 0);
}
