import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type HashPart, isHashPart } from '../../../agent/nix/store-path.ts';
import type { Source, SourceBody } from '../../../agent/source/source.ts';
import { collected } from '../cache/support/sample.ts';
import {
  cacheFiles,
  type Sample,
  sample,
  storeDir,
  temporaryDirectory,
  writeFiles,
} from './support/cache-files.ts';
import { faultOf } from './support/fault-of.ts';

/** A source that stands before the files in `directory`. */
export interface OpenedSource {
  readonly source: Source;
  /** How many files or connections it holds open now, where that can be told. Resolves when it is this many. */
  readonly holds?: (count: number) => Promise<void>;
  /** Ends what the test started beside the source. */
  readonly stop?: () => Promise<void>;
}

export interface Kind {
  readonly name: string;
  readonly open: (directory: string) => Promise<OpenedSource>;
  /** Whether it opens NARs where it is told to, or at their beginning. */
  readonly ranges: boolean;
}

const never = new AbortController().signal;
const large = sample({ contents: randomBytes(3_000_001), name: 'large' });
const small = sample({ contents: Buffer.from('small'), references: [large] });
const plus: Sample = { ...sample(), file: Buffer.from('a+b') };

function files(): Map<string, Buffer> {
  const all = cacheFiles([large, small]);
  const { hashPart } = small.narinfo.storePath;
  all.set('/nar/a+b.nar', plus.file);
  all.set('/log/00000000000000000000000000000000-a+b.drv', Buffer.from('built\n'));
  all.set(`/${hashPart}.ls`, Buffer.from('{}'));
  all.set(`/${'1'.repeat(32)}.narinfo`, all.get(`/${hashPart}.narinfo`) ?? Buffer.alloc(0));
  all.set(`/${'2'.repeat(32)}.narinfo`, Buffer.from('<!DOCTYPE html><title>Log in</title>'));
  all.set(`/${'3'.repeat(32)}.narinfo`, Buffer.from('Key: value\n'.repeat(6_000)));
  return all;
}

/** What every Source promises, whatever stands behind it. */
export function conforms({ name, open, ranges }: Kind): void {
  describe(`${name} is a source`, () => {
    async function opened(): Promise<OpenedSource> {
      const directory = await temporaryDirectory();
      await writeFiles(directory, files());
      const result = await open(directory);
      onTestFinished(async () => {
        await result.source.close();
        await result.stop?.();
      });
      return result;
    }

    test('that says what it is', async () => {
      const { source } = await opened();
      expect(source.id).toMatch(/^(https?|file):\/\/[^@?#]+[^/]$/);
      expect(source.onThisMachine).toBe(true);
      expect(source.configured).toBe(true);
      expect(source.priority).toBe(7);
    });

    test('that gives the narinfo of a path it has, as it is written', async () => {
      const { source } = await opened();
      for (const { narinfo } of [small, large])
        expect(await source.narinfo(hashPartOf(narinfo.storePath.hashPart), never)).toEqual(narinfo);
    });

    test('that gives undefined for a path it does not have', async () => {
      const { source } = await opened();
      expect(await source.narinfo(hashPartOf('0'.repeat(32)), never)).toBeUndefined();
    });

    test.for([
      ['another path', '1'],
      ['something else', '2'],
      ['more than 64 KiB', '3'],
    ])('that refuses a narinfo which is %s', async ([_, digit = '']) => {
      const { source } = await opened();
      const fault = await faultOf(source.narinfo(hashPartOf(digit.repeat(32)), never));
      expect(['wrong', 'captive']).toContain(fault);
    });

    test('that tells nix-cache-info', async () => {
      const { source } = await opened();
      expect(await source.probe(never)).toEqual({ storeDir, wantMassQuery: true, priority: 41 });
    });

    test('that gives a whole NAR with its size', async () => {
      const { source } = await opened();
      const body = await source.openNar(large.narinfo.url, 0, never);
      expect(body).toMatchObject({ offset: 0, size: large.file.length });
      expect((await collected(body.chunks)).equals(large.file)).toBe(true);
    });

    test.for([1, 4_095, 262_144, 2_999_999, large.file.length - 1])(
      'that opens a NAR at byte %i',
      async (offset) => {
        const { source } = await opened();
        const body = await source.openNar(large.narinfo.url, offset, never);
        expect(body).toMatchObject({ offset: ranges ? offset : 0, size: large.file.length });
        expect((await collected(body.chunks)).equals(large.file.subarray(body.offset))).toBe(true);
      },
    );

    if (ranges) {
      test('that has no byte behind the end', async () => {
        const { source } = await opened();
        expect(await faultOf(source.openNar(large.narinfo.url, large.file.length + 1, never))).toBe('wrong');
      });
    }

    test('that says when a NAR is gone', async () => {
      const { source } = await opened();
      expect(await faultOf(source.openNar('nar/none.nar', 0, never))).toBe('gone');
    });

    test('that finds a NAR whose name has a plus in it, written so or as %2B', async () => {
      const { source } = await opened();
      for (const url of ['nar/a+b.nar', 'nar/a%2Bb.nar']) {
        const { chunks } = await source.openNar(url, 0, never);
        expect(await collected(chunks)).toEqual(plus.file);
      }
    });

    test('that gives other files, and undefined for those it does not have', async () => {
      const { source } = await opened();
      const text = async (body: SourceBody | undefined) => body && String(await collected(body.chunks));
      expect(await text(await source.openFile('log/00000000000000000000000000000000-a%2Bb.drv', never))).toBe(
        'built\n',
      );
      expect(await text(await source.openFile(`${small.narinfo.storePath.hashPart}.ls`, never))).toBe('{}');
      expect(await source.openFile('log/none', never)).toBeUndefined();
    });

    test('that throws the reason of a signal which has fired already', async () => {
      const { source } = await opened();
      const reason = new Error('nobody waits');
      const fired = AbortSignal.abort(reason);
      const { hashPart } = small.narinfo.storePath;
      await expect(source.narinfo(hashPart, fired)).rejects.toBe(reason);
      await expect(source.probe(fired)).rejects.toBe(reason);
      await expect(source.openNar(large.narinfo.url, 0, fired)).rejects.toBe(reason);
      await expect(source.openFile('log/none', fired)).rejects.toBe(reason);
    });

    test('that stops in the middle of a NAR when its signal fires', async () => {
      const { source } = await opened();
      const abort = new AbortController();
      const reason = new Error('the reader has left');
      const { chunks } = await source.openNar(large.narinfo.url, 0, abort.signal);
      const read = async () => {
        for await (const _ of chunks) abort.abort(reason);
      };
      await expect(read()).rejects.toBe(reason);
    });

    test('that holds nothing once a body was left, failed, or was never read and its signal fired', async () => {
      const { source, holds } = await opened();
      const abort = new AbortController();
      for (let i = 0; i < 34; i++) {
        const { chunks } = await source.openNar(large.narinfo.url, 0, abort.signal);
        for await (const _ of chunks) break;
      }
      for (let i = 0; i < 20; i++) await source.openNar(large.narinfo.url, 0, abort.signal);
      abort.abort(new Error('the readers have left'));
      await holds?.(0);
      const { chunks } = await source.openNar(large.narinfo.url, 0, never);
      expect((await collected(chunks)).length).toBe(large.file.length);
    });

    test('that answers a hundred questions at once', async () => {
      const { source } = await opened();
      const asked = Array.from({ length: 100 }, (_, i) =>
        source.narinfo(i % 2 === 0 ? small.narinfo.storePath.hashPart : hashPartOf('0'.repeat(32)), never),
      );
      const answers = await Promise.all(asked);
      expect(answers.filter((narinfo) => narinfo !== undefined)).toHaveLength(50);
    });

    test('that goes on after its connections were dropped', async () => {
      const { source } = await opened();
      await source.probe(never);
      await source.dropConnections();
      expect(await source.probe(never)).toMatchObject({ storeDir });
    });

    test('that can be closed twice', async () => {
      const { source, holds } = await opened();
      await source.probe(never);
      await source.close();
      await source.close();
      await holds?.(0);
    });
  });
}

function hashPartOf(text: string): HashPart {
  if (!isHashPart(text)) throw new Error(`${text} is no hash part`);
  return text;
}
