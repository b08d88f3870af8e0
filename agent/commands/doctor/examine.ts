import { readFile } from 'node:fs/promises';
import { homedir, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { NarrowcastError } from '../../nix/error.ts';
import { version } from '../../version.ts';
import { askAgentAt } from './agent-answers.ts';
import { askTime } from './ask-time.ts';
import { askUpstreams } from './ask-upstreams.ts';
import { checkCacheDirectory } from './cache-directory.ts';
import { checkClock } from './clock.ts';
import { checkConnectTimeout } from './connect-timeout.ts';
import { checkFallback } from './fallback.ts';
import { type Finding, fault, skipped } from './finding.ts';
import { checkFirewall, firewallRules } from './firewall.ts';
import { checkKeys } from './keys.ts';
import { checkLifetimes } from './lifetimes.ts';
import { checkMdns } from './mdns.ts';
import { checkNetrc } from './netrc.ts';
import { type NixSettings, nixSettings, systemOnly } from './nix-settings.ts';
import { checkOwnSubstituters } from './own-substituters.ts';
import { checkPeers } from './peers.ts';
import { checkProxy, daemonEnvironment } from './proxy.ts';
import { checkReachable } from './reachable.ts';
import { isRelay } from './relay-url.ts';
import { checkRememberedAbsence } from './remembered-absence.ts';
import type { RunProgram } from './run-program.ts';
import { checkSubstituters } from './substituters.ts';
import { checkTrustedSubstituters } from './trusted-substituters.ts';
import { checkUpstreams } from './upstreams.ts';
import { checkVersion } from './version.ts';

/** The machine that is looked at. */
export interface Patient {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly run: RunProgram;
  /** Where avahi is configured. */
  readonly avahi: string;
}

/** A check and what it found. */
export interface Examined {
  readonly name: string;
  readonly finding: Finding;
}

/** Makes every check, in the order in which what they find is best read. None takes longer than some ten seconds. */
export async function examine(patient: Patient): Promise<Examined[]> {
  const { config, env, run } = patient;
  const [nix, agent, daemon] = await Promise.all([
    aboutNix(patient),
    aboutAgent(patient),
    daemonEnvironment(run),
  ]);
  const environments = [...(daemon === undefined ? [] : [daemon]), { of: 'you', env }];
  return [...nix, { name: 'proxy', finding: checkProxy(environments, config.listen.host) }, ...agent];
}

/** As passwd(5) has it; this user's own where nobody has the number 0 there. */
async function homeOfRoot(): Promise<string> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return /^[^:]*:[^:]*:0:[^:]*:[^:]*:([^:]+):/m.exec(users)?.[1] ?? homedir();
}

async function aboutNix({ config, env, run }: Patient): Promise<Examined[]> {
  const { listen, trustedPublicKeys } = config;
  const file = join(env['NIX_CONF_DIR'] || '/etc/nix', 'nix.conf');
  const home = env['HOME'] || homedir();
  const ownFile = join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'nix/nix.conf');
  // Where there is a daemon, it is root's Nix that remembers.
  const caches = [env['XDG_CACHE_HOME'] || join(home, '.cache'), join(await homeOfRoot(), '.cache')];
  const ofNix = new Set(caches.map((dir) => join(dir, 'nix')));
  const seconds = Math.floor(Date.now() / 1_000);
  const checks = (system: NixSettings, own: NixSettings): [string, Finding][] => [
    ['substituters', checkSubstituters(system, listen, file)],
    ['your nix.conf', checkOwnSubstituters(system, own, listen, ownFile)],
    ['trusted-substituters', checkTrustedSubstituters(system, listen, file)],
    ['keys', checkKeys(system, trustedPublicKeys, file)],
    ['narinfo cache', checkLifetimes(system, file)],
    [
      'remembered',
      checkRememberedAbsence([...ofNix], (url) => isRelay(url, listen), own.negativeTtl, seconds),
    ],
    ['fallback', checkFallback(system, file)],
    ['connect-timeout', checkConnectTimeout(system, file)],
  ];
  try {
    const both = await Promise.all([nixSettings(run, systemOnly(env)), nixSettings(run, env)]);
    return checks(...both).map(([name, finding]) => ({ name, finding }));
  } catch (error) {
    if (!(error instanceof NarrowcastError)) throw error;
    const absent = error.code === 'nix-absent';
    const cure = { cure: `correct ${file} or ${ownFile}; then see: nix config show` };
    return [{ name: 'nix', finding: absent ? skipped(error.message) : fault(error.message, cure) }];
  }
}

async function aboutAgent({ config, run, avahi }: Patient): Promise<Examined[]> {
  const { listen, cache, lan } = config;
  const local = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const ours = (address: string) =>
    address.startsWith('127.') || local.some((one) => one.address === address);
  const [answers, upstreams, times, rules, avahiConf, netrc] = await Promise.all([
    Promise.all(listen.addresses.map((address) => askAgentAt(address, listen.port))),
    askUpstreams(config),
    askTime(config),
    firewallRules(run),
    readFile(avahi, 'utf8').catch(() => undefined),
    checkNetrc(config.netrcFile),
  ]);
  const stats = answers.find((answer) => answer.stats !== undefined)?.stats;
  const online = stats?.network.online ?? local.some(({ internal }) => !internal);
  const mdns = lan.discover || lan.advertise;
  const doors = { tcp: lan.listen?.port, mdns };
  const checks: [string, Finding][] = [
    ['agent', checkReachable(answers, listen.port, ours)],
    ['version', checkVersion(answers, version)],
    ['cache directory', await checkCacheDirectory(cache, stats?.cache.disk)],
    ['upstreams', checkUpstreams(upstreams, online)],
    ['netrc-file', netrc],
    ['clock', checkClock(times, Date.now())],
    [
      'mDNS',
      mdns ? checkMdns(avahiConf, stats?.network) : skipped('lan.discover and lan.advertise are off.'),
    ],
    ['firewall', checkFirewall(rules, doors)],
    ['peers', checkPeers(stats?.peers)],
  ];
  return checks.map(([name, finding]) => ({ name, finding }));
}
