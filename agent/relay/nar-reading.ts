import { CacheError } from '../cache/error.ts';
import { FormatError } from '../nix/error.ts';
import { NarCut, NarUnavailable } from './error.ts';
import type { Position, Transfer } from './transfer.ts';

/** One client's way through a NAR, at its own pace: from memory while it keeps up, else from the disk. */
export class NarReading {
  /** NarSize in bytes. */
  readonly size: number;
  readonly #transfer: Transfer;
  readonly #position: Position;
  readonly #leave: () => void;
  readonly #closing = Promise.withResolvers<void>();
  #closed = false;

  constructor(transfer: Transfer, offset: number) {
    this.size = transfer.size;
    this.#transfer = transfer;
    this.#position = { at: offset };
    this.#leave = transfer.join(this.#position);
  }

  /**
   * Resolves when the first byte may be sent: only then is it certain that there is an answer.
   * @throws NarUnavailable when there will be none
   */
  async ready(): Promise<void> {
    while (this.#transfer.released <= this.#position.at) {
      const over = this.#closed || this.#contradicted || this.#failure !== undefined;
      if (over) throw new NarUnavailable(this.#path, this.#failure);
      await this.#moved();
    }
  }

  /**
   * The decoded bytes, from the offset to the end; ends early when the reading is closed.
   * @throws NarCut when they cannot be had to the end
   */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const position = this.#position;
    while (position.at < this.size && !this.#closed) {
      if (this.#contradicted) throw new NarCut(this.#path, 'another source says that its beginning is wrong');
      const chunk = this.#transfer.read(position.at);
      if (chunk !== undefined) {
        yield chunk;
        this.#took(chunk.length);
      } else if (position.at < this.#transfer.released) {
        yield* this.#fromDisk();
      } else if (this.#failure !== undefined) {
        throw new NarCut(this.#path, 'no source is left', this.#failure);
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
    const decoded = this.#transfer.fromDisk();
    if (decoded === undefined)
      throw new NarCut(this.#path, 'this client fell behind, and the bytes are not on disk');
    const before = this.#position.at;
    let end = 0;
    try {
      for await (const chunk of decoded) {
        end += chunk.length;
        const unread = end - this.#position.at;
        if (unread > 0) yield* this.#asReleased(chunk.subarray(Math.max(0, chunk.length - unread)));
        if (this.#over) return;
      }
    } catch (error) {
      // The transfer may have begun another file meanwhile; without any progress there is no use in trying again.
      const replaced = error instanceof CacheError || error instanceof FormatError;
      if (replaced && this.#position.at > before) return;
      throw new NarCut(this.#path, 'the bytes on disk cannot be read', error);
    }
  }

  /** Gives bytes on as far as the transfer has released them. */
  async *#asReleased(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let rest = bytes; rest.length > 0 && !this.#over; ) {
      const allowed = rest.subarray(0, Math.max(0, this.#transfer.released - this.#position.at));
      if (allowed.length === 0) {
        await this.#moved();
        continue;
      }
      yield allowed;
      this.#took(allowed.length);
      rest = rest.subarray(allowed.length);
    }
  }

  #took(bytes: number): void {
    this.#position.at += bytes;
    this.#transfer.taken();
  }

  async #moved(): Promise<void> {
    await Promise.race([this.#transfer.moved(), this.#closing.promise]);
  }

  get #over(): boolean {
    return this.#closed || this.#contradicted || this.#failure !== undefined;
  }

  /** The client has bytes that another source contradicts. */
  get #contradicted(): boolean {
    return this.#transfer.contradicted && this.#position.at > 0;
  }

  get #failure(): unknown {
    const ending = this.#transfer.ending;
    return ending === undefined || ending.kind === 'verified' ? undefined : (ending.error ?? ending.kind);
  }

  get #path(): string {
    return this.#transfer.known.narinfo.storePath.base;
  }
}
