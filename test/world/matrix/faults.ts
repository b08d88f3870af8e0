/** What goes wrong in the fault matrix: the rows, each for the narinfo and for the NAR of one path. */
import { setInterval } from 'node:timers';
import {
  type Answer,
  cut,
  type Exchange,
  edited,
  flipped,
  hang,
  honest,
  loginPage,
  page,
  redirect,
  reset,
  serve,
  status,
} from '../../e2e/harness/answers.ts';
import type { Wanted } from '../../e2e/harness/build-wanted.ts';
import { type Fault, faults } from '../../e2e/harness/faults.ts';
import { withFields } from '../../e2e/harness/spoiled-narinfo.ts';
import { hashPartOf, pathNamed } from '../../fixtures/closure.ts';

/** What of a path the fault is about. */
export type Subject = 'narinfo' | 'NAR';

/** What a fault can do beside answering badly. */
export interface Powers {
  /** The source's names lead to its second address from now on, where it answers honestly. */
  move(): void;
  /** No name server answers from now on. */
  hush(): void;
  /** kill -9 of the agent, and its start on the same port and directory. */
  restartAgent(): void;
}

export interface MatrixFault {
  readonly name: string;
  /** A new one for each source, for some keep count. */
  readonly fault: (subject: Subject, powers: Powers) => Fault;
  /** Sources are known by name; `silent`: no name server answers from the start, when it is about the narinfo. */
  readonly names?: 'answered' | 'silent';
  /** The fixture's path that it is about, `small-b` (2.9 MB) unless another is given. */
  readonly target?: 'small-c';
}

export const matrixFaults: readonly MatrixFault[] = [
  { name: 'refused', fault: on(die) },
  { name: 'hang before headers', fault: on(hang) },
  { name: 'hang in mid-body', fault: on(cut({ ending: 'hang' })) },
  { name: 'RST', fault: on(reset) },
  { name: 'FIN early', fault: on(cut()) },
  { name: 'truncated, with a length that agrees', fault: on(half) },
  { name: 'wrong bytes', fault: on(flipped) },
  { name: 'wrong narinfo', fault: wrongNarinfo },
  { name: 'captive portal', fault: portal },
  { name: '500', fault: on(status(500)) },
  { name: '503 with Retry-After', fault: on(status(503, { 'Retry-After': '5' })) },
  { name: '429', fault: on(status(429, { 'Retry-After': '5' })) },
  { name: 'DNS hangs', fault: forgetful, names: 'silent' },
  { name: '1 KB/s', fault: on(slowly), target: 'small-c' },
  { name: 'address changes', fault: moving, names: 'answered' },
  { name: 'agent killed and restarted', fault: restarting },
];

/** What Nix is asked for: the first path that it needs is the one that the fault is about. */
export function wantedOf({ target }: MatrixFault): Wanted {
  return target === 'small-c'
    ? { attribute: 'c', needs: ['small-c', 'small-a', 'small-text'] }
    : { attribute: 'wanted', needs: ['small-b', 'small-a'] };
}

/** Only this answer is not honest. */
function on(answer: Answer): MatrixFault['fault'] {
  return (subject) => (subject === 'NAR' ? { nar: answer } : { narinfo: answer });
}

function die({ stopListening, request }: Exchange): void {
  stopListening();
  request.socket.resetAndDestroy();
}

/** Its first half, as if that were all. */
function half(exchange: Exchange): void {
  const { genuine = Buffer.alloc(0) } = exchange;
  serve(exchange, genuine.subarray(0, genuine.length >> 1));
}

/** The narinfo of another path; or the right one, with a URL that leads to the NAR of another. */
function wrongNarinfo(subject: Subject): Fault {
  if (subject === 'narinfo') return faults['ni-otherpath'];
  const wrongUrl = (narinfo: string, { fixture }: Exchange) =>
    withFields(narinfo, { URL: pathNamed(fixture, 'small-a').url });
  return { narinfo: edited(wrongUrl) };
}

/** From the question on, every request leads to a login page: by a redirect for the narinfo, in place of the NAR. */
function portal(subject: Subject): Fault {
  const answer = subject === 'NAR' ? page(loginPage) : redirect('login');
  let closed = false;
  return {
    everything: (exchange) => {
      closed ||= asks(subject, exchange);
      return (closed ? answer : honest)(exchange);
    },
  };
}

/** Honest, and closes every connection after its answer, so that the next request needs its name again, which has no answer by then. */
function forgetful(subject: Subject, { hush }: Powers): Fault {
  return {
    everything: (exchange) => {
      if (subject === 'NAR' && asks('narinfo', exchange)) hush();
      exchange.response.setHeader('Connection', 'close');
      return honest(exchange);
    },
  };
}

function slowly({ request, response, genuine = Buffer.alloc(0) }: Exchange): void {
  response.writeHead(200, { 'Content-Length': genuine.length, 'Accept-Ranges': 'bytes' });
  let at = 0;
  const send = () => {
    response.write(genuine.subarray(at, at + 1_024));
    at += 1_024;
    if (at < genuine.length) return;
    clearInterval(timer);
    response.end();
  };
  const timer = setInterval(send, 1_000);
  request.socket.once('close', () => clearInterval(timer));
  send();
}

/** At the question it breaks off, in mid-body if it is for the NAR, and nobody is at this address any more. */
function moving(subject: Subject, powers: Powers): Fault {
  return on((exchange) => {
    exchange.stopListening();
    powers.move();
    return (subject === 'NAR' ? cut({ ending: 'reset' }) : reset)(exchange);
  })(subject, powers);
}

/** The first request is left without an answer, or in mid-body, and its asker killed. */
function restarting(subject: Subject, powers: Powers): Fault {
  return on(async (exchange) => {
    if (exchange.nth > 1) return honest(exchange);
    await (subject === 'NAR' ? cut({ ending: 'hang' }) : hang)(exchange);
    powers.restartAgent();
  })(subject, powers);
}

function asks(subject: Subject, { request, target }: Exchange): boolean {
  return request.url === `/${subject === 'NAR' ? target.url : `${hashPartOf(target.path)}.narinfo`}`;
}
