import { type ConfigSources, loadConfig } from '../config/load.ts';
import { NarrowcastError } from '../nix/error.ts';
import { printStorePath, type StorePath } from '../nix/store-path.ts';
import { Persistence } from '../push/persistence.ts';
import { type Plan, planPush } from '../push/plan.ts';
import { type PushEvents, push as pushPlanned } from '../push/push.ts';
import { Queue } from '../push/queue.ts';
import { systemClock } from '../telemetry/clock.ts';
import { PushTally } from './push/push-tally.ts';
import { pushablePath } from './push/pushable-path.ts';
import { openSession, type Session } from './push/session.ts';
import { destination, type PushWishes } from './push/wishes.ts';
import { counted, readableBytes } from './terminal/amounts.ts';
import { Display, endNeatly } from './terminal/display.ts';
import { UsageError } from './usage-error.ts';

/** What `push` was asked for beside the paths. */
export interface PushCommandWishes extends PushWishes {
  readonly to?: string;
  /** A queue, instead of a server. */
  readonly queue?: string;
  readonly root?: string;
  readonly dryRun?: true;
  readonly json?: true;
}

/** What `--json` prints. */
interface Report {
  readonly to: string;
  /** In the closure. */
  readonly paths: number;
  /** Those that were not there. */
  readonly missing: readonly string[];
  /** Bytes of packed NARs. */
  readonly pushed: { path: string; bytes: number }[];
  readonly failed: { path: string; why: string }[];
}

const never = new AbortController().signal;

/**
 * Sends store paths, with all that they refer to, to a cache that takes uploads: only what it lacks, and from where an earlier run
 * left off.
 * @throws UsageError; PushError for what ends it; NarrowcastError `not-pushed` when some of it is not there at the end
 */
export async function push(
  paths: readonly string[],
  wishes: PushCommandWishes,
  sources: ConfigSources,
): Promise<void> {
  const { to, queue } = wishes;
  if ((to === undefined) === (queue === undefined))
    throw new UsageError('Say where to push to: --to URL, or --queue DIR to leave it to push-daemon.');
  const config = await loadConfig(sources);
  const roots = await Promise.all(paths.map((path) => pushablePath(path, config.storeDir)));
  if (queue !== undefined) {
    const jobs = await Queue.open(queue, config.storeDir, []);
    return await jobs.add(roots.map((path) => printStorePath(path, config.storeDir)));
  }
  const url = destination(to ?? '');
  if (wishes.root !== undefined && roots.length !== 1)
    throw new UsageError('--root names one store path: push the others by themselves.');
  await using session = await openSession(url, wishes, config);
  const tally = new PushTally(systemClock);
  const display = new Display(() => tally.line(), wishes.json ? aside : undefined);
  endNeatly(display);
  // Neither the clock's timers nor idle connections keep the process alive.
  const alive = setInterval(() => {}, 60_000);
  display.start();
  try {
    await pushAll(roots, wishes, session, tally, display);
  } finally {
    clearInterval(alive);
    display.end();
  }
  if (tally.failures === 0) return;
  const failures = counted(tally.failures, 'path');
  throw new NarrowcastError('not-pushed', `${failures} could not be pushed; see above.`);
}

/** Where things are shown when stdout is for programs. */
const aside = { out: process.stderr, err: process.stderr, clock: systemClock };

async function pushAll(
  roots: readonly StorePath[],
  { root, dryRun, json }: PushCommandWishes,
  { store, server, options }: Session,
  tally: PushTally,
  display: Display,
): Promise<void> {
  const { storeDir } = options.signing;
  const plan = await planPush(roots, store, server, never);
  const report = reportOf(plan, server.name, storeDir);
  tally.planned(plan);
  if (!dryRun) {
    await pushPlanned(plan, { ...options, signal: never }, events(tally, display, report, storeDir));
    const [path] = roots;
    if (root !== undefined && path !== undefined && tally.failures === 0) {
      const persistence = new Persistence(systemClock, never);
      await persistence.of(() => server.setRoot(root, printStorePath(path, storeDir), never));
    }
  }
  display.end();
  if (json) process.stdout.write(`${JSON.stringify({ ...report, bytes: tally.bytes })}\n`);
  else if (dryRun) tellPlan(plan, storeDir);
  else display.say(tally.summary());
}

function events(tally: PushTally, display: Display, report: Report, storeDir: string): PushEvents {
  return {
    reached: (info, part) => tally.reached(info, part),
    sent: (bytes) => tally.sent(bytes),
    pushed({ storePath }, bytes) {
      tally.pushed();
      report.pushed.push({ path: printStorePath(storePath, storeDir), bytes });
      display.step(`pushed ${storePath.base} (${readableBytes(bytes)})`);
    },
    failed({ storePath }, why) {
      const path = printStorePath(storePath, storeDir);
      tally.failed();
      report.failed.push({ path, why });
      display.complain(`not pushed: ${path}: ${why}`);
    },
  };
}

function reportOf({ paths, missing }: Plan, to: string, storeDir: string): Report {
  const lacking = missing.map(({ storePath }) => printStorePath(storePath, storeDir));
  return { to, paths, missing: lacking, pushed: [], failed: [] };
}

function tellPlan({ paths, missing }: Plan, storeDir: string): void {
  for (const { storePath, narSize } of missing)
    process.stdout.write(`would push ${printStorePath(storePath, storeDir)} (${readableBytes(narSize)})\n`);
  const bytes = missing.reduce((sum, { narSize }) => sum + narSize, 0);
  const there = paths - missing.length;
  process.stdout.write(
    `${counted(missing.length, 'path')} to push (${readableBytes(bytes)} before compression), ${there} there\n`,
  );
}
