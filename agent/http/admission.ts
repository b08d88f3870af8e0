import type { ServerResponse } from 'node:http';

/** Requests of one address at a time: stock Nix opens 25 connections. */
const maxOfOne = 32;

/** Bounds the requests that are answered at once, of one client and of all together, however many come in on a connection. */
export class Admission {
  readonly #max: number;
  readonly #of = new Map<string, number>();
  #all = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether this request may be answered; it counts until its response is closed. */
  admits(response: ServerResponse): boolean {
    const client = response.req.socket.remoteAddress ?? '';
    const running = this.#of.get(client) ?? 0;
    if (this.#all >= this.#max || running >= maxOfOne) return false;
    this.#all += 1;
    this.#of.set(client, running + 1);
    response.once('close', () => this.#left(client));
    return true;
  }

  #left(client: string): void {
    this.#all -= 1;
    const running = (this.#of.get(client) ?? 1) - 1;
    if (running > 0) this.#of.set(client, running);
    else this.#of.delete(client);
  }
}
