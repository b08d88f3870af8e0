import { evaluate, nixos } from './evaluate.ts';

const { NIXPKGS_LIB } = process.env;

/** Why no module can be evaluated here, or undefined when it can. */
export const withoutLibrary = NIXPKGS_LIB
  ? undefined
  : 'NIXPKGS_LIB does not name the lib directory of a nixpkgs, with which the NixOS modules would be evaluated.';

/**
 * What a NixOS with one module of ours and these definitions comes to (see machine.nix), or one part of it.
 * @throws Error with what Nix says
 */
export function machine(module: string, definitions: string, part = '') {
  return evaluate(`
    (import ${import.meta.dirname}/machine.nix {
      lib = import ${NIXPKGS_LIB};
      modules = [ ${nixos}/${module}.nix ({ config, lib, ... }: { ${definitions} }) ];
    })${part}`);
}
