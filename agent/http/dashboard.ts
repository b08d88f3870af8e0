import type { IncomingMessage, ServerResponse } from 'node:http';
import { type DashboardAssets, readDashboardAssets } from './dashboard-assets.ts';
import { isForThisMachine } from './for-this-machine.ts';
import { say } from './reply.ts';

/** Everything that the page uses comes from this agent, and nothing may frame it; styles are set by script through the CSSOM only. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `GET /` on the local face: the dashboard, and under `/dashboard/` what it is made of. Its files are read when first asked for. */
export class Dashboard {
  #assets: Promise<DashboardAssets> | undefined;

  /** Answers a request for the page or a part of it; undefined for any other. Rejects when the files cannot be read. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
    const { url = '' } = request;
    return url === '/' || url.startsWith('/dashboard/') ? this.#answer(url, request, response) : undefined;
  }

  async #answer(url: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return say(response, 405, 'only GET and HEAD', { allow: 'GET, HEAD' });
    if (!isForThisMachine(request)) return say(response, 403, 'ask for this page at localhost');
    const asset = (await this.#read()).get(url);
    if (asset === undefined) return say(response, 404, 'not here');
    const headers = {
      etag: asset.etag,
      // The page names the others by what is in them.
      'cache-control': url === '/' ? 'no-cache' : 'max-age=31536000, immutable',
      'content-security-policy': contentSecurityPolicy,
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    };
    if (request.headers['if-none-match'] === asset.etag) {
      response.writeHead(304, headers).end();
      return;
    }
    response.writeHead(200, {
      ...headers,
      'content-type': asset.type,
      'content-length': asset.body.length,
    });
    response.end(request.method === 'HEAD' ? undefined : asset.body);
  }

  /** Once; after a failure, again. */
  #read(): Promise<DashboardAssets> {
    this.#assets ??= readDashboardAssets().catch((error) => {
      this.#assets = undefined;
      throw error;
    });
    return this.#assets;
  }
}
