import { faults } from '../../e2e/harness/faults.ts';
import { FaultyUpstream, type FaultyUpstreamOptions } from '../../e2e/harness/faulty-upstream.ts';
import type { NameServer } from '../../e2e/harness/name-server.ts';
import { type Fixture, pathNamed } from '../../fixtures/closure.ts';
import type { MatrixFault, Powers, Subject } from './faults.ts';
import type { State } from './states.ts';

/** Who misbehaves. The other one is honest; where it is the upstream, the LAN source does not have the path. */
export type Place = 'LAN' | 'upstream' | 'both';

/** One experiment. */
export interface Cell {
  readonly fault: MatrixFault;
  readonly subject: Subject;
  readonly place: Place;
  readonly state: State;
}

/** Requests for narinfos and for NARs. */
export interface Requests {
  readonly narinfo: number;
  readonly nar: number;
}

/** Both sources, by the name that they have where names are used, with the addresses that {@link inOwnWorld} gives this machine. */
const hosts = {
  LAN: { name: 'pi.test', addresses: ['10.77.0.1', '10.77.0.2'] },
  upstream: { name: 'cache.test', addresses: ['203.0.113.1', '203.0.113.2'] },
} as const;

/** The LAN source or the upstream of a cell, at up to two addresses. */
export class Source implements AsyncDisposable {
  readonly url: string;
  readonly #at: FaultyUpstream[] = [];

  private constructor(url: string, first: FaultyUpstream) {
    this.url = url;
    this.#at.push(first);
  }

  static async start(
    fixture: Fixture,
    { fault, subject, place }: Cell,
    who: 'LAN' | 'upstream',
    names: NameServer,
    powers: Omit<Powers, 'move'>,
  ): Promise<Source> {
    const { name, addresses } = hosts[who];
    const options: FaultyUpstreamOptions = { target: pathNamed(fixture, fault.target ?? 'small-b') };
    const bad = place === 'both' || place === who;
    const move = () => {
      names.addresses.set(name, addresses[1]);
    };
    const honest = place === 'upstream' ? faults['ni-404'] : faults.ok; // the upstream is bad, and the LAN source does not have the path
    const manner = bad ? fault.fault(subject, { ...powers, move }) : honest;
    const first = await FaultyUpstream.start(fixture, manner, { ...options, address: addresses[0] });
    names.addresses.set(name, addresses[0]);
    const { port } = first;
    const source = new Source(`http://${fault.names === undefined ? addresses[0] : name}:${port}`, first);
    if (fault.names !== undefined)
      source.#at.push(await FaultyUpstream.start(fixture, {}, { ...options, address: addresses[1], port }));
    return source;
  }

  get requests(): Requests {
    const all = this.#at.map((upstream) => upstream.counts());
    return {
      narinfo: all.reduce((sum, { narinfo }) => sum + narinfo, 0),
      nar: all.reduce((sum, { nar }) => sum + nar, 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const upstream of this.#at) await upstream[Symbol.asyncDispose]();
  }
}
