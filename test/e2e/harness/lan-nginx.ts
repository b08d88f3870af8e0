import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { kill, type Lab } from '../discovery/lab.ts';
import type { NginxRequest } from './nginx.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** An nginx on a host of a lab that serves a directory at port 80, as people set it up for a LAN, and tells what it was asked. */
export class LanNginx implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #host: string;
  readonly #prefix: TemporaryDirectory;
  readonly #process: ReturnType<Lab['spawn']>;

  private constructor(lab: Lab, host: string, prefix: TemporaryDirectory) {
    this.#lab = lab;
    this.#host = host;
    this.#prefix = prefix;
    this.#process = lab.spawn(host, 'nginx', ['-p', prefix.path, '-c', 'nginx.conf', '-e', 'stderr'], {
      PATH: `${process.env['PATH'] ?? ''}:/usr/sbin`,
    });
  }

  static async start(lab: Lab, host: string, directory: string): Promise<LanNginx> {
    const prefix = await TemporaryDirectory.create('nginx');
    await writeFile(join(prefix.path, 'nginx.conf'), configuration(directory));
    const nginx = new LanNginx(lab, host, prefix);
    await nginx.#ready();
    return nginx;
  }

  /** Everything it has answered to the end, in order. A request of our own, which is logged after those before it, marks the end. */
  async requests(): Promise<NginxRequest[]> {
    const mark = `/${randomUUID()}`;
    this.#lab.exec(this.#host, 'curl', ['--silent', '--output', '/dev/null', `http://127.0.0.1${mark}`]);
    for (;;) {
      const lines = (await readFile(join(this.#prefix.path, 'access.log'), 'utf8')).split('\n').slice(0, -1);
      const requests: (NginxRequest & { client: string })[] = lines.map((line) => JSON.parse(line));
      if (requests.some(({ uri }) => uri === mark))
        return requests.filter(({ client }) => client !== '127.0.0.1');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#process);
    await this.#prefix[Symbol.asyncDispose]();
  }

  #ready(): Promise<void> {
    const { stderr } = this.#process;
    const said: string[] = [];
    return new Promise((resolve, reject) => {
      if (stderr === null) throw new Error('nginx has no stderr');
      createInterface({ input: stderr }).on('line', (line) => {
        said.push(line);
        if (line.includes('event method')) resolve(); // it listens by then
      });
      this.#process.once('exit', () => reject(new Error(`nginx does not start:\n${said.join('\n')}`)));
    });
  }
}

function configuration(directory: string): string {
  return `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
  log_format lines escape=json
    '{"client":"$remote_addr","method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent}';
  access_log access.log lines;
  sendfile on;
  server {
    listen 0.0.0.0:80;
    root "${directory}";
  }
}
`;
}
