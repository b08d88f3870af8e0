import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes that one answer sends between two collections: more than its transfer holds in memory, so that most are spent. */
const collectEvery = 4 * 1024 * 1024;
/** Beyond so many answers at once, collections come no more rarely. */
const maxAnswers = 4;

/**
 * Buffers that were sent lie in memory until V8 collects its garbage, which it does once there are 64 MB of them; by then they have
 * left the processor's caches, and new ones cost page faults. So the young ones, nearly all, are collected soon after they were
 * sent: a fraction of a millisecond each time. One for each answer that sends a NAR, disposed of at its end.
 */
export class SpentBuffers implements Disposable {
  constructor() {
    answers += 1;
  }

  /** So many bytes were sent. */
  add(bytes: number): void {
    spent += bytes;
    if (spent < collectEvery * Math.min(answers, maxAnswers)) return;
    spent = 0;
    collect({ type: 'minor' });
  }

  [Symbol.dispose](): void {
    answers -= 1;
  }
}

let answers = 0;
let spent = 0;

// Contexts made from here on have the collector among their globals; nobody else sees it.
setFlagsFromString('--expose-gc');
const collect: (options: { type: 'minor' }) => void = runInNewContext('gc');
