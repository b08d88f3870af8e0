/** Does the work for all items, so many at a time. Rejects with the first failure, or the signal's reason when it is aborted. */
export async function inParallel<T>(
  count: number,
  items: Iterable<T>,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      signal.throwIfAborted();
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: count }, worker));
}
