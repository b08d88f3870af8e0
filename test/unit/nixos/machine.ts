import { evaluate, nixos } from './evaluate.ts';

const { NIXPKGS_LIB } = process.env;

/** Why no module can be evaluated here, or undefined when it can. */
export const withoutLibrary = NIXPKGS_LIB
  ? undefined
  : 'NIXPKGS_LIB does not name the lib directory of a nixpkgs, with which the NixOS modules would be evaluated.';

/**
 * What a NixOS with one module of ours and these definitions comes to: all that matters to the tests, or one part of it.
 * @throws Error with what Nix says
 */
export function machine(module: string, definitions: string, part = '') {
  return evaluate(`
    let
      lib = import ${NIXPKGS_LIB};
      package = { type = "derivation"; name = "narrowcast"; outPath = "/narrowcast"; meta.mainProgram = "narrowcast"; };
      pkgs = {
        callPackage = _: _: package;
        runCommand = name: { text }: script: { inherit name text script; outPath = "/${'$'}{name}"; };
        writeText = name: text: "/${'$'}{name}: ${'$'}{text}";
        stdenv = { buildPlatform.canExecute = _: true; hostPlatform = { }; };
      };
      evaluated = lib.evalModules {
        modules = [
          ${nixos}/${module}.nix
          ${import.meta.dirname}/stand-in-nixos.nix
          { _module.args = { inherit pkgs; }; }
          ({ config, lib, ... }: { ${definitions} })
        ];
        # NixOS's own, for paths without odd characters.
        specialArgs.utils.escapeSystemdPath = path: lib.replaceStrings [ "-" "/" ] [ "\\\\x2d" "-" ] (lib.removePrefix "/" path);
      };
      inherit (evaluated) config;
    in {
      nix = config.nix.settings;
      settings = config.services.narrowcast.settings or null;
      inherit (config) users warnings;
      inherit (config.networking) firewall proxy;
      inherit (config.services) nginx avahi;
      inherit (config.systemd) timers tmpfiles services;
      refusals = map (it: it.message) (builtins.filter (it: !it.assertion) config.assertions);
      service = config.systemd.services.narrowcast or null;
      socket = config.systemd.sockets.narrowcast or null;
      file = builtins.mapAttrs (_: { source }: { inherit (source) text script; }) config.environment.etc;
    }${part}`);
}
