import type { Clock } from './clock.ts';
import type { ResourceRecord } from './packet.ts';
import {
  browseName,
  type InstanceName,
  isCache,
  parseInstanceName,
  type ServiceType,
} from './service-types.ts';

/** A cache as one machine on the link announces it. */
export interface Announced {
  /** The address that the announcement came from: whatever address its records name does not count. */
  readonly source: string;
  readonly port: number;
  /** The instance's label, fit to be shown. */
  readonly label: string;
  readonly type: ServiceType;
  readonly txt: ReadonlyMap<string, string>;
}

/** What a packet's records brought. */
export interface News {
  /** Caches that the packet told of and that are known completely. */
  readonly seen: readonly Announced[];
  /** Caches that the packet took back. */
  readonly gone: readonly Announced[];
}

/** Remembers for as long as they hold the records that announce services on one link. */
export interface RecordTable {
  /** Takes in the records of a response from `source`. */
  learn(source: string, records: readonly ResourceRecord[]): News;
  /** The PTR records that need not be told again, for the caches that `isSettled` and all that is no cache. */
  knownAnswers(isSettled: (cache: Announced) => boolean): ResourceRecord[];
  /** Whether some service may be a cache, lacks a record, and was not asked about too often. */
  hasIncomplete(): boolean;
  /** Full names of such services, which count as asked about now. */
  askIncomplete(): string[];
}

const maxSources = 64;
const maxInstancesPerSource = 8;
const maxTtl = 4_500; // seconds; the longest that RFC 6762, 10 recommends
const maxKnownBytes = 1_000; // keeps a query within one Ethernet frame
const recordHeadBytes = 14;
const maxAsked = 3;
const maxAskedAtOnce = 4;

interface Held<T> {
  readonly data: T;
  readonly ttl: number;
  readonly heard: number;
}

interface Instance extends InstanceName {
  readonly source: string;
  readonly name: string;
  ptr?: Held<string>;
  srv?: Held<{ readonly port: number }>;
  txt?: Held<ReadonlyMap<string, string>>;
  asked: number;
}

/** An empty table. It never holds more than 8 services of one machine, and those of 64 machines. */
export function createRecordTable(clock: Clock): RecordTable {
  // Machines, and the services of each by their names in lower case, in the order in which they were last heard of.
  const sources = new Map<string, Map<string, Instance>>();

  return { learn, knownAnswers, hasIncomplete: () => incomplete().length > 0, askIncomplete };

  function learn(source: string, records: readonly ResourceRecord[]): News {
    const seen = new Set<Instance>();
    const gone = new Set<Instance>();
    for (const record of records) {
      const instance = instanceOf(source, record);
      if (!instance) continue;
      if (record.ttl > 0) {
        hold(instance, record);
        seen.add(instance);
      } else if (record.type === 'PTR' || record.type === 'SRV') {
        gone.add(instance);
      }
    }
    const taken = [...gone].flatMap((instance) => announced(instance) ?? []);
    for (const instance of gone) {
      forget(instance);
      seen.delete(instance);
    }
    return { seen: [...seen].flatMap((instance) => announced(instance) ?? []), gone: taken };
  }

  function instanceOf(source: string, record: ResourceRecord): Instance | undefined {
    const name = record.type === 'PTR' ? record.data : record.name;
    const parsed = record.type === 'A' ? undefined : parseInstanceName(name);
    if (!parsed) return undefined;
    if (record.type === 'PTR' && record.name.toLowerCase() !== browseName(parsed.type)) return undefined;
    const known = sources.get(source)?.get(name.toLowerCase());
    if (known || record.ttl === 0) return known;
    return { ...parsed, source, name, asked: 0 };
  }

  function hold(instance: Instance, record: ResourceRecord): void {
    const timing = { ttl: Math.min(record.ttl, maxTtl), heard: clock.now() };
    if (record.type === 'PTR') instance.ptr = { data: record.name, ...timing };
    if (record.type === 'SRV') instance.srv = { data: record.data, ...timing };
    if (record.type === 'TXT') instance.txt = { data: record.data, ...timing };
    if (isComplete(instance)) instance.asked = 0;
    const { source, name } = instance;
    const own = sources.get(source) ?? new Map<string, Instance>();
    putLast(own, name.toLowerCase(), instance, maxInstancesPerSource);
    putLast(sources, source, own, maxSources);
  }

  function forget({ source, name }: Instance): void {
    sources.get(source)?.delete(name.toLowerCase());
  }

  function live(): Instance[] {
    const all = [...sources.values()].flatMap((own) => [...own.values()]);
    const [kept, expired] = [all.filter(hasLife), all.filter((instance) => !hasLife(instance))];
    for (const instance of expired) forget(instance);
    return kept;
  }

  function knownAnswers(isSettled: (cache: Announced) => boolean): ResourceRecord[] {
    let room = maxKnownBytes;
    return live().flatMap((instance) => {
      const { name: data, ptr } = instance;
      const cache = announced(instance);
      // RFC 6762, 7.1: an answer in the second half of its life is asked for again.
      if (!ptr || lifeLeft(ptr) < 0.5 || (cache && !isSettled(cache))) return [];
      room -= recordHeadBytes + Buffer.byteLength(ptr.data) + Buffer.byteLength(data);
      if (room < 0) return [];
      return [{ type: 'PTR', name: ptr.data, data, ttl: Math.round(ptr.ttl * lifeLeft(ptr)), flush: false }];
    });
  }

  function askIncomplete(): string[] {
    const asked = incomplete().slice(0, maxAskedAtOnce);
    for (const instance of asked) instance.asked += 1;
    return asked.map(({ name }) => name);
  }

  function incomplete(): Instance[] {
    return live().filter((instance) => !isComplete(instance) && instance.asked < maxAsked);
  }

  function isComplete({ type, srv, txt }: Instance): boolean {
    if (txt && isLive(txt) && !isCache(type, txt.data)) return true;
    return srv !== undefined && isLive(srv) && txt !== undefined && isLive(txt);
  }

  function announced({ source, label, type, srv, txt }: Instance): Announced | undefined {
    if (!srv || !isCache(type, txt?.data)) return undefined;
    return { source, port: srv.data.port, label, type, txt: txt?.data ?? new Map() };
  }

  function hasLife({ ptr, srv, txt }: Instance): boolean {
    return [ptr, srv, txt].some((held) => held && isLive(held));
  }

  function isLive(held: Held<unknown>): boolean {
    return lifeLeft(held) > 0;
  }

  function lifeLeft({ ttl, heard }: Held<unknown>): number {
    return 1 - (clock.now() - heard) / (ttl * 1_000);
  }
}

// Puts an entry at the end of a map that holds at most `max`, and drops the first when it is full.
function putLast<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  const [first] = map.keys();
  if (map.size > max && first !== undefined) map.delete(first);
}
