import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import lzma from 'lzma-native';

/** The decoders that have been given bytes which they have not taken in yet. */
const busy = new Set<Transform>();
const known = new WeakSet<Transform>();

/** Whether any of them works (in a thread), rather than waits for somebody to take what it has. */
export function decodersAreBusy(): boolean {
  for (const { readableLength, destroyed } of busy) if (readableLength === 0 && !destroyed) return true;
  return false;
}

/** Lets every decoder of the same kind tell when it works. */
function watch(decoder: Transform): void {
  let prototype: Transform = Object.getPrototypeOf(decoder);
  while (!Object.hasOwn(prototype, '_transform')) prototype = Object.getPrototypeOf(prototype);
  const transform = prototype._transform;
  prototype._transform = function (chunk, encoding, callback) {
    busy.add(this);
    if (!known.has(this)) this.once('close', () => busy.delete(this));
    known.add(this);
    transform.call(this, chunk, encoding, (...results) => {
      busy.delete(this);
      callback.apply(this, results);
    });
  };
  decoder.destroy();
}

watch(zlib.createGunzip());
watch(lzma.createStream('streamDecoder', {}));
