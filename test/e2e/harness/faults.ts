/**
 * Every way to misbehave that the tests know, by name. The names are those of the table of what real Nix does (ni: the narinfo's
 * answer, nar: the NAR's, ci: nix-cache-info's, all: everything; `once`: only the first request).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashPartOf, pathNamed } from '../../fixtures/closure.ts';
import {
  type Answer,
  after,
  byteASecond,
  close,
  cut,
  edited,
  encoded,
  endless,
  first,
  flipped,
  hang,
  honest,
  loginPage,
  page,
  redirect,
  reset,
  serve,
  status,
  unadvertised,
  whole,
} from './answers.ts';
import { digestOfBase32, field, signedAnew, unknownKey, withFields } from './spoiled-narinfo.ts';

/** Which requests are answered otherwise than honestly, and how. */
export interface Fault {
  /** `/nix-cache-info` */
  readonly cacheInfo?: Answer;
  /** The target's narinfo. */
  readonly narinfo?: Answer;
  /** Every path's narinfo. */
  readonly everyNarinfo?: Answer;
  /** The target's NAR. */
  readonly nar?: Answer;
  readonly everything?: Answer;
  /** True: connections are refused from the start. */
  readonly refused?: boolean;
}

const stranger = unknownKey('stranger-1');
const wrongSignature = Buffer.alloc(64, 7).toString('base64');

/** A narinfo with some fields replaced. */
function saying(fields: Readonly<Record<string, string | undefined>>): Fault {
  return { narinfo: edited((narinfo) => withFields(narinfo, fields)) };
}

/** A narinfo with one more line at its end. */
function adding(line: string): Fault {
  return { narinfo: edited((narinfo) => `${narinfo}${line}\n`) };
}

/** A truly signed narinfo that promises 1 KiB, and 1 GiB behind it. */
function bomb(compression: 'xz' | 'zstd'): Fault {
  return {
    narinfo: edited((narinfo, { key }) => {
      const lie = { Compression: compression, NarSize: '1024', FileHash: undefined, FileSize: undefined };
      return signedAnew(withFields(narinfo, lie), key);
    }),
    nar: async (exchange) => serve(exchange, await readFile(exchange.fixture.bombs[compression])),
  };
}

function cacheInfo(text: string): Fault {
  return { cacheInfo: page(text, 'text/x-nix-cache-info') };
}

const narHash = (narinfo: string) => digestOfBase32(field(narinfo, 'NarHash').slice('sha256:'.length));

export const faults = {
  ok: {},

  'ni-404': { narinfo: status(404) },
  'ni-403': { narinfo: status(403) },
  'ni-401': { narinfo: status(401) },
  'ni-410': { narinfo: status(410) },
  'ni-400': { narinfo: status(400) },
  'ni-500': { narinfo: status(500) },
  'ni-502': { narinfo: status(502) },
  'ni-503': { narinfo: status(503) },
  'ni-503-ra1': { narinfo: status(503, { 'Retry-After': '1' }) },
  'ni-504': { narinfo: status(504) },
  'ni-429': { narinfo: status(429) },
  'ni-429-ra3': { narinfo: status(429, { 'Retry-After': '3' }) },
  'ni-204': { narinfo: status(204) },
  'ni-501': { narinfo: status(501) },
  'ni-511': { narinfo: status(511) },
  'ni-503-once': { narinfo: first(1, status(503)) },
  'ni-503-x4': { narinfo: first(4, status(503)) },
  'ni-reset': { narinfo: reset },
  'ni-close': { narinfo: close },
  'ni-trunc': { narinfo: cut({ advertise: false, honour: false }) },
  'ni-hang': { narinfo: hang },
  'ni-slow3s': { narinfo: after(3_000, honest) },
  'ni-html200': { narinfo: page(loginPage) },
  'ni-empty200': { narinfo: page('') },
  'ni-no-final-newline': { narinfo: edited((narinfo) => narinfo.trimEnd()) },
  'ni-crlf': { narinfo: edited((narinfo) => narinfo.replaceAll('\n', '\r\n')) },
  'ni-unknown-field': adding('Flavour: vanilla'),
  'ni-blank-line': { narinfo: edited((narinfo) => narinfo.replace('\nNarHash', '\n\nNarHash')) },
  'ni-nosig': saying({ Sig: undefined }),
  'ni-badsig': {
    narinfo: edited((narinfo, { key }) => withFields(narinfo, { Sig: `${key.name}:${wrongSignature}` })),
  },
  'ni-unknownkey': { narinfo: edited((narinfo) => signedAnew(narinfo, stranger)) },
  'ni-garbagesig': saying({ Sig: 'garbage' }),
  'ni-shortsig': {
    narinfo: edited((narinfo, { key }) =>
      withFields(narinfo, { Sig: `${key.name}:${wrongSignature.slice(0, 40)}` }),
    ),
  },
  'ni-badb64sig': {
    narinfo: edited((narinfo, { key }) => withFields(narinfo, { Sig: `${key.name}:!not base64!` })),
  },
  'ni-extra-garbagesig': adding('Sig: garbage'),
  'ni-extra-otherkey': {
    narinfo: edited((narinfo) => `${narinfo}Sig: ${field(signedAnew(narinfo, stranger), 'Sig')}\n`),
  },
  'ni-wrongpath': {
    narinfo: edited((narinfo, { target, fixture }) => {
      const other = hashPartOf(pathNamed(fixture, 'small-a').path);
      return withFields(narinfo, { StorePath: target.path.replace(hashPartOf(target.path), other) });
    }),
  },
  'ni-wrongname': {
    narinfo: edited((narinfo, { target }) => withFields(narinfo, { StorePath: `${target.path}-not` })),
  },
  'ni-refs-nospace-empty': {
    narinfo: edited((narinfo) => narinfo.replace(/^References: $/m, 'References:')),
  },
  'ni-narhash-sri': {
    narinfo: edited((narinfo) =>
      withFields(narinfo, { NarHash: `sha256-${narHash(narinfo).toString('base64')}` }),
    ),
  },
  'ni-narhash-hex': {
    narinfo: edited((narinfo) =>
      withFields(narinfo, { NarHash: `sha256:${narHash(narinfo).toString('hex')}` }),
    ),
  },
  'ni-nofilehash': saying({ FileHash: undefined, FileSize: undefined }),
  'ni-wrongfilehash': saying({ FileHash: `sha256:${'0'.repeat(52)}` }),
  'ni-wrongfilesize': saying({ FileSize: '12345' }),
  'ni-wrongnarsize': saying({ NarSize: '12344' }),
  'ni-wrongcompression': saying({ Compression: 'xz' }),
  'ni-unknowncompression': saying({ Compression: 'snappy' }),
  'ni-wrongderiver': saying({ Deriver: `${'0'.repeat(32)}-somebody-else.drv` }),
  'ni-system': adding('System: x86_64-linux'),
  'ni-redirect': { narinfo: redirect('login') },
  'ni-ce-gzip': { narinfo: encoded('gzip') },
  'ni-ce-xz': { narinfo: encoded('xz') },

  'nar-404': { nar: status(404) },
  'nar-403': { nar: status(403) },
  'nar-401': { nar: status(401) },
  'nar-410': { nar: status(410) },
  'nar-500': { nar: status(500) },
  'nar-503-once': { nar: first(1, status(503)) },
  'nar-503': { nar: status(503) },
  'nar-reset': { nar: reset },
  'nar-trunc-ranges-once': { nar: first(1, cut()) },
  'nar-trunc-noranges-once': { nar: first(1, cut({ advertise: false, honour: false }), whole) },
  'nar-trunc-noadvert-once': { nar: first(1, cut({ advertise: false }), unadvertised) },
  'nar-trunc-ranges-then-ignored': { nar: first(1, cut(), whole) },
  'nar-trunc-ranges-then-404': { nar: first(1, cut(), status(404)) },
  'nar-trunc-ranges-then-503': { nar: first(1, cut(), status(503)) },
  'nar-trunc-always': { nar: cut() },
  'nar-trunc-always-noranges': { nar: cut({ advertise: false, honour: false }) },
  'nar-trunc-chunked-once': { nar: first(1, cut({ framing: 'chunked' })) },
  'nar-trunc-nolength-once': { nar: first(1, cut({ framing: 'close' })) },
  'nar-rst-mid-once': { nar: first(1, cut({ ending: 'reset' })) },
  'nar-hang-mid-once': { nar: first(1, cut({ ending: 'hang' })) },
  'nar-hang-mid-once-noranges': {
    nar: first(1, cut({ ending: 'hang', advertise: false, honour: false }), whole),
  },
  'nar-flip': { nar: flipped },
  'nar-flip-once': { nar: first(1, flipped) },
  'nar-html200': { nar: page(loginPage) },
  'nar-empty200': { nar: page('', 'application/x-nix-nar') },
  'nar-ce-gzip': { nar: encoded('gzip') },
  'nar-ce-xz': { nar: encoded('xz') },
  'nar-ce-zstd': { nar: encoded('zstd') },
  'nar-ce-bzip2': { nar: encoded('bzip2') },
  'nar-ce-gzip-trunc-once': {
    nar: first(1, cut({ encoding: 'gzip', advertise: false, honour: false }), encoded('gzip')),
  },
  'nar-redirect': { nar: redirect('login') },
  'nar-redirect-true': { nar: redirect('same') },

  'ci-404': { cacheInfo: status(404) },
  'ci-404-put-ok': {
    cacheInfo: (exchange) => status(exchange.request.method === 'PUT' ? 200 : 404)(exchange),
  },
  'ci-403': { cacheInfo: status(403) },
  'ci-500': { cacheInfo: status(500) },
  'ci-503-once': { cacheInfo: first(1, status(503)) },
  'ci-empty': cacheInfo(''),
  'ci-html': { cacheInfo: page(loginPage) },
  'ci-wrongstore': cacheInfo('StoreDir: /other/store\nWantMassQuery: 1\n'),
  'ci-nostoredir': cacheInfo('WantMassQuery: 1\nPriority: 30\n'),
  'ci-badprio': cacheInfo('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: high\n'),
  'ci-hang': { cacheInfo: hang },

  'all-refused': { refused: true },
  'all-503': { everything: status(503) },
  'all-404': { everything: status(404) },
  'all-hang': { everything: hang },
  'ni-all-503': { everyNarinfo: status(503) },
  'ni-all-500': { everyNarinfo: status(500) },
  'ni-all-reset': { everyNarinfo: reset },
  'ni-all-404': { everyNarinfo: status(404) },
  'ni-all-hang': { everyNarinfo: hang },
  // The first request is Nix's for nix-cache-info; what else a client asks first is answered as well.
  'refused-after-cacheinfo': {
    everything: (exchange) => {
      exchange.stopListening();
      exchange.response.setHeader('Connection', 'close');
      return honest(exchange);
    },
  },

  'portal-html': { everything: page(loginPage) },
  'portal-redirect': { everything: redirect('login') },
  'all-503-ra1': { everything: status(503, { 'Retry-After': '1' }) },
  'all-500': { everything: status(500) },
  'all-429': { everything: status(429, { 'Retry-After': '3' }) },
  'ni-otherpath': {
    narinfo: async (exchange) => {
      const other = hashPartOf(pathNamed(exchange.fixture, 'small-a').path);
      serve(exchange, await readFile(join(exchange.fixture.dir, `${other}.narinfo`)));
    },
  },
  'ni-65k': { narinfo: edited((narinfo) => narinfo + `Padding: ${'x'.repeat(1_000)}\n`.repeat(65)) },
  'ni-endless': { narinfo: endless('Padding: on and on\n') },
  'ni-byte-a-second': { narinfo: byteASecond },
  'nar-byte-a-second': { nar: byteASecond },
  'bomb-xz': bomb('xz'),
  'bomb-zstd': bomb('zstd'),
} satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;
