import { join } from 'node:path';
import { freePort } from '../e2e/harness/ports.ts';
import { mustRun } from '../e2e/harness/run-command.ts';
import { TemporaryDirectory } from '../e2e/harness/temporary-directory.ts';

/** A port of 127.0.0.1 for TLS and HTTP/2, as cache.nixos.org speaks them, with a certificate of its own. */
export class Tls implements AsyncDisposable {
  readonly port: number;
  readonly #directory: TemporaryDirectory;

  private constructor(port: number, directory: TemporaryDirectory) {
    this.port = port;
    this.#directory = directory;
  }

  static async create(): Promise<Tls> {
    const directory = await TemporaryDirectory.create('tls');
    const tls = new Tls(await freePort(), directory);
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const files = ['-keyout', tls.#key, '-out', tls.certificate];
    const certificate = ['-x509', '-days', '2', '-subj', '/CN=localhost', '-addext', names];
    await mustRun(['openssl', 'req', ...certificate, ...curve, ...files]);
    return tls;
  }

  /** The certificate's file, which clients have to trust. */
  get certificate(): string {
    return join(this.#directory.path, 'certificate.pem');
  }

  /** Directives for nginx's `server` block. */
  get directives(): string {
    return `listen 127.0.0.1:${this.port} ssl http2; ssl_certificate "${this.certificate}"; ssl_certificate_key "${this.#key}";`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory[Symbol.asyncDispose]();
  }

  get #key(): string {
    return join(this.#directory.path, 'key.pem');
  }
}
