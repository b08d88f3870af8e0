# services.narrowcast: this machine's Nix asks narrowcast alone, and narrowcast asks the caches that Nix asked before.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.narrowcast;
  inherit (cfg) settings;

  file = toString ./laptop.nix;
  toml = import ./toml.nix;

  portIn = address: lib.toInt (lib.last (lib.splitString ":" address));
  # 0 lets the assertion below speak, rather than the failure to read a number.
  listens = builtins.match "(localhost|127[0-9.]+|\\[::1]):[1-9][0-9]{0,4}" settings.listen != null;
  port = if listens then portIn settings.listen else 0;
  lanPort = if settings.lan.listen == "" then null else portIn settings.lan.listen;

  clashing = builtins.attrNames (
    lib.filterAttrs (
      name: socket:
      name != "narrowcast"
      && builtins.any (lib.hasSuffix ":${toString port}") (
        map (address: ":${address}") socket.listenStreams
      )
    ) config.systemd.sockets
  );
  setsSubstituters =
    line:
    builtins.match "[[:space:]]*(extra-)?(substituters|binary-caches)[[:space:]]*=.*" line != null;

  # What all other modules say of a list in nix.settings: this one forces it, so its value does not tell.
  former =
    name:
    let
      theirs = builtins.filter (
        definition:
        definition.file != file && builtins.isAttrs definition.value && definition.value ? ${name}
      ) options.nix.settings.definitionsWithLocations;
      definitions = map (definition: definition // { value = definition.value.${name}; }) theirs;
    in
    (lib.mergeDefinitions [ "nix" "settings" name ] (types.listOf types.str) definitions)
    .optionalValue.value or [ ];
  divided = import ./substituters.nix { inherit port; } (
    former "substituters" ++ former "extra-substituters"
  );

  nixSettings = import ./nix-settings.nix {
    url = "http://${settings.listen}";
    inherit (divided) kept;
  };

  configFile = pkgs.runCommand "narrowcast.toml" { text = toml settings; } ''
    printf %s "$text" > $out
    ${lib.optionalString (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) "${cfg.package}/libexec/check-config $out"}
  '';
  units = import ./units.nix {
    command = lib.getExe cfg.package;
    inherit configFile settings;
    inherit (cfg) user;
    ipv6 = config.networking.enableIPv6;
  };

  secrets = [
    settings.netrc-file
    settings.upload.tokens-file or ""
  ];

  # NetworkManager sees what the agent, which looks at the interfaces, does not: that a login page has been passed.
  poke = "${config.systemd.package}/bin/systemctl kill --kill-whom=main --signal=SIGUSR2 narrowcast.service || true";
  onConnectivity = pkgs.writeShellScript "tell-narrowcast" ''
    case "$2" in
      connectivity-change | up | vpn-up) ${poke} ;;
    esac
  '';

  inherit (config.networking) proxy;
  throughProxy = proxy.httpProxy != null || proxy.allProxy or null != null;
  speaksMdns = settings.lan.discover || settings.lan.advertise;
in
{
  _file = file;

  options.services.narrowcast = {
    enable = lib.mkEnableOption "narrowcast, a relay for Nix binary caches, as this machine's substituter";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The narrowcast to run.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Let the machines of the LAN in: to the port of `settings.lan.listen`, and to 5353/udp (mDNS), without which the
        firewall hides them from each other.
      '';
    };

    user = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        Who runs narrowcast and owns the cache directory, which everybody may read then. A directory that exists becomes this
        user's. Null: a user that exists only while narrowcast runs, and whose files are nobody else's business.
      '';
    };

    settings = mkOption {
      type = import ./settings-type.nix { inherit lib; };
      default = { };
      description = ''
        The configuration file of narrowcast. `substituters` are by default those of `nix.settings`, and so are
        `trusted-public-keys`.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    services.narrowcast.settings = {
      substituters = lib.mkDefault divided.moved;
      trusted-public-keys = lib.mkDefault (
        config.nix.settings.trusted-public-keys ++ config.nix.settings.extra-trusted-public-keys or [ ]
      );
    };

    # Stronger than mkForce, which some use for a mirror: narrowcast asks that mirror.
    nix.settings =
      lib.mapAttrs (_: lib.mkOverride 10) nixSettings.forced
      // lib.mapAttrs (_: lib.mkDefault) nixSettings.defaults;

    systemd.sockets.narrowcast = {
      description = units.socket.Unit.Description;
      listenStreams = units.socket.Socket.ListenStream;
      socketConfig = removeAttrs units.socket.Socket [ "ListenStream" ];
      wantedBy = units.socket.Install.WantedBy;
    };
    systemd.services.narrowcast = {
      description = units.service.Unit.Description;
      requires = units.service.Unit.Requires;
      after = units.service.Unit.After;
      unitConfig = removeAttrs units.service.Unit [
        "Description"
        "Requires"
        "After"
      ];
      serviceConfig = units.service.Service;
      wantedBy = units.service.Install.WantedBy;
      # For systemd-notify.
      path = [ config.systemd.package ];
      # A new system restarts the service alone. Stopping it first would stop the socket, too.
      stopIfChanged = false;
    };

    users = lib.mkIf (cfg.user == "narrowcast") {
      users.narrowcast = {
        isSystemUser = true;
        group = "narrowcast";
      };
      groups.narrowcast = { };
    };

    networking.networkmanager.dispatcherScripts = [
      {
        source = onConnectivity;
        type = "basic";
      }
    ];
    powerManagement.resumeCommands = poke;

    environment.systemPackages = [ cfg.package ];
    # For the other commands, such as `narrowcast fetch`.
    environment.etc."narrowcast/config.toml".source = configFile;

    networking.firewall = lib.mkIf cfg.openFirewall {
      allowedTCPPorts = lib.optional (lanPort != null) lanPort;
      allowedUDPPorts = lib.optional speaksMdns 5353;
    };

    # A proxy would be asked for http://localhost, by the daemon and by root's own Nix alike.
    networking.proxy.noProxy = lib.mkIf throughProxy (lib.mkDefault "localhost,127.0.0.1,::1");

    warnings = lib.optional (divided.kept != [ ]) (
      "services.narrowcast cannot fetch from ${toString divided.kept}: Nix goes on asking there itself, and waits when it is away."
    );

    assertions = [
      {
        assertion = listens;
        message = "services.narrowcast.settings.listen must be localhost, 127.x.y.z or [::1] with a port that is not 0, such as localhost:6270; it is ${settings.listen}.";
      }
      {
        assertion = lanPort != port;
        message = "services.narrowcast.settings: listen and lan.listen need different ports; both have ${toString port}.";
      }
      {
        assertion = clashing == [ ];
        message = "services.narrowcast: port ${toString port} belongs to ${toString clashing} already; choose another with services.narrowcast.settings.listen.";
      }
      {
        assertion = settings.trusted-public-keys != [ ];
        message = "services.narrowcast believes only what a known key has signed: add the caches' keys to nix.settings.trusted-public-keys.";
      }
      {
        assertion =
          builtins.match (
            if cfg.user == null then "/var/cache/[^/].*" else "/var/(cache|lib)/[^/].*"
          ) settings.cache.dir != null;
        message = "services.narrowcast.settings.cache.dir must be beneath /var/cache, or with services.narrowcast.user beneath /var/lib, where systemd makes directories and hands them over; to keep the cache elsewhere, mount that place there.";
      }
      {
        assertion = !builtins.any (lib.hasPrefix "${builtins.storeDir}/") secrets;
        message = "services.narrowcast.settings: ${toString secrets} must not be in the store, where everybody can read it; name a file outside.";
      }
      {
        assertion = !builtins.any setsSubstituters (lib.splitString "\n" config.nix.extraOptions);
        message = "services.narrowcast does not see the substituters in nix.extraOptions, which would be asked beside it: move them to nix.settings.substituters.";
      }
      {
        assertion =
          !throughProxy || builtins.elem "localhost" (lib.splitString "," (toString proxy.noProxy));
        message = "networking.proxy.noProxy must contain localhost, or Nix asks the proxy for narrowcast.";
      }
      {
        assertion =
          !(speaksMdns && lib.hasInfix "disallow-other-stacks=yes" config.services.avahi.extraConfig);
        message = "services.avahi.extraConfig has disallow-other-stacks=yes, with which narrowcast neither finds nor announces caches: remove it, or switch off lan.discover and lan.advertise in services.narrowcast.settings.";
      }
    ];
  };
}
