/**
 * The two parts of undici 8 that sources need. Its entry loads fetch, WebSocket, caches and mocks too, which doubles the time and the memory
 * that it takes (docs/decisions/undici-parts.md).
 */
declare module 'undici/lib/dispatcher/agent.js' {
  import type { Agent } from 'undici';

  /** An Agent without what the entry adds to it: `request`, `stream` and the like. */
  export type BareAgent = Pick<Agent, 'dispatch' | 'close' | 'destroy' | 'closed' | 'destroyed'>;
  const agent: new (options?: Agent.Options) => BareAgent;
  export default agent;
}

declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher } from 'undici';
  import type { BareAgent } from 'undici/lib/dispatcher/agent.js';

  /** `agent.request`. */
  export default function request(
    this: BareAgent,
    options: Dispatcher.RequestOptions,
  ): Promise<Dispatcher.ResponseData>;
}
