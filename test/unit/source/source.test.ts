import { readdir, readlink } from 'node:fs/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { DirectorySource } from '../../../agent/source/directory-source.ts';
import { parseNetrc } from '../../../agent/source/netrc.ts';
import { Nginx } from '../../e2e/harness/nginx.ts';
import { conforms, type OpenedSource } from './conformance.ts';
import { storeDir } from './support/cache-files.ts';
import { httpSource } from './support/http-source.ts';
import { localhostCertificate } from './support/localhost-certificate.ts';
import { turn } from './support/manual-clock.ts';
import { type Reply, ScriptedServer, type ScriptedServerOptions, text } from './support/scripted-server.ts';
import { staticFiles } from './support/static-files.ts';

setDefaultCACertificates([...getCACertificates('default'), localhostCertificate.cert]);

const priority = 7;
const netrc = parseNetrc('machine localhost login laptop password s3cret');

async function openServer(reply: Reply, options: ScriptedServerOptions = {}): Promise<OpenedSource> {
  const server = await ScriptedServer.start(reply, options);
  return {
    source: httpSource(server.url, { priority, netrc }),
    holds: (count) => server.until(() => server.sockets.size === count),
    stop: () => server.stop(),
  };
}

conforms({
  name: 'a cache behind nginx',
  ranges: true,
  open: async (directory) => {
    const nginx = await Nginx.start(directory);
    return {
      source: httpSource(new URL(nginx.url), { priority }),
      stop: () => nginx[Symbol.asyncDispose](),
    };
  },
});

conforms({
  name: 'a cache behind node:http',
  ranges: true,
  open: (directory) => openServer(staticFiles(directory)),
});

conforms({
  name: 'a cache that ignores ranges',
  ranges: false,
  open: (directory) => openServer(staticFiles(directory, { ranges: false })),
});

conforms({
  name: 'a cache behind https that wants a password',
  ranges: true,
  open: (directory) => {
    const files = staticFiles(directory);
    const expected = `Basic ${Buffer.from('laptop:s3cret').toString('base64')}`;
    const guarded: Reply = (request, response) =>
      (request.headers.authorization === expected ? files : text(401))(request, response);
    return openServer(guarded, { tls: localhostCertificate });
  },
});

conforms({
  name: 'a directory',
  ranges: true,
  open: async (dir) => ({
    source: new DirectorySource({ dir, priority, storeDir, lookupTimeout: 20_000, stalledTimeout: 30_000 }),
    holds: async (count) => {
      while ((await openFilesBelow(dir)) !== count) await turn();
    },
  }),
});

async function openFilesBelow(directory: string): Promise<number> {
  const open = await readdir('/proc/self/fd');
  const names = await Promise.all(open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return names.filter((name) => name.startsWith(directory)).length;
}
