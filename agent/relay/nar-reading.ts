import type { Giver } from '../telemetry/counters.ts';
import { NarCut, NarUnavailable } from './error.ts';
import type { Reader } from './readers.ts';
import type { Transfer } from './transfer.ts';

/** One client's way through a NAR, at its own pace: from memory while it keeps up, else from the disk. */
export class NarReading {
  /** NarSize in bytes. */
  readonly size: number;
  readonly #offset: number;
  readonly #transfer: Transfer;
  readonly #reader: Reader;
  readonly #leave: () => void;
  readonly #closing = Promise.withResolvers<void>();
  #closed = false;

  constructor(transfer: Transfer, offset: number) {
    this.size = transfer.size;
    this.#offset = offset;
    this.#transfer = transfer;
    this.#reader = { at: offset, spoilt: false };
    this.#leave = transfer.join(this.#reader);
  }

  /** Who gave the bytes, or most of them. */
  get giver(): Giver {
    return this.#transfer.giver;
  }

  /** Bytes that the client has had. */
  get given(): number {
    return this.#reader.at - this.#offset;
  }

  /**
   * Resolves when the first byte may be sent: only then is it certain that there is an answer.
   * @throws NarUnavailable when there will be none
   */
  async ready(): Promise<void> {
    for (;;) {
      if (this.#over) throw new NarUnavailable(this.#path, this.#failure);
      if (this.#transfer.released > this.#reader.at || this.#reader.at >= this.size) return;
      await this.#moved();
    }
  }

  /**
   * The decoded bytes, from the offset to the end; ends early when the reading is closed.
   * @throws NarCut when they cannot be had to the end
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const transfer = this.#transfer;
    const reader = this.#reader;
    while (reader.at < this.size && !this.#closed) {
      if (reader.spoilt) throw this.#cut('another source says that its beginning is wrong');
      const chunk = transfer.read(reader.at);
      if (chunk !== undefined) {
        this.#gets(chunk);
        yield chunk;
      } else if (this.#failure !== undefined) {
        throw this.#cut('no source is left', this.#failure);
      } else if (!transfer.serves(reader.at)) {
        throw this.#cut('this client fell behind, and the bytes are not on disk');
      } else if (transfer.copy !== undefined && reader.at < transfer.releasedAnew) {
        yield* this.#fromDisk();
      } else {
        await this.#moved();
      }
    }
  }

  /** Ends the reading; needed always, also after the last byte. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.resolve();
    this.#leave();
  }

  /** Decodes anew from the disk up to where this client is, and on for as long as that file serves. */
  async *#fromDisk(): AsyncGenerator<Uint8Array> {
    const { copy } = this.#transfer;
    if (copy === undefined) return;
    const before = this.#reader.at;
    const isPresent = () => this.#transfer.copy === copy;
    let end = 0;
    let cause: unknown;
    try {
      for await (const chunk of copy.read()) {
        end += chunk.length;
        const unread = end - this.#reader.at;
        if (unread > 0)
          yield* this.#asReleased(chunk.subarray(Math.max(0, chunk.length - unread)), isPresent);
        if (this.#over || !isPresent()) return;
      }
    } catch (error) {
      cause = error;
    }
    if (isPresent() && this.#reader.at === before) throw this.#cut('the bytes on disk cannot be read', cause);
  }

  /** Gives bytes on as far as the transfer has released them. */
  async *#asReleased(bytes: Uint8Array, isPresent: () => boolean): AsyncGenerator<Uint8Array> {
    for (let rest = bytes; rest.length > 0 && !this.#over && isPresent(); ) {
      const allowed = rest.subarray(0, Math.max(0, this.#transfer.releasedAnew - this.#reader.at));
      if (allowed.length === 0) {
        await this.#moved();
        continue;
      }
      this.#gets(allowed);
      yield allowed;
      rest = rest.subarray(allowed.length);
    }
  }

  /** From here on the client may have these bytes. */
  #gets({ length }: Uint8Array): void {
    this.#reader.at += length;
    this.#transfer.took();
  }

  async #moved(): Promise<void> {
    await Promise.race([this.#transfer.moved(), this.#closing.promise]);
  }

  /** Nothing more will come for this client. */
  get #over(): boolean {
    return this.#closed || this.#reader.spoilt || this.#failure !== undefined;
  }

  get #failure(): unknown {
    const ending = this.#transfer.ending;
    return ending === undefined || ending.kind === 'verified' ? undefined : (ending.error ?? ending.kind);
  }

  #cut(why: string, cause?: unknown): NarCut {
    return new NarCut(this.#path, why, cause);
  }

  get #path(): string {
    return this.#transfer.known.narinfo.storePath.base;
  }
}
