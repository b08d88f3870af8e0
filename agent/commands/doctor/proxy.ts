import { type Finding, fault, ok } from './finding.ts';
import type { RunProgram } from './run-program.ts';

/** An environment in which Nix runs, and whose it is. */
export interface NixEnvironment {
  readonly of: string;
  readonly env: NodeJS.ProcessEnv;
}

/** That of Nix's daemon, as systemd starts it; undefined where systemd does not. */
export async function daemonEnvironment(run: RunProgram): Promise<NixEnvironment | undefined> {
  const ran = await run(['systemctl', 'show', 'nix-daemon.service', '--property=Environment', '--value']);
  if (ran?.code !== 0) return undefined;
  const assignments = [...ran.stdout.matchAll(/"(\w+)=([^"]*)"|(?<!\S)(\w+)=(\S*)/g)];
  const env = assignments.map(([, quoted, inQuotes, plain = '', value]) => [
    quoted ?? plain,
    inQuotes ?? value,
  ]);
  return { of: 'nix-daemon', env: Object.fromEntries(env) };
}

/** Whether a proxy is asked for the relay (curl's rules: for http `http_proxy` in small letters, else `all_proxy`). */
export function checkProxy(environments: readonly NixEnvironment[], host: string): Finding {
  const captured = environments.find(({ env }) => {
    const proxy = env['http_proxy'] || env['all_proxy'] || env['ALL_PROXY'];
    return proxy && !isExcepted(host, env['no_proxy'] || env['NO_PROXY'] || '');
  });
  if (captured === undefined) return ok('No proxy stands between Nix and narrowcast.');
  return fault(
    `Nix asks a proxy for ${host}: http_proxy is set for ${captured.of}, and no_proxy leaves it out.`,
    {
      cure:
        captured.of === 'nix-daemon'
          ? [
              'run: systemctl edit nix-daemon',
              `there: [Service] Environment=no_proxy=localhost,127.0.0.1,::1`,
            ]
          : ['run: export no_proxy=localhost,127.0.0.1,::1'],
      nixos: 'networking.proxy.noProxy = "localhost,127.0.0.1,::1";',
    },
  );
}

function isExcepted(host: string, noProxy: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return noProxy.split(/[\s,]+/).some((one) => one === '*' || one.replace(/^\./, '') === bare);
}
