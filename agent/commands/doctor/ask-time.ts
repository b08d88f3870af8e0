import { request } from 'undici';
import type { Config } from '../../config/schema.ts';
import type { TimeAnswer } from './clock.ts';

const patience = 10_000;

/** Asks each http and https substituter for its time. */
export async function askTime({ substituters }: Pick<Config, 'substituters'>): Promise<TimeAnswer[]> {
  const servers = substituters.filter(({ url }) => url.protocol !== 'file:');
  return await Promise.all(servers.map(({ url }) => askServer(url)));
}

async function askServer(url: URL): Promise<TimeAnswer> {
  const id = url.href.replace(/\/$/, '');
  try {
    const { headers, body } = await request(new URL('nix-cache-info', url), {
      method: 'HEAD',
      signal: AbortSignal.timeout(patience),
    });
    await body.dump();
    const date = Date.parse(String(headers['date']));
    return Number.isNaN(date) ? { id } : { id, date };
  } catch (error) {
    const tlsError = error instanceof Error && 'code' in error ? String(error.code) : '';
    return { id, tlsError };
  }
}
