import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** A request that nginx has answered to its end. */
export interface NginxRequest {
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  /** Bytes of body sent. */
  readonly bytes: number;
  /** The Range header, when there was one. */
  readonly range?: string;
}

export interface NginxOptions {
  /** Limit of each request in bytes per second; nginx lets the first second's worth through at once. */
  readonly bytesPerSecond?: number;
  /** More directives for the `server` block. */
  readonly config?: string;
  /** More directives for the `http` block. */
  readonly http?: string;
}

/** An nginx of its own that serves a directory on a free port of 127.0.0.1, and tells what it was asked. */
export class Nginx implements AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly #prefix: TemporaryDirectory;
  readonly #process: ChildProcess;

  private constructor(url: string, prefix: TemporaryDirectory, process: ChildProcess) {
    this.url = url;
    this.#prefix = prefix;
    this.#process = process;
  }

  static async start(directory: string, options: NginxOptions = {}): Promise<Nginx> {
    const prefix = await TemporaryDirectory.create('nginx');
    for (let attempt = 1; ; attempt += 1) {
      const port = await freePort();
      await writeFile(join(prefix.path, 'nginx.conf'), configuration(directory, port, options));
      const child = spawn('nginx', ['-p', prefix.path, '-c', 'nginx.conf', '-e', 'error.log'], {
        stdio: 'ignore',
        env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
      });
      const nginx = new Nginx(`http://127.0.0.1:${port}`, prefix, child);
      if (await nginx.#answers()) return nginx;
      if (attempt < 5) continue; // somebody took the port between our finding it free and nginx binding it
      const log = await readFile(join(prefix.path, 'error.log'), 'utf8').catch(() => '');
      await prefix[Symbol.asyncDispose]();
      throw new Error(`nginx does not start:\n${log}`);
    }
  }

  /** Everything it has answered, in order. The one worker logs a request before it takes the next one up, so a last request of our own marks the end. */
  async requests(): Promise<NginxRequest[]> {
    const mark = `/${randomUUID()}`;
    await (await fetch(this.url + mark)).arrayBuffer();
    for (;;) {
      const requests = await this.#readLog();
      const end = requests.findIndex(({ uri }) => uri === mark);
      if (end >= 0) return requests.slice(0, end).filter(({ uri }) => !isMark(uri));
    }
  }

  /** Its worker does nothing any more, and its connections stay; `thaw` lets it go on. */
  freeze(): Promise<void> {
    return this.#signalWorker('SIGSTOP');
  }

  thaw(): Promise<void> {
    return this.#signalWorker('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      await this.thaw();
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    await this.#prefix[Symbol.asyncDispose]();
  }

  async #signalWorker(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const { pid } = this.#process;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const worker of children.split(' ').filter(Boolean)) process.kill(Number(worker), signal);
  }

  async #readLog(): Promise<NginxRequest[]> {
    const text = await readFile(join(this.#prefix.path, 'access.log'), 'utf8');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const { range, ...request } = JSON.parse(line);
        return range === '' ? request : { ...request, range };
      });
  }

  async #answers(): Promise<boolean> {
    while (this.#process.exitCode === null) {
      try {
        await (await fetch(`${this.url}/${randomUUID()}`)).arrayBuffer();
        return true;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    return false;
  }
}

function isMark(uri: string): boolean {
  return /^\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(uri);
}

function configuration(
  directory: string,
  port: number,
  { bytesPerSecond, config = '', http = '' }: NginxOptions,
): string {
  return `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid nginx.pid;
worker_processes 1;
events { worker_connections 512; }
http {
  log_format lines escape=json
    '{"method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"range":"$http_range"}';
  access_log access.log lines;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  sendfile on;
  tcp_nopush on;
  ${http}
  server {
    listen 127.0.0.1:${port};
    root "${directory}";
    ${bytesPerSecond === undefined ? '' : `limit_rate ${bytesPerSecond};`}
    ${config}
  }
}
`;
}
