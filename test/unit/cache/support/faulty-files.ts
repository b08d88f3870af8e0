import { type Files, type OpenFile, realFiles } from '../../../../agent/cache/files.ts';

/** One call on the file system: what and on which path. */
export interface Call {
  readonly name: string;
  readonly path: string;
}

/** Decides before each call whether it fails, and with which code. */
export type Verdict = (call: Call) => string | undefined;

/** The calls that change something. */
export function changes({ name }: Call): boolean {
  return !['open-read', 'open-continue', 'facts', 'read', 'close', 'stat', 'list', 'space'].includes(name);
}

/** The real file system, where every call can be made to fail, or to wait. */
export class FaultyFiles implements Files {
  verdict: Verdict = () => undefined;
  /** What the call has to wait for. */
  pause: (call: Call) => Promise<void> | undefined = () => undefined;

  async open(path: string, mode: 'read' | 'continue' | 'create'): Promise<OpenFile> {
    await this.#judge({ name: `open-${mode}`, path });
    const file = await realFiles.open(path, mode);
    const judged =
      <A extends unknown[], R>(name: string, call: (...parameters: A) => Promise<R>) =>
      async (...parameters: A) => {
        await this.#judge({ name, path });
        return call(...parameters);
      };
    return {
      facts: judged('facts', () => file.facts()),
      read: judged('read', (into: Buffer, position: number) => file.read(into, position)),
      write: judged('write', (bytes: Uint8Array, position: number) => file.write(bytes, position)),
      sync: judged('sync', () => file.sync()),
      close: () => file.close(),
    };
  }

  stat(path: string) {
    return this.#real('stat', path, () => realFiles.stat(path));
  }

  list(path: string) {
    return this.#real('list', path, () => realFiles.list(path));
  }

  makeDirectory(path: string, mode?: number) {
    return this.#real('makeDirectory', path, () => realFiles.makeDirectory(path, mode));
  }

  rename(from: string, to: string) {
    return this.#real('rename', from, () => realFiles.rename(from, to));
  }

  link(from: string, to: string) {
    return this.#real('link', from, () => realFiles.link(from, to));
  }

  remove(path: string) {
    return this.#real('remove', path, () => realFiles.remove(path));
  }

  touch(path: string, lastUse: number, modified: number) {
    return this.#real('touch', path, () => realFiles.touch(path, lastUse, modified));
  }

  syncDirectory(path: string) {
    return this.#real('syncDirectory', path, () => realFiles.syncDirectory(path));
  }

  space(path: string) {
    return this.#real('space', path, () => realFiles.space(path));
  }

  async #real<T>(name: string, path: string, call: () => Promise<T>): Promise<T> {
    await this.#judge({ name, path });
    return call();
  }

  async #judge(call: Call): Promise<void> {
    await this.pause(call);
    const code = this.verdict(call);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected, ${call.name}`), { code });
  }
}
