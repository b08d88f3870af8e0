# What a NixOS with these modules comes to: all that matters to the tests.
{
  # nixpkgs' library.
  lib,
  modules,
}:
let
  package = {
    type = "derivation";
    name = "narrowcast";
    outPath = "/narrowcast";
    meta.mainProgram = "narrowcast";
  };
  file = name: text: "/${name}: ${text}";
  pkgs = {
    callPackage = _: _: package;
    runCommand =
      name:
      { text }:
      script: {
        inherit name text script;
        outPath = "/${name}";
      };
    writeShellScript = file;
    writeText = file;
    git = "/git";
    openssh = "/openssh";
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform = { };
    };
  };
  evaluated = lib.evalModules {
    modules = modules ++ [
      ./stand-in-nixos.nix
      { _module.args = { inherit pkgs; }; }
    ];
    # NixOS's own, for paths without odd characters.
    specialArgs.utils.escapeSystemdPath =
      path: lib.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (lib.removePrefix "/" path);
  };
  inherit (evaluated) config;
in
{
  nix = config.nix.settings;
  settings = config.services.narrowcast.settings or null;
  inherit (config) users warnings;
  inherit (config.networking) firewall networkmanager proxy;
  inherit (config) powerManagement;
  inherit (config.services) nginx avahi;
  inherit (config.systemd) services timers tmpfiles;
  refusals = map (it: it.message) (builtins.filter (it: !it.assertion) config.assertions);
  service = config.systemd.services.narrowcast or null;
  socket = config.systemd.sockets.narrowcast or null;
  file = builtins.mapAttrs (_: { source }: { inherit (source) text script; }) config.environment.etc;
}
