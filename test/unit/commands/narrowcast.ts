import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach } from 'vitest';

/** A directory that goes when the test file has ended. */
export const dir = mkdtempSync(join(tmpdir(), 'narrowcast-commands-'));
afterAll(() => rmSync(dir, { recursive: true }));

export const main = fileURLToPath(new URL('../../../agent/main.ts', import.meta.url));

// The configuration of the machine that runs the tests must not count.
const empty = join(dir, 'empty.toml');
writeFileSync(empty, '');

/** What a process said and how it ended: its exit code or the signal that killed it. */
export interface Ended {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `narrowcast` with these words to its end. */
export async function narrowcast(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = node([main, ...args], env);
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
  return { code, stdout, stderr };
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts node with these words. What still runs when the test has ended is killed. */
export function node(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, {
    cwd: dir,
    env: { ...process.env, NARROWCAST_CONFIG: empty, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** The exit code of a process, or the signal that killed it. */
export async function exitOf(child: ChildProcess): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode ?? 'unknown';
}

/** A log line. */
export type Entry = Readonly<Record<string, unknown>>;

/** The log of a process: waits for a line with this message, and keeps all that came. */
export function logOf({ stderr }: ReturnType<typeof node>) {
  const entries: Entry[] = [];
  const lines = createInterface({ input: stderr })[Symbol.asyncIterator]();
  const next = async (): Promise<Entry | undefined> => {
    const { done, value } = await lines.next();
    if (done) return undefined;
    const entry: Entry = value.startsWith('{') ? JSON.parse(value) : { text: value };
    entries.push(entry);
    return entry;
  };
  return {
    entries,
    async until(message: string): Promise<Entry> {
      for (;;) {
        const entry = await next();
        if (entry === undefined)
          throw new Error(`The log ended without '${message}': ${JSON.stringify(entries)}`);
        if (entry['msg'] === message) return entry;
      }
    },
    async toEnd(): Promise<Entry[]> {
      while ((await next()) !== undefined);
      return entries;
    },
  };
}
