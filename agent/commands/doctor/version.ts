import type { AgentAnswer } from './agent-answers.ts';
import { type Finding, fault, ok, skipped } from './finding.ts';

/** Whether the agent that runs is of this command's version. */
export function checkVersion(answers: readonly AgentAnswer[], ours: string): Finding {
  const theirs = answers.find(({ version }) => version !== undefined);
  if (theirs?.version === undefined) return skipped('No agent runs to be asked for its version.');
  if (theirs.version === ours && theirs.stats !== undefined) return ok(`Agent and command are ${ours}.`);
  return fault(
    theirs.version === ours
      ? `The agent says that it is ${ours} like this command, but tells of itself in another form.`
      : `The agent that runs is ${theirs.version}, this command is ${ours}.`,
    { cure: 'run: systemctl restart narrowcast' },
  );
}
