/** Four to each doubling: a quantile is right within 10 %. */
const perDoubling = 4;
const least = 1 / 8;
/** The last is some five minutes. */
const buckets = 22 * perDoubling;

/** How often which time was taken, in ms. */
export class Histogram {
  readonly #counts = new Uint32Array(buckets + 1);
  #count = 0;
  #sum = 0;

  /** Of all times that were added. */
  get count(): number {
    return this.#count;
  }

  /** In ms. */
  get sum(): number {
    return this.#sum;
  }

  add(ms: number): void {
    const bucket = ms <= least ? 0 : Math.ceil(perDoubling * Math.log2(ms / least));
    const at = Math.min(bucket, buckets);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count += 1;
    this.#sum += ms;
  }

  /** The time within which that part (0 … 1) of all were; undefined before the first. */
  quantile(part: number): number | undefined {
    if (this.#count === 0) return undefined;
    let left = part * this.#count;
    for (const [bucket, count] of this.#counts.entries()) {
      if (count >= left && count > 0)
        return upTo(bucket - 1) + (upTo(bucket) - upTo(bucket - 1)) * (left / count);
      left -= count;
    }
    return upTo(buckets);
  }

  /** Bounds in ms, each twice the one before, and how many times were no longer than that. */
  doublings(): { readonly bound: number; readonly count: number }[] {
    const all: { bound: number; count: number }[] = [];
    let total = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      total += count;
      if (bucket % perDoubling === 0) all.push({ bound: upTo(bucket), count: total });
    }
    return all;
  }
}

function upTo(bucket: number): number {
  return bucket < 0 ? 0 : least * 2 ** (bucket / perDoubling);
}
