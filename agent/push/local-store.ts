import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { FormatError } from '../nix/error.ts';
import { printStorePath, type StorePath } from '../nix/store-path.ts';
import { PushError } from './error.ts';
import { type PathInfo, parsePathInfos } from './path-info.ts';

/** What a push needs of the store that it pushes from. */
export interface LocalStore {
  /**
   * The paths and all that they refer to.
   * @throws PushError `local` when Nix fails, or a path is not in the store
   */
  closure(paths: readonly StorePath[], signal: AbortSignal): Promise<PathInfo[]>;
  /** Those of the paths that the store does not have. */
  invalid(paths: readonly StorePath[], signal: AbortSignal): Promise<StorePath[]>;
  /**
   * The path's NAR.
   * @throws PushError `local` when Nix fails
   */
  dump(path: StorePath, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** 100,000 paths take some 60 MB. */
const maxAnswer = 256 * 1024 * 1024;
const maxComplaint = 8 * 1024;

/** The store of this machine, through the commands of whichever Nix (2.8 or later) is on PATH. */
export class NixStore implements LocalStore {
  readonly #storeDir: string;

  constructor(storeDir: string) {
    this.#storeDir = storeDir;
  }

  async closure(paths: readonly StorePath[], signal: AbortSignal): Promise<PathInfo[]> {
    const words = ['--extra-experimental-features', 'nix-command', 'path-info', '--recursive', '--json'];
    const full = paths.map((path) => printStorePath(path, this.#storeDir));
    try {
      return parsePathInfos(await this.#pathInfo(words, full, signal), this.#storeDir);
    } catch (error) {
      if (error instanceof FormatError) throw new PushError('local', error.message, { cause: error });
      throw error;
    }
  }

  async invalid(paths: readonly StorePath[], signal: AbortSignal): Promise<StorePath[]> {
    const full = paths.map((path) => printStorePath(path, this.#storeDir));
    const answer = await text('nix-store', ['--check-validity', '--print-invalid', ...full], signal);
    const invalid = new Set(answer.split('\n'));
    return paths.filter((path) => invalid.has(printStorePath(path, this.#storeDir)));
  }

  async *dump(path: StorePath, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* output('nix-store', ['--dump', printStorePath(path, this.#storeDir)], signal);
  }

  /** Nix 2.34 announces that a later one will want to be told the form of its JSON, which earlier ones do not understand. */
  async #pathInfo(words: readonly string[], paths: readonly string[], signal: AbortSignal): Promise<string> {
    try {
      return await text('nix', [...words, ...paths], signal);
    } catch (error) {
      if (!(error instanceof PushError) || !error.message.includes('--json-format')) throw error;
      return await text('nix', [...words, '--json-format', '1', ...paths], signal);
    }
  }
}

async function text(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of output(program, args, signal)) {
    bytes += chunk.length;
    if (bytes > maxAnswer) throw new PushError('local', `${program} answered more than ${maxAnswer} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** What a program writes to stdout; that it failed comes at the end, with its own words. */
async function* output(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  // Both ways of failing are looked at below, once nobody reads any more.
  ended.catch(() => {});
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-maxComplaint);
  });
  const kill = () => child.kill();
  signal.addEventListener('abort', kill, { once: true });
  try {
    for await (const chunk of child.stdout) yield chunk;
    const [code] = await ended.catch((cause: unknown) => {
      throw new PushError('local', `${program} cannot be run: is Nix installed, and on PATH?`, { cause });
    });
    signal.throwIfAborted();
    if (code !== 0) throw new PushError('local', `${program} failed: ${lastWords(complaint)}`);
  } finally {
    signal.removeEventListener('abort', kill);
    child.stdout.destroy();
    kill();
  }
}

/** Nix says the reason after its last `error:`. */
function lastWords(complaint: string): string {
  const from = complaint.lastIndexOf('error:');
  const words = complaint.slice(Math.max(from, 0)).replace(/^error:/, '');
  return words.replace(/\s+/g, ' ').trim() || 'it said nothing';
}
