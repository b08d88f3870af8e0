import { setFlagsFromString } from 'node:v8';

/**
 * Until it is disposed of, V8 keeps its heap close to what is in use. Left to itself it let a scan of 50,000 entries, which need 45 MB,
 * grow the heap to 210 MB, a fifth of what a small machine has.
 */
export function leanHeap(): Disposable {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=20');
  return {
    [Symbol.dispose]() {
      setFlagsFromString('--semi-space-growth-factor=2');
      setFlagsFromString('--heap-growing-percent=0');
    },
  };
}
