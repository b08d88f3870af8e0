import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import lzma from 'lzma-native';

/** The decoders that have been given bytes which they have not taken in yet. */
const busy = new Set<Transform>();
const watched = new WeakSet<Transform>();
/** Those that have failed or are closed: they may never say that they took bytes in. */
const over = new WeakSet<Transform>();

/** Whether any of them works (in a thread), rather than waits for somebody to take what it has. */
export function decodersAreBusy(): boolean {
  for (const decoder of busy) {
    if (over.has(decoder)) busy.delete(decoder);
    else if (decoder.readableLength === 0) return true;
  }
  return false;
}

/** Lets every decoder of the same kind tell when it works. */
function watch(decoder: Transform): void {
  let prototype: Transform = Object.getPrototypeOf(decoder);
  while (!Object.hasOwn(prototype, '_transform')) prototype = Object.getPrototypeOf(prototype);
  const transform = prototype._transform;
  prototype._transform = function (chunk, encoding, callback) {
    if (!watched.has(this)) for (const end of ['close', 'error']) this.once(end, () => over.add(this));
    watched.add(this);
    busy.add(this);
    transform.call(this, chunk, encoding, (...results) => {
      busy.delete(this);
      callback.apply(this, results);
    });
  };
  decoder.destroy();
}

watch(zlib.createGunzip());
watch(lzma.createStream('streamDecoder', {}));
