# services.narrowcast.staticCache: a cache directory that nginx shows to the LAN, without an agent. Machines that run
# narrowcast find it by avahi's announcement.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.narrowcast.staticCache;
  parts = import ./static-cache-parts.nix;
  disk = import ./disk.nix;

  unit = parts.cleaning {
    command = lib.getExe cfg.package;
    configFile = pkgs.writeText "narrowcast-gc.toml" (
      import ./toml.nix {
        cache = {
          inherit (cfg) dir;
          max-age = cfg.maxAge;
          max-size = "0";
        };
      }
    );
    inherit (cfg)
      dir
      mountPoint
      user
      group
      ;
  };
  every = address: {
    addr = address;
    inherit (cfg) port;
  };
in
{
  options.services.narrowcast.staticCache = {
    enable = lib.mkEnableOption "a Nix binary cache directory that nginx serves and avahi announces";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The narrowcast that removes what was not used for long.";
    };

    dir = mkOption {
      type = types.strMatching "/[A-Za-z0-9._/-]*[A-Za-z0-9._-]";
      default = "/var/lib/static-nix-cache";
      description = "The directory, as `nix copy --to file://…` lays it out. nginx must be able to read it.";
    };

    user = mkOption {
      type = types.str;
      default = "narrowcast";
      description = ''
        Who owns the directory and puts paths into it, and so may remove them. By default a user made for it; another, such
        as the one that a builder logs in as, must exist.
      '';
    };

    group = mkOption {
      type = types.str;
      default = "narrowcast";
      description = "The group of `user`.";
    };

    mountPoint = mkOption {
      type = types.nullOr types.str;
      default = disk.mountPointOf (builtins.attrNames config.fileSystems) cfg.dir;
      defaultText = lib.literalMD "the one of `fileSystems` that the directory is on, or null for the root file system";
      description = "Where the disk with the directory is mounted. While it is not, nothing is written there.";
    };

    port = mkOption {
      type = types.port;
      default = 80;
      description = "Where the LAN finds the cache.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = true;
      description = "Let the machines of the LAN in. avahi has an option of its own, which is on by default as well.";
    };

    maxAge = mkOption {
      type = types.str;
      default = "14d";
      description = "What nobody read for this long is removed.";
    };

    startAt = mkOption {
      type = types.str;
      default = "daily";
      description = "When to remove it, as systemd.time(7) has it.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.nginx = {
      enable = true;
      virtualHosts.nix-cache = {
        # Machines ask by address, too.
        default = lib.mkDefault true;
        listen = [ (every "0.0.0.0") ] ++ lib.optional config.networking.enableIPv6 (every "[::]");
        locations = parts.locations cfg.dir;
      };
    };

    services.avahi = {
      enable = true;
      publish = {
        enable = true;
        userServices = true;
      };
      extraServiceFiles.nix-cache = parts.announcement cfg.port;
    };

    systemd.services.narrowcast-gc = {
      description = unit.Unit.Description;
      unitConfig = removeAttrs unit.Unit [ "Description" ];
      serviceConfig = unit.Service;
      inherit (cfg) startAt;
    };
    # A machine that was off at that time makes up for it.
    systemd.timers.narrowcast-gc.timerConfig.Persistent = true;

    # Nothing is made on the root file system in a disk's stead.
    systemd.tmpfiles.rules = lib.mkIf (cfg.mountPoint == null) [
      "d ${cfg.dir} 0755 ${cfg.user} ${cfg.group} -"
    ];

    users = lib.mkIf (cfg.user == "narrowcast") {
      users.narrowcast = {
        isSystemUser = true;
        inherit (cfg) group;
      };
      groups.narrowcast = { };
    };

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];

    assertions = [
      {
        assertion = !(config.services.narrowcast.cache.enable or false);
        message = "services.narrowcast.staticCache is for machines on which narrowcast does not run: it serves and clears up its directory itself; switch off one of staticCache and cache.";
      }
      {
        assertion = !builtins.elem "noatime" (config.fileSystems.${toString cfg.mountPoint}.options or [ ]);
        message = "services.narrowcast.staticCache knows by access times what is used: mount ${toString cfg.mountPoint} without noatime.";
      }
    ];
  };
}
