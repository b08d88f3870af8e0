import type { Command } from 'commander';
import { reference } from '../config/reference.ts';
import { commandTree } from './command-tree.ts';
import { manPage } from './man/page.ts';

/** Prints the man page, narrowcast(1), as roff. */
export function man(program: Command): void {
  process.stdout.write(manPage(commandTree(program), reference));
}
