import * as v from 'valibot';
import { key } from './key.ts';
import { type LanAddress, lanAddress } from './listen-address.ts';
import { flag, list, parsed, size, wholeNumber } from './values.ts';

/** Table [lan]: what this machine takes from its neighbours, and what it gives. */
export interface LanConfig {
  /** Look for other machines' caches over mDNS. */
  readonly discover: boolean;
  /** Announce the LAN face over mDNS. */
  readonly advertise: boolean;
  /** Where the LAN face listens; undefined: there is none. */
  readonly listen: LanAddress | undefined;
  /** Base URLs of caches that do not announce themselves. */
  readonly peers: readonly string[];
  /** Names of the keys whose paths are shown to the LAN. */
  readonly shareKeys: ReadonlySet<string>;
  /** Fetch for the LAN's clients what is not in the cache directory. */
  readonly pullThrough: boolean;
  /** Bytes a second that all clients together may take; 0 is no limit. */
  readonly maxUploadRate: number;
  /** Connections of clients at once. */
  readonly maxConnections: number;
}

const peer = () =>
  parsed(parsePeer, 'a URL such as "http://192.168.0.42" or "http://pi:6271", without user or parameters');

const keyName = () =>
  v.pipe(v.string(), v.regex(/^[^\s:]{1,255}$/, 'the name of a key, such as "cache.nixos.org-1"'));

export const lanKeys = {
  discover: key(flag(), true, 'Find the caches of other machines on the LAN over mDNS, and use them'),
  advertise: key(flag(), true, 'Announce this machine on the LAN over mDNS'),
  listen: key(lanAddress(), '[::]:6271', 'Where the LAN finds this machine, read-only; `""`: nowhere'),
  peers: key(list(peer(), 'a list of URLs'), [], 'Caches on the LAN that do not announce themselves'),
  'share-keys': key(
    list(keyName(), 'a list of names of keys'),
    ['cache.nixos.org-1'],
    'Only paths that one of these keys has signed are shown to the LAN',
  ),
  'pull-through': key(
    flag(),
    false,
    'Fetch from the substituters what clients on the LAN ask for; other caches on the LAN are not asked then',
  ),
  'max-upload-rate': key(
    size(2 ** 40),
    '0',
    'Bytes a second that the LAN may take from this machine; `"0"`: no limit',
  ),
  'max-connections': key(
    wholeNumber(1, 4_096),
    64,
    'Connections that the LAN may open to this machine at once',
  ),
};

/** The table's values under the names that the code uses. */
export function lanConfig(table: v.InferOutput<v.ObjectSchema<typeof lanKeys, undefined>>): LanConfig {
  return {
    discover: table.discover,
    advertise: table.advertise,
    listen: table.listen,
    peers: table.peers,
    shareKeys: new Set(table['share-keys']),
    pullThrough: table['pull-through'],
    maxUploadRate: table['max-upload-rate'],
    maxConnections: table['max-connections'],
  };
}

function parsePeer(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined;
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}
