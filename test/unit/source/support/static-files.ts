import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Reply, text } from './scripted-server.ts';

export interface StaticFilesOptions {
  /** Whether Range is honoured; true by default. */
  readonly ranges?: boolean;
}

/** Answers with the files of a directory, as a simple static server does. */
export function staticFiles(directory: string, { ranges = true }: StaticFilesOptions = {}): Reply {
  return async (request, response) => {
    const name = path.join(directory, decodeURIComponent(request.url ?? ''));
    const file = await readFile(name).catch(() => undefined);
    if (file === undefined) return text(404)(request, response);
    const from = ranges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    if (from >= file.length) return text(416)(request, response);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': file.length - from,
      ...(from > 0 && { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` }),
    });
    response.end(file.subarray(from));
  };
}
