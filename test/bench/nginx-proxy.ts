import { join } from 'node:path';
import { Nginx } from '../e2e/harness/nginx.ts';
import { TemporaryDirectory } from '../e2e/harness/temporary-directory.ts';

/** What people put in front of a cache today: an nginx with proxy_cache, set up as well as it can be for this. */
export class NginxProxy implements AsyncDisposable {
  readonly url: string;
  readonly #nginx: Nginx;
  readonly #directory: TemporaryDirectory;

  private constructor(nginx: Nginx, directory: TemporaryDirectory) {
    this.url = nginx.url;
    this.#nginx = nginx;
    this.#directory = directory;
  }

  static async start(upstream: string): Promise<NginxProxy> {
    const directory = await TemporaryDirectory.create('nginx-proxy');
    const { host } = new URL(upstream);
    const nginx = await Nginx.start(directory.path, {
      http: `
        proxy_cache_path "${join(directory.path, 'cache')}" keys_zone=nars:10m inactive=1d;
        upstream cache { server ${host}; keepalive 32; }`,
      config: `
        location / {
          proxy_pass http://cache;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_cache nars;
          proxy_cache_valid 200 1d;
          proxy_cache_lock on;
        }`,
    });
    return new NginxProxy(nginx, directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nginx[Symbol.asyncDispose]();
    await this.#directory[Symbol.asyncDispose]();
  }
}
