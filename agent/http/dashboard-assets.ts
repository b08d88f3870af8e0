import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** One file that a browser gets. */
export interface DashboardAsset {
  /** For `Content-Type`. */
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/** By the path that a browser asks for. */
export type DashboardAssets = ReadonlyMap<string, DashboardAsset>;

const types = new Map([
  ['.css', 'text/css; charset=utf-8'],
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);

const page = 'index.html';
const folder = new URL('../dashboard/', import.meta.url);

/** What the page uses of installed packages, under the names that it knows. */
const packaged = new Map([
  ['preact.js', 'htm/preact/standalone'],
  ['uplot.js', 'uplot/dist/uPlot.esm.js'],
  ['uplot.css', 'uplot/dist/uPlot.min.css'],
]);

/**
 * Reads the page and all that it is made of. The parts' paths carry a digest of all of them, `/dashboard/DIGEST/NAME`: a browser may
 * keep them for ever. They name each other relatively; in the page the digest is filled in.
 */
export async function readDashboardAssets(): Promise<DashboardAssets> {
  const own = (await readdir(folder)).filter((name) => types.has(path.extname(name)));
  const files = [
    ...own.map((name) => [name, new URL(name, folder)] as const),
    ...[...packaged].map(([name, specifier]) => [name, new URL(import.meta.resolve(specifier))] as const),
  ];
  const bodies = await Promise.all(files.map(async ([name, url]) => [name, await readFile(url)] as const));
  const all = digest(bodies.flatMap(([name, body]) => [name, digest([body])]));
  return new Map(
    bodies.map(([name, body]) =>
      name === page
        ? ['/', asset(name, Buffer.from(body.toString().replaceAll('"/dashboard/', `"/dashboard/${all}/`)))]
        : [`/dashboard/${all}/${name}`, asset(name, body)],
    ),
  );
}

function asset(name: string, body: Buffer): DashboardAsset {
  const type = types.get(path.extname(name)) ?? 'application/octet-stream';
  return { type, body, etag: `"${digest([body])}"` };
}

function digest(parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64url').slice(0, 22);
}
