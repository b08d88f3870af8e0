/** How much a transfer keeps to itself, and for how long. Sizes in bytes, times in ms. */
export interface TransferLimits {
  /** Decoded bytes in memory for clients that keep up. */
  readonly window: number;
  /** The end that no client gets before the whole is verified. */
  readonly lastBytes: number;
  /** A NAR up to this size is held back as a whole until it is verified, so that no failure of a source ever shows. */
  readonly holdUpTo: number;
  /** On a link so slow that holding back would look like silence, a trusted source's bytes go out after this time. */
  readonly holdFor: number;
  /** A NAR that must be verified first can wait in memory, where there is no disk, up to this size. */
  readonly holdInMemoryUpTo: number;
  /** What all NARs that are held in memory may take together. */
  readonly heldInMemory: number;
  /** How long a transfer waits, for each window that it fills, for clients that could as well read from the disk. */
  readonly clientPause: number;
  /** A source that must be verified first has this long before others are asked. */
  readonly verifyFirst: number;
  /** … and is left at once for others when it gives fewer bytes a second than this. */
  readonly crawl: number;
  /** Fewer bytes than this between two cuts are no progress: a source that gives ever less is as good as one that gives nothing. */
  readonly progress: number;
}

const mib = 1024 * 1024;

export const transferLimits: TransferLimits = {
  window: 2 * mib,
  lastBytes: 64 * 1024,
  holdUpTo: 4 * mib,
  holdFor: 20_000,
  holdInMemoryUpTo: 16 * mib,
  heldInMemory: 32 * mib,
  clientPause: 250,
  verifyFirst: 60_000,
  crawl: 16 * 1024,
  progress: 16 * 1024,
};
