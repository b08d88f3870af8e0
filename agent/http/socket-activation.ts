/** A listening socket that the service manager has opened and keeps open while this process restarts. */
export interface ActivatedSocket {
  readonly fd: number;
  /** `FileDescriptorName=` of its socket unit, or that unit's name. */
  readonly name: string;
}

const firstFd = 3;
const maxSockets = 16;

/**
 * The sockets that systemd passed to this process, none when it was started otherwise: `LISTEN_PID`, `LISTEN_FDS` and
 * `LISTEN_FDNAMES` as sd_listen_fds(3) says. Variables meant for another process, such as a parent, do not count.
 */
export function activatedSockets(
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): readonly ActivatedSocket[] {
  const { LISTEN_PID, LISTEN_FDS = '', LISTEN_FDNAMES = '' } = env;
  if (LISTEN_PID !== String(pid) || !/^[1-9]\d?$/.test(LISTEN_FDS)) return [];
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: Math.min(Number(LISTEN_FDS), maxSockets) }, (_, index) => ({
    fd: firstFd + index,
    name: names[index] || 'unknown',
  }));
}
