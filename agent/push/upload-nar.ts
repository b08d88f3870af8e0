import { type Clock, systemClock } from '../telemetry/clock.ts';
import { PushError } from './error.ts';
import { Persistence } from './persistence.ts';
import type { SpoolFile } from './spool.ts';
import type { UploadServer } from './upload-server.ts';

/** Bytes from which on a file is asked for before it is sent. */
const worthAsking = 1024 * 1024;

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** Lets bytes pass no faster than they may. */
  readonly pace: (bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
  /** How much of the file has crossed, in bytes, each time that it changed; it falls when bytes were lost. */
  readonly reached: (bytes: number) => void;
  /** Bytes were handed to the network. */
  readonly sent: (bytes: number) => void;
  readonly clock?: Clock;
}

/**
 * Sends a packed NAR, from where an earlier run or a cut connection has left off; resolves once the server has it whole.
 * @throws PushError when it will not pass, or nothing has moved for some two minutes
 */
export async function uploadNar(
  server: UploadServer,
  file: SpoolFile,
  options: UploadOptions,
): Promise<void> {
  const { url, size } = file;
  const { signal, pace, reached, sent, clock = systemClock } = options;
  const persistence = new Persistence(clock, signal);
  let furthest = 0;
  // What was packed just now can hardly be there; but a question costs little beside a large file.
  let offset = file.found || size >= worthAsking ? undefined : 0;
  for (;;) {
    try {
      offset ??= await there(server, file, signal);
      if (offset > furthest) persistence.progressed();
      furthest = Math.max(furthest, offset);
      if (offset === size) break;
      let at = offset;
      reached(at);
      const counted = count(pace(file.read(offset)), (bytes) => {
        at += bytes;
        sent(bytes);
        reached(at);
      });
      await server.putNar({ url, offset, size, bytes: counted }, signal);
      break;
    } catch (error) {
      // Where the server says what it has, nothing needs to be asked.
      const told = error instanceof PushError && error.fault === 'offset' && error.offset < size;
      offset = told ? error.offset : undefined;
      await persistence.after(error);
    }
  }
  reached(size);
}

/** How many bytes of the file the server has; more than there are would be of another file. */
async function there(server: UploadServer, { url, size }: SpoolFile, signal: AbortSignal): Promise<number> {
  const staged = await server.staged(url, signal);
  if (staged === 'whole') return size;
  return staged < size ? staged : 0;
}

async function* count(
  bytes: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    yield chunk;
    tell(chunk.length);
  }
}
