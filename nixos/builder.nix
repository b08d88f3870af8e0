# services.narrowcast.builder: each night the systems of some flakes are built here and pushed to the caches.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.narrowcast.builder;
  scripts = import ./builder-scripts.nix;
  units = import ./builder-units.nix;
  user = "narrowcast-builder";
  queue = "queue";

  secret =
    description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit description;
    };
  flake = import ./builder-flake.nix {
    inherit lib secret;
    inherit (cfg) to;
  };

  hosts = lib.concatLists (
    lib.mapAttrsToList (
      flakeName: flake:
      map (host: {
        inherit host flake flakeName;
        unit = "narrowcast-build-${host}";
      }) flake.hosts
    ) cfg.flakes
  );
  hostNames = map ({ host, ... }: host) hosts;
  twice = lib.unique (builtins.filter (host: lib.count (it: it == host) hostNames > 1) hostNames);

  secrets = builtins.filter (file: file != null) (
    [
      cfg.signingKeyFile
      cfg.netrcFile
    ]
    ++ lib.mapAttrsToList (_: flake: flake.deployKeyFile) cfg.flakes
  );
  inStore = builtins.filter (lib.hasPrefix "${builtins.storeDir}/") secrets;

  asService = unit: {
    description = unit.Unit.Description;
    wants = unit.Unit.Wants;
    after = unit.Unit.After;
    serviceConfig = unit.Service;
    path = [
      config.nix.package
      pkgs.git
      pkgs.openssh
    ];
    inherit (cfg) onFailure;
    # A new system does not break off what is being built.
    restartIfChanged = false;
  };

  pushing = units.push {
    command = lib.getExe cfg.package;
    inherit user queue;
    inherit (cfg.queue) to;
    inherit (cfg) signingKeyFile netrcFile;
    extraArgs = cfg.extraPushArgs;
  };

  updateOf =
    flakeName: flake:
    lib.nameValuePair "narrowcast-update-${flakeName}" (
      asService (
        units.update {
          flake = flakeName;
          inherit user;
          inherit (cfg) timeout;
          inherit (flake) deployKeyFile;
          script = pkgs.writeShellScript "narrowcast-update-${flakeName}" (
            scripts.update { inherit (flake) url branch; }
          );
        }
      )
    );

  buildOf =
    nth:
    {
      host,
      flake,
      flakeName,
      unit,
    }:
    lib.nameValuePair unit (
      asService (
        units.build {
          inherit host user;
          inherit (cfg) timeout signingKeyFile netrcFile;
          inherit (flake) deployKeyFile;
          update = if flake.update then "narrowcast-update-${flakeName}.service" else null;
          before = map (earlier: "${earlier.unit}.service") (lib.take nth hosts);
          script = pkgs.writeShellScript unit (
            scripts.build {
              inherit host;
              inherit (flake) url branch to;
              narrowcast = lib.getExe cfg.package;
              extraArgs = cfg.extraPushArgs;
            }
          );
        }
      )
      // {
        inherit (flake) startAt;
      }
    );
in
{
  options.services.narrowcast.builder = {
    enable = lib.mkEnableOption "builds of NixOS systems that are pushed to a cache";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The narrowcast that pushes.";
    };

    flakes = mkOption {
      type = types.attrsOf flake;
      default = { };
      description = "What is built, by names of your choice.";
    };

    to = mkOption {
      type = types.str;
      example = "http://pi.example.org:6271";
      description = "The cache to push to.";
    };

    signingKeyFile = secret ''
      The key that signs what is pushed, as `narrowcast keygen` makes it; null: what has no signature yet goes without.
    '';

    netrcFile = secret "A netrc file with this builder's name and token for the cache.";

    extraPushArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "--max-rate"
        "2MiB"
      ];
      description = "More words for `narrowcast push`.";
    };

    queue = {
      enable = lib.mkEnableOption ''
        pushes of all that Nix builds on this machine, whoever asked for it, a moment after it is built. A cache that is away
        gets it when it is back'';

      to = mkOption {
        type = types.listOf types.str;
        default = [ cfg.to ];
        defaultText = lib.literalExpression "[ config.services.narrowcast.builder.to ]";
        description = "The caches to push to.";
      };
    };

    onFailure = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "mail-about@%n.service" ];
      description = "Units to start when an update, a build or a push has failed; `%n` is the unit that did.";
    };

    timeout = mkOption {
      type = types.str;
      default = "12h";
      description = "How long one host, or one update, may take, as systemd.time(7) has it.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services =
      lib.mapAttrs' updateOf (lib.filterAttrs (_: flake: flake.update) cfg.flakes)
      // builtins.listToAttrs (lib.imap0 buildOf hosts)
      // lib.optionalAttrs cfg.queue.enable {
        narrowcast-push = asService pushing // {
          wantedBy = [ "multi-user.target" ];
          restartIfChanged = true;
          # For systemd-notify, too.
          path = [
            config.nix.package
            config.systemd.package
          ];
        };
      };
    nix.settings = lib.mkIf cfg.queue.enable {
      post-build-hook = pkgs.writeShellScript "narrowcast-post-build-hook" (
        scripts.hook "/var/lib/narrowcast-builder/${queue}"
      );
    };
    # A machine that was off at that time makes up for it.
    systemd.timers = lib.listToAttrs (
      map ({ unit, ... }: lib.nameValuePair unit { timerConfig.Persistent = true; }) hosts
    );

    users = {
      users.${user} = {
        isSystemUser = true;
        group = user;
        home = "/var/lib/${user}";
      };
      groups.${user} = { };
    };

    assertions = [
      {
        assertion = twice == [ ];
        message = "services.narrowcast.builder.flakes: ${toString twice} must be a host of one flake only, for it is one root in the cache.";
      }
      {
        assertion = inStore == [ ];
        message = "services.narrowcast.builder: ${toString inStore} must not be in the store, where everybody can read it; name a file outside.";
      }
    ];
  };
}
