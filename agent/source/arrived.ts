import type { Readable } from 'node:stream';

/** So many bytes wait for the reader before the sender has to. */
const enough = 256 * 1024;

/** Who counts a body's bytes. */
export interface Tally {
  /** So many came over the wire. */
  received(bytes: number): void;
  /** So many of those came, and nobody read them. */
  unread(bytes: number): void;
}

/**
 * A body's bytes as they come. What has arrived before a cut comes before the error, which a stream would let overtake it: those bytes
 * have crossed the link, and need not do so again. Leaving the loop closes the connection, unless it is to be kept for an answer.
 */
export async function* arrived(
  body: Readable,
  tally?: Tally,
  leaving: 'close' | 'keep' = 'close',
): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let waiting = 0;
  let over = false;
  let failure: unknown;
  let wake = () => {};
  const take = (chunk: Uint8Array) => {
    chunks.push(chunk);
    waiting += chunk.length;
    tally?.received(chunk.length);
    if (waiting >= enough) body.pause();
    wake();
  };
  body.on('data', take);
  const ends = (error?: unknown) => {
    if (!over) failure = error;
    over = true;
    wake();
  };
  body.once('end', () => ends());
  body.on('error', ends);
  const closed = () => ends(body.errored ?? new Error('closed before its end'));
  body.once('close', closed);
  // Who was cut off before anybody read has said so already.
  if (body.readableEnded) ends();
  else if (body.destroyed) closed();
  try {
    for (;;) {
      const chunk = chunks.shift();
      if (chunk !== undefined) {
        waiting -= chunk.length;
        yield chunk;
      } else if (over) {
        if (failure !== undefined) throw failure;
        return;
      } else {
        body.resume();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    if (waiting > 0) tally?.unread(waiting);
    body.off('data', take);
    if (leaving === 'close') body.destroy();
  }
}
