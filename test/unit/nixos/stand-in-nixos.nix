# The options of NixOS that the modules read and set, and what NixOS itself says of them.
{ lib, ... }:

let
  inherit (lib) mkOption types;
  optional = type: default: mkOption { inherit type default; };
  anything = optional types.anything { };
  list = mkOption { type = types.listOf types.str; };
in
{
  options = {
    assertions = optional (types.listOf types.anything) [ ];
    warnings = optional (types.listOf types.str) [ ];
    environment.systemPackages = optional (types.listOf types.anything) [ ];
    environment.etc = anything;
    fileSystems = anything;
    networking.enableIPv6 = optional types.bool true;
    networking.firewall = anything;
    networking.networkmanager = anything;
    powerManagement = anything;
    networking.proxy.httpProxy = optional (types.nullOr types.str) null;
    networking.proxy.noProxy = optional (types.nullOr types.str) null;
    nix.package = optional types.str "/nix";
    nix.extraOptions = optional types.lines "";
    nix.settings = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf types.anything;
        options.substituters = list;
        options.trusted-public-keys = list;
      };
    };
    services.avahi = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf types.anything;
        options.extraConfig = optional types.lines "";
      };
    };
    services.nginx = anything;
    systemd.package = optional types.str "/systemd";
    systemd.services = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          freeformType = types.attrsOf types.anything;
          options.wantedBy = optional (types.listOf types.str) [ ];
        }
      );
    };
    systemd.timers = anything;
    systemd.tmpfiles = anything;
    users.users = anything;
    users.groups = anything;
    systemd.sockets = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          freeformType = types.attrsOf types.anything;
          options.listenStreams = optional (types.listOf types.str) [ ];
        }
      );
    };
  };

  config.nix.settings = {
    substituters = lib.mkAfter [ "https://cache.nixos.org/" ];
    trusted-public-keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
  };
}
