import { spawn } from 'node:child_process';
import type { Logger } from './log.ts';

/** What systemd learns of this process, as sd_notify(3) says. */
export interface ServiceManager {
  /** Requests are answered. From now on the watchdog is told, too, for as long as the event loop turns. */
  ready(status: string): void;
  /** The process is about to end. */
  stopping(): void;
}

/**
 * The service manager that started this process; without one (no `NOTIFY_SOCKET`) it does nothing. When it cannot be told,
 * that is logged once. Why a program is run for each message: docs/decisions/service-manager.md.
 */
export function serviceManager(
  log: Logger,
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): ServiceManager {
  if (!env['NOTIFY_SOCKET']) return { ready() {}, stopping() {} };
  let failed = false;
  const tell = (...assignments: string[]) => {
    const fail = (reason: string) => {
      if (!failed)
        log.warn({ reason }, 'systemd-notify failed: the service manager does not know how we are');
      failed = true;
    };
    const child = spawn('systemd-notify', assignments, { env, stdio: 'ignore' });
    child.once('error', ({ message }) => fail(message));
    child.once('exit', (code, signal) => {
      if (code !== 0) fail(`it ended with ${code ?? signal}`);
    });
    child.unref();
  };
  return {
    ready(status) {
      tell('READY=1', `STATUS=${status}`);
      const interval = watchdogInterval(env, pid);
      if (interval !== undefined) setInterval(() => tell('WATCHDOG=1'), interval / 2).unref();
    },
    stopping() {
      // From here on systemd ends what outlives the process, and nobody is left to mind.
      failed = true;
      tell('STOPPING=1');
    },
  };
}

/** `WatchdogSec=` of this process's unit in ms, as sd_watchdog_enabled(3) says. */
function watchdogInterval(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC = '', WATCHDOG_PID = String(pid) } = env;
  return /^[1-9]\d{0,11}$/.test(WATCHDOG_USEC) && WATCHDOG_PID === String(pid)
    ? Number(WATCHDOG_USEC) / 1_000
    : undefined;
}
