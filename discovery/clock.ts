/** Stops what `Clock.after` or `Clock.every` started; harmless when called again or too late. */
export type Cancel = () => void;

/** Time as discovery sees it, injected so that tests can turn it by hand. */
export interface Clock {
  /** Milliseconds from some fixed point; never goes back, and may stand still while the machine sleeps. */
  now(): number;
  /** Milliseconds since the epoch; goes on while the machine sleeps, and jumps when it is set. */
  wall(): number;
  /** Runs `run` once, `delay` ms from now. */
  after(delay: number, run: () => void): Cancel;
  /** Runs `run` each `period` ms. */
  every(period: number, run: () => void): Cancel;
}

/** The machine's own clock. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (delay, run) => {
    const timer = setTimeout(run, delay).unref();
    return () => clearTimeout(timer);
  },
  every: (period, run) => {
    const timer = setInterval(run, period).unref();
    return () => clearInterval(timer);
  },
};
