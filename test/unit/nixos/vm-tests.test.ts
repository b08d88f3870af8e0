import { expect, test } from 'vitest';
import { skippable } from '../../e2e/harness/skippable.ts';
import { evaluate, nixos } from './evaluate.ts';
import { withoutLibrary } from './machine.ts';

const { NIXPKGS_LIB } = process.env;

skippable(test, withoutLibrary)(
  'the machines of the VM tests evaluate, and nothing speaks against them',
  async () => {
    const tests = await evaluate(`
    let
      lib = import ${NIXPKGS_LIB};
      tests = import ${nixos}/tests.nix {
        modules = lib.genAttrs [ "laptop" "cache" "static-cache" ] (name: ${nixos} + "/\${name}.nix");
        pkgs = {
          runCommand = name: _: _: "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-\${name}";
          writeText = name: _: "/\${name}";
          testers.runNixOSTest = test: test;
        };
      };
      machine = node: import ${import.meta.dirname}/machine.nix {
        inherit lib;
        modules = [ node { options.virtualisation = lib.mkOption { type = lib.types.anything; }; } ];
      };
      shown = { settings, services, refusals, warnings, ... }: {
        inherit refusals warnings;
        pullsThrough = settings.lan.pull-through or null;
        services = builtins.attrNames services;
      };
    in builtins.mapAttrs (_: test: {
      inherit (test) name testScript;
      nodes = builtins.mapAttrs (_: node: shown (machine node)) test.nodes;
    }) tests`);
    const well = { refusals: [], warnings: [] };
    expect(tests).toMatchObject({
      lan: {
        name: 'narrowcast-lan',
        testScript: expect.stringContaining('narinfo = "0123456789abcdfghijklmnpqrsvwxyz.narinfo"'),
        nodes: {
          laptop: { ...well, pullsThrough: false, services: ['narrowcast'] },
          pi: { ...well, pullsThrough: true, services: ['narrowcast'] },
          upstream: { ...well, services: [] },
        },
      },
      roaming: {
        nodes: {
          laptop: { ...well, pullsThrough: false },
          pi: { ...well, services: ['narrowcast-gc'] },
          upstream: { ...well, services: [] },
        },
      },
    });
  },
);
