import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RelayProcess } from './relay-process.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

export interface PiOptions {
  readonly publicKey: string;
  /** A key whose paths are taken, and not shown to the LAN. */
  readonly hiddenKey?: string;
  /** Of the cache directory; one of its own when left out. */
  readonly cacheDir?: string;
  /** Lines of the tokens file. */
  readonly tokens?: readonly string[];
  readonly substituters?: readonly string[];
  readonly pullThrough?: boolean;
  readonly cache?: Readonly<Record<string, unknown>>;
}

/** The token that every Pi of the tests knows. */
export const credentials = { name: 'builder', token: 'a-token-for-tests-only' };

/** A narrowcast that takes uploads and serves the LAN, on loopback. */
export class Pi implements AsyncDisposable {
  readonly relay: RelayProcess;
  /** The LAN face: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The cache directory. */
  readonly dir: string;
  /** For `netrc-file`. */
  readonly netrc: string;
  /** For `upload.tokens-file`. */
  readonly tokensFile: string;
  readonly #home: TemporaryDirectory;

  private constructor(relay: RelayProcess, port: number, home: TemporaryDirectory, dir: string) {
    this.relay = relay;
    this.url = `http://127.0.0.1:${port}`;
    this.dir = dir;
    this.netrc = join(home.path, 'netrc');
    this.tokensFile = join(home.path, 'tokens');
    this.#home = home;
  }

  static async start(options: PiOptions): Promise<Pi> {
    const { publicKey, hiddenKey, substituters = [], pullThrough = false } = options;
    const { tokens = [`${credentials.name}:${credentials.token}`] } = options;
    const home = await TemporaryDirectory.create('pi');
    const dir = options.cacheDir ?? join(home.path, 'cache');
    await writeFile(join(home.path, 'tokens'), `# who may upload\n${tokens.join('\n')}\n`);
    const netrc = `machine 127.0.0.1 login ${credentials.name} password ${credentials.token}\n`;
    await writeFile(join(home.path, 'netrc'), netrc);
    const relay = await RelayProcess.start({
      substituters,
      'trusted-public-keys': [publicKey, ...(hiddenKey === undefined ? [] : [hiddenKey])],
      cache: { dir, 'min-free': '0', ...options.cache },
      lan: {
        discover: false,
        advertise: false,
        listen: '127.0.0.1:0',
        'share-keys': [publicKey.slice(0, publicKey.indexOf(':'))],
        'pull-through': pullThrough,
        'max-connections': 256,
      },
      upload: { 'tokens-file': join(home.path, 'tokens') },
    });
    const { port } = await relay.logged('open to the LAN');
    return new Pi(relay, Number(port), home, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}
