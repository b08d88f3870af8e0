import { spawnSync } from 'node:child_process';

const mark = 'NARROWCAST_WORLD';
const setup = [
  'mkdir -p /run/netns',
  'mount -t tmpfs tmpfs /run/netns',
  'ip link set lo up',
  'ip link add lan0 type veth peer name lan1',
  ...['10.77.0.1', '10.77.0.2', '203.0.113.1', '203.0.113.2'].map(
    (address) => `ip addr add ${address}/24 dev lan0`,
  ),
  'ip link set lan0 up',
  'ip link set lan1 up',
].join(' && ');
/** When this process dies, however it does, the kernel ends every process in there and removes every namespace with the last. */
const unshared = [
  '--pdeathsig',
  'KILL',
  'unshare',
  '--net',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
];

/** Why there can be no world of its own here, in one sentence; undefined when there can. */
export function ownWorldForbidden(): string | undefined {
  if (process.env[mark] === 'own') return undefined;
  const { status, stderr, error } = spawnSync('setpriv', [...unshared, 'sh', '-c', setup], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `no namespaces can be made here: ${(error?.message ?? stderr).trim()}`;
}

/**
 * Runs this program again with networks, mounts and processes of its own, and ends with its exit code; returns when this is that second
 * run. Nothing leads out of there. This machine has the addresses 10.77.0.1 and .2, as on a LAN, and 203.0.113.1 and .2, as on the internet.
 */
export function inOwnWorld(): void {
  if (process.env[mark] === 'own') return;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync(
    'setpriv',
    [...unshared, 'sh', '-c', `${setup} && exec "$@"`, 'sh', ...again],
    {
      stdio: 'inherit',
      env: { ...process.env, [mark]: 'own' },
    },
  );
  process.exit(status ?? 1);
}
