import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { BigNar } from './big-nar.ts';
import { digestOfBase32 } from './spoiled-narinfo.ts';

/** What one HTTP response brought. */
export interface Downloaded {
  readonly status: number;
  readonly bytes: number;
  readonly sha256: string;
  /** It came to its end. */
  readonly complete: boolean;
  /** From the request to the last byte. */
  readonly ms: number;
}

export interface DownloadOptions {
  readonly from?: number;
  /** Reads no faster than this. */
  readonly bytesPerSecond?: number;
  /** Aborts it. */
  readonly signal?: AbortSignal;
  /** Sees how many bytes have come. */
  readonly seen?: (bytes: number) => void;
}

/** The URL of a path's NAR at a relay, as its narinfo says. */
export async function narUrl(relay: string, { hashPart }: Pick<BigNar, 'hashPart'>): Promise<string> {
  const response = await fetch(`${relay}/${hashPart}.narinfo`);
  const text = await response.text();
  const url = /^URL: (.*)$/m.exec(text)?.[1];
  if (response.status !== 200 || url === undefined) throw new Error(`${relay} has no narinfo of ${hashPart}`);
  return `${relay}/${url}`;
}

/** The digest of a NAR, as `download` gives it. */
export function sha256Of({ narHash }: Pick<BigNar, 'narHash'>): string {
  return digestOfBase32(narHash.slice('sha256:'.length)).toString('hex');
}

/** One GET to its end or its cut; never tries again. */
export async function download(url: string, options: DownloadOptions = {}): Promise<Downloaded> {
  const { from = 0, bytesPerSecond, signal, seen } = options;
  const started = performance.now();
  const headers = from > 0 ? { range: `bytes=${from}-` } : {};
  const request = get(url, { headers, agent: false, ...(signal && { signal }) });
  const [response]: [IncomingMessage] = (await once(request, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  let complete = false;
  try {
    for await (const chunk of response) {
      hash.update(chunk);
      bytes += chunk.length;
      seen?.(bytes);
      if (bytesPerSecond !== undefined)
        await new Promise((resolve) => setTimeout(resolve, (chunk.length * 1_000) / bytesPerSecond));
    }
    complete = response.complete;
  } catch (error) {
    if (!signal?.aborted && !(error instanceof Error && 'code' in error)) throw error;
  }
  return {
    status: response.statusCode ?? 0,
    bytes,
    sha256: hash.digest('hex'),
    complete,
    ms: performance.now() - started,
  };
}
