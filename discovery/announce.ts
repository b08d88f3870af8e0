import type { AnnouncementRecords } from './announcement.ts';
import type { Cancel, Clock } from './clock.ts';
import type { Packet, Question, ResourceRecord } from './packet.ts';
import type { Transport } from './transport.ts';

/** Tells one link of this machine's cache, unasked at first and then whenever somebody asks. */
export interface Announcer {
  /** Answers a query, unless the asker knows already. */
  received(query: Packet): void;
  /** Takes the announcement back. Settles when the goodbye is sent or can't be. */
  stop(): Promise<void>;
  /** Says nothing more, not even goodbye. */
  silence(): void;
}

const unasked = [0, 1_000, 3_000]; // ms after the start; RFC 6762, 8.3 asks for two or more
const gap = 200; // ms between two answers; shorter than RFC 6762, 6 has it, so that a newcomer need not wait
const [minDelay, maxDelay] = [20, 120]; // ms before an answer, so that not everybody speaks at once

/** Begins to announce the records. */
export function announce(records: AnnouncementRecords, transport: Transport, clock: Clock): Announcer {
  const all = [records.pointer, ...records.details];
  const greetings = unasked.map((delay) => clock.after(delay, tell));
  let lastTold = Number.NEGATIVE_INFINITY;
  let answer: Cancel | undefined;

  function tell(): void {
    lastTold = clock.now();
    transport.respond([...all, records.enumeration]);
  }

  return {
    received: (query) => {
      if (answer || !query.questions.some((question) => isFor(question, query.records))) return;
      const delay = minDelay + Math.random() * (maxDelay - minDelay);
      answer = clock.after(Math.max(delay, lastTold + gap - clock.now()), () => {
        answer = undefined;
        tell();
      });
    },
    stop: async () => {
      silence();
      await transport.respond(all.map((record) => ({ ...record, ttl: 0 })));
    },
    silence,
  };

  function silence(): void {
    for (const cancel of greetings) cancel();
    answer?.();
    answer = undefined;
  }

  function isFor(question: Question, knownAnswers: readonly ResourceRecord[]): boolean {
    const answers = [...all, records.enumeration].filter((record) => answersTo(question, record));
    return answers.some((record) => !knownAnswers.some((known) => isSame(known, record)));
  }
}

function answersTo(question: Question, record: ResourceRecord): boolean {
  return (
    question.name.toLowerCase() === record.name.toLowerCase() &&
    (question.type === record.type || question.type === 'ANY')
  );
}

// RFC 6762, 7.1: an answer counts as known while the asker may hold it for at least half of its life.
function isSame(known: ResourceRecord, own: ResourceRecord): boolean {
  return (
    known.type === 'PTR' &&
    own.type === 'PTR' &&
    known.name.toLowerCase() === own.name.toLowerCase() &&
    known.data.toLowerCase() === own.data.toLowerCase() &&
    known.ttl >= own.ttl / 2
  );
}
