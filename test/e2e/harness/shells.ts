import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './run-command.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** A real shell that has read a completion script. */
export interface CompletingShell {
  readonly name: 'bash' | 'zsh' | 'fish';
  /** What the shell proposes for the last word of a line, sorted; the word that the line ends in, or the next after a space. */
  proposals(script: string, line: string, env: Readonly<Record<string, string>>): Promise<string[]>;
}

/** Why a shell cannot be tried here, or undefined. */
export function shellSkipReason(name: string): string | undefined {
  return spawnSync(name, ['-c', ':']).status === 0 ? undefined : `There is no ${name} here.`;
}

/** Calls the function that the script has registered as bash does. */
const bash: CompletingShell = {
  name: 'bash',
  async proposals(script, line, env) {
    const run = `source "$1"
      read -ra COMP_WORDS <<<"$2"
      [[ $2 == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMP_LINE=$2
      read -ra registered < <(complete -p narrowcast)
      "\${registered[2]}"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await mustRun(['bash', '--norc', '-c', run, 'bash', script, line], { env });
    return sorted(stdout);
  },
};

const fish: CompletingShell = {
  name: 'fish',
  async proposals(script, line, env) {
    const run = 'source $argv[1]; complete -C $argv[2]';
    const { stdout } = await mustRun(['fish', '--no-config', '-c', run, script, line], { env });
    // Each with its description after a tab.
    return sorted(stdout.replace(/\t.*$/gm, ''));
  },
};

/** Types the line into an interactive zsh; what its `compadd` is given and finds fitting is written down. */
const zsh: CompletingShell = {
  name: 'zsh',
  async proposals(script, line, env) {
    await using directory = await TemporaryDirectory.create('zsh');
    const found = join(directory.path, 'found');
    const done = join(directory.path, 'done');
    const setUp = join(directory.path, 'set-up');
    await writeFile(
      setUp,
      `autoload -Uz compinit && compinit -u -D
       source ${script}
       compadd() {
         local -a fitting
         [[ " $* " == *' -'[OAD]' '* ]] && { builtin compadd "$@"; return }
         builtin compadd -A fitting "$@"
         print -rl -- $fitting >> ${found}
         builtin compadd "$@"
       }
       try() { zle list-choices; print done > ${done} }
       zle -N try
       bindkey '^T' try
       print ready > ${done}\n`,
    );
    const shell = spawn('script', ['-qfc', 'zsh -f -i', '/dev/null'], { env: { ...env, TERM: 'dumb' } });
    shell.stdout.resume();
    try {
      shell.stdin.write(`source ${setUp}\n`);
      await written(done, 'ready');
      shell.stdin.write(`${line}\u0014`);
      await written(done, 'done');
      return sorted(await readFile(found, 'utf8').catch(() => ''));
    } finally {
      const exited = once(shell, 'exit');
      shell.kill('SIGKILL');
      await exited;
    }
  },
};

/** All three. */
export const completingShells: readonly CompletingShell[] = [bash, zsh, fish];

async function written(file: string, text: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while ((await readFile(file, 'utf8').catch(() => '')).trim() !== text) {
    if (Date.now() > deadline) throw new Error(`zsh has not written '${text}' to ${file}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function sorted(lines: string): string[] {
  return [...new Set(lines.split('\n').map((line) => line.trim()))].filter((line) => line !== '').sort();
}
