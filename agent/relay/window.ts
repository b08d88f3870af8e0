/** The last decoded bytes of a transfer, from which readers that keep up are served. */
export class Window {
  #chunks: Uint8Array[] = [];
  #start = 0;
  #end = 0;

  /** Position of the first byte still here. */
  get start(): number {
    return this.#start;
  }

  /** Position behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Adds bytes at the end. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#end += chunk.length;
  }

  /** The bytes in one piece from position `at` to `until` at most; undefined when they are not here. */
  read(at: number, until: number): Uint8Array | undefined {
    if (at < this.#start || at >= this.#end || at >= until) return undefined;
    let start = this.#start;
    for (const chunk of this.#chunks) {
      const end = start + chunk.length;
      if (at < end) return chunk.subarray(at - start, Math.min(end, until) - start);
      start = end;
    }
    return undefined;
  }

  /** Lets whole chunks before position `at` go. */
  dropBefore(at: number): void {
    let chunk = this.#chunks[0];
    while (chunk !== undefined && this.#start + chunk.length <= at) {
      this.#start += chunk.length;
      this.#chunks.shift();
      chunk = this.#chunks[0];
    }
  }

  /** Lets the bytes from position `at` on go: the next come there. */
  cut(at: number): void {
    while (this.#chunks.length > 0 && this.#end > at) {
      const last = this.#chunks.pop() ?? new Uint8Array();
      const kept = last.subarray(0, Math.max(0, at - (this.#end - last.length)));
      this.#end -= last.length;
      if (kept.length > 0) this.push(kept);
    }
    if (this.#chunks.length === 0) {
      this.#start = at;
      this.#end = at;
    }
  }

  /** Begins anew, empty, at position `at`. */
  reset(at: number): void {
    this.#chunks = [];
    this.#start = at;
    this.#end = at;
  }
}
