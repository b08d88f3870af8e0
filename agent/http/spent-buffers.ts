import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes that all answers together send between two collections. */
const collectEvery = 4 * 1024 * 1024;

let sent = 0;

/**
 * So many bytes of an answer were sent. Buffers that were sent lie in memory until V8 collects its garbage, which it does once there are
 * 64 MB of them; by then they have left the processor's caches, and new ones cost page faults. So the young ones, nearly all, are
 * collected soon after they were sent: a fraction of a millisecond each time.
 */
export function noteSent(bytes: number): void {
  sent += bytes;
  if (sent < collectEvery) return;
  sent = 0;
  collect({ type: 'minor' });
}

// Contexts made from here on have the collector among their globals; nobody else sees it.
setFlagsFromString('--expose-gc');
const collect: (options: { type: 'minor' }) => void = runInNewContext('gc');
