import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { smallClosure } from '../fixtures/closure.ts';
import { Pi } from './harness/pi.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

const timeout = 180_000;
const buildId = 'ab'.repeat(19);

/** Says something while it is built, and has debug info. */
const expression = (name: string) => `derivation {
  name = "${name}";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-euc" "echo ${name} is built; mkdir -p $out/lib/debug/.build-id/cd; echo x > $out/lib/debug/.build-id/cd/${buildId}.debug" ];
  PATH = "/usr/bin:/bin";
}`;

skippable(describe, privateStoreSkipReason())('what real Nix puts beside a path', () => {
  test('I9: log, listing and debug info are shown to the LAN where the path is, and nix log reads them', {
    timeout,
  }, async () => {
    const shared = await smallClosure();
    await using keys = await TemporaryDirectory.create('keys');
    await using builder = await PrivateStore.create();
    const secret = join(keys.path, 'hidden');
    await builder.mustRun(['nix-store', '--generate-binary-cache-key', 'hidden-1', secret, `${secret}.pub`]);
    const hiddenKey = (await builder.mustRun(['cat', `${secret}.pub`])).stdout.trim();
    await using pi = await Pi.start({ ...shared, hiddenKey });
    await using reader = await PrivateStore.create();
    const isShown = async (path: string) => (await fetch(`${pi.url}/${path}`)).ok;

    const upload = async (name: string, keyFile: string) => {
      const options = { 'netrc-file': pi.netrc };
      const built = await builder.mustRun(['nix-build', '--no-out-link', '-E', expression(name)]);
      const path = built.stdout.trim();
      const parameters = `write-nar-listing=true&index-debug-info=true&secret-key=${keyFile}`;
      await builder.mustRun(['nix', 'copy', '--to', `${pi.url}?${parameters}`, path], { options });
      await builder.mustRun(['nix', 'store', 'copy-log', '--to', pi.url, path], { options });
      const { stdout } = await builder.mustRun(['nix-store', '--query', '--deriver', path]);
      return { path, hashPart: path.slice(11, 43), log: `log/${stdout.trim().slice(11)}` };
    };

    const hidden = await upload('hidden', secret);
    const debugInfo = `debuginfo/cd${buildId}.debug`;
    for (const path of [`${hidden.hashPart}.ls`, hidden.log, debugInfo])
      expect(await isShown(path)).toBe(false);
    expect((await reader.run(['nix', 'log', '--store', pi.url, hidden.path])).code).not.toBe(0);

    const open = await upload('open', shared.secretKeyFile);
    const log = await reader.mustRun(['nix', 'log', '--store', pi.url, open.path]);
    expect(log.stdout).toBe('open is built\n');
    for (const path of [`${open.hashPart}.ls`, open.log, debugInfo])
      expect(await isShown(path), path).toBe(true);
    const pointer = await (await fetch(`${pi.url}/${debugInfo}`)).text();
    expect(await isShown(/\.\.\/([^"]+)/.exec(pointer)?.[1] ?? '')).toBe(true);
    for (const path of [`${hidden.hashPart}.ls`, hidden.log]) expect(await isShown(path), path).toBe(false);
  });
});
