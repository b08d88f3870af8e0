/** `node test/e2e/client-table.ts [FILE]` measures the table anew and writes docs/nix-through-relay.md, or FILE. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measureTable, printTable } from './harness/client-table.ts';
import { PrivateStore } from './harness/private-store.ts';

const table = printTable(await measureTable());
await using store = await PrivateStore.create();
const version = (await store.mustRun(['nix-build', '--version'])).stdout.match(/\S+$/m)?.[0] ?? 'unknown';

const document = `# Real Nix and a misbehaving upstream, without and with narrowcast

Measured by \`node test/e2e/client-table.ts\` with Nix ${version} (another with \`NARROWCAST_NIX_BIN=DIR\`); \`test/e2e/client-table.test.ts\` measures it again and holds it to these outcomes.

Each cell is one \`nix-build\` with \`fallback = false\` in a fresh store. It needs a path (\`small-b\`, 3 MB) that the upstream has
and that could also be built from source. *substituted*: taken from the upstream. *built*: Nix went on and built it. **fails**: the
whole build failed. Whatever succeeded, the bytes in the store were checked to be the right ones.

In brackets: how many requests for the file in question reached the upstream (for ci, all and ok: requests of any kind; of two
upstreams, the second), and the seconds where it took three or more. ni: the narinfo's answer; nar: the NAR's; ci:
nix-cache-info's; all: every answer; once: the first request only. In rows with *hang*, straight Nix ran with
\`stalled-download-timeout = 4\` and \`download-attempts = 2\` (its own defaults are 300 s and 5), the relay with
\`lookup-timeout = "2s"\` and \`stalled-download-timeout = "4s"\`, and Nix behind the relay with its defaults. What each fault is, byte for
byte, stands in \`test/e2e/harness/faults.ts\`.

${table}`;

await writeFile(process.argv[2] ?? join(import.meta.dirname, '../../docs/nix-through-relay.md'), document);
process.stdout.write(table);
