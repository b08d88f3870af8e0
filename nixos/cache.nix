# services.narrowcast.cache: this machine is the LAN's cache, such as a Raspberry Pi with a disk.
{
  config,
  lib,
  utils,
  ...
}:

let
  cfg = config.services.narrowcast.cache;
  inherit (config.services.narrowcast) settings;
  inherit (settings.cache) dir;
  disk = import ./disk.nix;
  unit = import ./cache-unit.nix {
    inherit dir;
    inherit (cfg) mountPoint;
  };
  nameOf = key: builtins.head (lib.splitString ":" key);
in
{
  imports = [ ./laptop.nix ];

  options.services.narrowcast.cache = {
    enable = lib.mkEnableOption ''
      narrowcast as the LAN's cache: it fetches for the machines of the LAN, keeps what they use, and takes uploads where
      `services.narrowcast.settings.upload.tokens-file` says whose'';

    mountPoint = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = disk.mountPointOf (builtins.attrNames config.fileSystems) dir;
      defaultText = lib.literalMD "the one of `fileSystems` that the directory is on, or null for the root file system";
      description = ''
        Where the disk with the cache directory is mounted. While it is not, nothing is served, and nothing is written to the
        file system beneath.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    services.narrowcast = {
      enable = true;
      user = lib.mkDefault "narrowcast";
      openFirewall = lib.mkDefault true;
      settings = {
        cache = {
          dir = lib.mkDefault "/var/lib/static-nix-cache";
          max-age = lib.mkDefault "14d";
          max-size = lib.mkDefault "0";
        };
        lan = {
          pull-through = lib.mkDefault true;
          # What the LAN's machines may ask for is what this one believes.
          share-keys = lib.mkDefault (map nameOf settings.trusted-public-keys);
        };
      };
    };

    systemd.services.narrowcast = {
      unitConfig = unit.Unit;
      serviceConfig = lib.mapAttrs (_: lib.mkDefault) unit.Service;
      # Back with the disk.
      wantedBy = lib.optional (cfg.mountPoint != null) "${utils.escapeSystemdPath cfg.mountPoint}.mount";
    };
  };
}
