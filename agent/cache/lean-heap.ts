import { setFlagsFromString } from 'node:v8';

/** By how much the heap may grow, in percent of what is in use, before V8 collects: Node's own rule is anything from 10 to 300. */
const usualGrowth = 50;

setFlagsFromString(`--heap-growing-percent=${usualGrowth}`);

/**
 * Until it is disposed of, V8 keeps its heap closer still to what is in use. Left to itself it let a scan of 50,000 entries, which need 45 MB,
 * grow the heap to 210 MB, a fifth of what a small machine has (docs/decisions/memory.md).
 */
export function leanHeap(): Disposable {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=20');
  return {
    [Symbol.dispose]() {
      setFlagsFromString('--semi-space-growth-factor=2');
      setFlagsFromString(`--heap-growing-percent=${usualGrowth}`);
    },
  };
}
