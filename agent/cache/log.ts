/** Where the cache says what an operator should know; pino's Logger is one. */
export interface CacheLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export const silent: CacheLog = { info: () => {}, warn: () => {} };
