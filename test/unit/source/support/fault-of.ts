import { SourceError } from '../../../../agent/source/error.ts';

/** The SourceError that something rejects with. */
export async function sourceErrorOf(asked: Promise<unknown>): Promise<SourceError> {
  const error = await asked.then(
    () => new Error('it was answered'),
    (error: unknown) => error,
  );
  if (error instanceof SourceError) return error;
  throw error;
}

/** The fault of the SourceError that something rejects with. */
export async function faultOf(asked: Promise<unknown>): Promise<string> {
  return (await sourceErrorOf(asked)).fault;
}
