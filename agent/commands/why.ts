import { readdir } from 'node:fs/promises';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import { type HashPart, isHashPart } from '../nix/store-path.ts';
import { explanationSchema } from '../relay/explanation.ts';
import { askAgent } from './ask-agent.ts';
import { storePathArgument } from './store-path-argument.ts';
import { explanationText } from './why/text.ts';

/** How to show the answer. */
export interface WhyOptions {
  /** As `GET /why/HASHPART`, with `inStore`: the paths of that hash in the store of this machine. */
  readonly json?: boolean;
}

/** The agent gives each source ten seconds. */
const patience = 15_000;

/**
 * Prints which sources have a path, from where it would be fetched, and why not from the others.
 * @param path a store path, or its hash part
 * @throws UsageError for what is neither; NarrowcastError `not-running` or `no-stats`, see askAgent
 */
export async function why(path: string, { json = false }: WhyOptions, sources: ConfigSources): Promise<void> {
  const config = await loadConfig(sources);
  const hashPart = isHashPart(path) ? path : storePathArgument(path, config.storeDir).hashPart;
  const [explanation, inStore] = await Promise.all([
    askAgent(config, `/why/${hashPart}`, explanationSchema, patience),
    pathsInStore(config.storeDir, hashPart),
  ]);
  process.stdout.write(
    json
      ? `${JSON.stringify({ ...explanation, inStore }, undefined, 2)}\n`
      : explanationText(explanation, inStore, process.stdout.columns ?? 80),
  );
}

/** Nix does not ask for what is there already. */
async function pathsInStore(storeDir: string, hashPart: HashPart): Promise<string[]> {
  const all = await readdir(storeDir).catch(() => []);
  return all.filter((name) => name.startsWith(`${hashPart}-`) && !/\.(lock|drv\.chroot)$/.test(name));
}
