import { readFile } from 'node:fs/promises';

/** Ticks of /proc a second: a constant of Linux's interface to programs. */
const ticks = 100;

/** CPU time that a process and its finished children have taken so far, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user = 0, system = 0, childrensUser = 0, childrensSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  return (user + system + childrensUser + childrensSystem) / ticks;
}
