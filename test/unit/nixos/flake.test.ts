import { join } from 'node:path';
import { expect, test } from 'vitest';
import { skippable } from '../../e2e/harness/skippable.ts';
import { evaluate, nixos } from './evaluate.ts';
import { withoutLibrary } from './machine.ts';

const { NIXPKGS_LIB } = process.env;

skippable(test, withoutLibrary)('the flake has what a flake should, for both systems', async () => {
  const outputs = await evaluate(`
    let
      lib = import ${NIXPKGS_LIB};
      pkgsOf = system: {
        testers.runNixOSTest = test: "test";
        runCommand = name: _: _: name;
        writeText = name: _: name;
        callPackage = file: _: { type = "derivation"; name = "narrowcast"; outPath = "/narrowcast"; inherit file; meta.mainProgram = "narrowcast"; };
        mkShell = shell: "shell";
        nixfmt-tree = "formatter";
        stdenv.hostPlatform = { inherit system; };
      };
      nixpkgs = {
        lib = lib // { nixosSystem = { modules }: { config.system.build.etc = map toString (builtins.filter builtins.isPath modules); }; };
        legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsOf;
      };
      outputs = (import ${join(nixos, '../flake.nix')}).outputs { self = outputs; inherit nixpkgs; };
      systems = lib.genAttrs [ "packages" "apps" "checks" "devShells" "formatter" ] (kind: builtins.mapAttrs (_: it: if builtins.isAttrs it then builtins.attrNames it else it) outputs.\${kind});
    in {
      inherit systems;
      program = outputs.apps.x86_64-linux.default.program;
      package = toString outputs.packages.x86_64-linux.default.file;
      overlay = toString (outputs.overlays.default (pkgsOf "x86_64-linux") { }).narrowcast.file;
      modules = builtins.mapAttrs (_: toString) outputs.nixosModules;
      check = outputs.checks.x86_64-linux.laptop;
    }`);
  const both = <Value>(value: Value) => ({ 'x86_64-linux': value, 'aarch64-linux': value });
  const laptop = join(nixos, 'laptop.nix');
  expect(outputs).toEqual({
    systems: {
      packages: both(['default', 'narrowcast']),
      apps: both(['default']),
      checks: both(['builder', 'cache', 'lan', 'laptop', 'package', 'roaming', 'static-cache']),
      devShells: both(['default']),
      formatter: both('formatter'),
    },
    program: '/narrowcast/bin/narrowcast',
    package: join(nixos, 'package.nix'),
    overlay: join(nixos, 'package.nix'),
    modules: {
      default: laptop,
      laptop,
      cache: join(nixos, 'cache.nix'),
      'static-cache': join(nixos, 'static-cache.nix'),
      builder: join(nixos, 'builder.nix'),
    },
    check: [laptop],
  });
});
