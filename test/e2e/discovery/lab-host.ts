import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { kill, type Lab } from './lab.ts';

/** What a host printed: see host.ts. */
export interface HostEvent {
  readonly at: number;
  readonly event: string;
  readonly url?: string;
  readonly [more: string]: unknown;
}

/** Discovery running on a host of the lab. */
export interface LabHost {
  readonly events: readonly HostEvent[];
  readonly process: ChildProcess;
  /** The first event that fits, of those after `since` (ms since the epoch); waits for it up to `within` ms. */
  until(fits: (event: HostEvent) => boolean, since?: number, within?: number): Promise<HostEvent>;
  /** Sends it a command. */
  tell(command: string): void;
  /**
   * What it takes: resident memory in bytes and CPU time in ms; and since it was told `watchDelay` the longest
   * delay of its event loop in ms, by the clock (`delay`) and by its own CPU time (`held`), to which other
   * programs on the machine add nothing.
   */
  measure(): Promise<{ rss: number; cpu: number; delay: number; held: number }>;
  /** Asks it to stop, and waits for its end. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const program = fileURLToPath(new URL('host.ts', import.meta.url));

/** Starts discovery on a host, and waits until it has started. */
export async function startHost(lab: Lab, host: string, options: object): Promise<LabHost> {
  const child = lab.spawn(host, process.execPath, [program, JSON.stringify(options)]);
  const events: HostEvent[] = [];
  const watchers = new Set<() => void>();
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  if (!child.stdout) throw new Error('the host has no output');
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line));
    for (const watcher of [...watchers]) watcher();
  });
  const until: LabHost['until'] = (fits, since = 0, within = 15_000) =>
    new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        watchers.delete(look);
        settle();
      };
      const look = () => {
        const found = events.find((event) => event.at >= since && fits(event));
        if (found) end(() => resolve(found));
      };
      const timer = setTimeout(() => {
        const seen = events.map((event) => JSON.stringify(event)).join('\n');
        end(() => reject(new Error(`${host}: not within ${within} ms; ${errors}\n${seen}`)));
      }, within);
      watchers.add(look);
      look();
    });
  const died = new Promise<never>((_, reject) =>
    child.once('exit', () => reject(new Error(`${host} ended: ${errors}`))),
  );
  died.catch(() => {}); // later on, an end is a matter of the test
  await Promise.race([until(({ event }) => event === 'started'), died]);
  return {
    events,
    process: child,
    until,
    tell: (command) => child.stdin?.write(`${command}\n`),
    measure: async () => {
      const asked = Date.now();
      child.stdin?.write('measure\n');
      const { rss, cpu, delay, held } = await until(({ event }) => event === 'measured', asked);
      return { rss: Number(rss), cpu: Number(cpu), delay: Number(delay), held: Number(held) };
    },
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.stdin?.write('stop\n');
      await exited;
    },
    kill: () => kill(child),
  };
}

/** Fits a peer's coming up. */
export function up(url: string): (event: HostEvent) => boolean {
  return (event) => event.event === 'up' && event.url === url;
}

/** Fits a peer's going down. */
export function down(url: string): (event: HostEvent) => boolean {
  return (event) => event.event === 'down' && event.url === url;
}
