import { get } from 'node:http';
import { text } from 'node:stream/consumers';

const maxBytes = 16 * 1024 * 1024;

/**
 * What a page on this machine says, whatever its status; waits for at most so many ms.
 * Rejects with the system's error, and when the answer is too long or late.
 */
export async function getText(url: string, patience: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const asked = get(url, { agent: false, signal: AbortSignal.timeout(patience) }, (response) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) response.destroy(new RangeError(`${url} has more than ${maxBytes} bytes`));
    });
    text(response).then(resolve, reject);
  });
  asked.once('error', reject);
  return await promise;
}
