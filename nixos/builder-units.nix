# The builder's units: one that brings a flake up to date, one that builds a host, and one that pushes in the background.
let
  inherit (builtins) concatStringsSep replaceStrings toJSON;

  # A word of ExecStart=, taken as it is.
  word = text: replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toJSON text);

  sandbox = import ./hardening.nix // {
    # Nix wants a larger stack than it is given, and what pushes in the background makes itself nicer.
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    # The garbage collector within Nix counts processors.
    ProcSubset = "all";
    # Git's and Nix's files of the builder, and links that the Nix daemon follows.
    UMask = "0027";
    StateDirectoryMode = "0750";
  };

  service =
    {
      description,
      script,
      # Beneath the builder's state directory.
      place,
      user,
      credentials,
      unit ? { },
      timeout,
    }:
    {
      Unit = {
        Description = description;
        Wants = [ "network-online.target" ];
        After = [ "network-online.target" ];
      }
      // unit;
      Service = sandbox // {
        Type = "oneshot";
        ExecStart = script;
        User = user;
        Group = user;
        StateDirectory = [
          "narrowcast-builder"
          "narrowcast-builder/${place}"
        ];
        WorkingDirectory = "/var/lib/narrowcast-builder/${place}";
        LoadCredential = credentials;
        TimeoutStartSec = timeout;
        Nice = 10;
      };
    };

  credential = name: file: if file == null then [ ] else [ "${name}:${file}" ];
in
{
  update =
    {
      flake,
      script,
      user,
      deployKeyFile,
      timeout,
    }:
    service {
      description = "Bring the inputs of the flake ${flake} up to date";
      inherit script user timeout;
      place = "update/${flake}";
      credentials = credential "deploy-key" deployKeyFile;
    };

  build =
    {
      host,
      script,
      user,
      deployKeyFile,
      signingKeyFile,
      netrcFile,
      timeout,
      # The unit that brings the flake up to date, or null; a failed one keeps no host from being built.
      update,
      # The hosts' units that are to be done before: a machine evaluates one system at a time, and none waits for success.
      before,
    }:
    let
      updates = if update == null then [ ] else [ update ];
    in
    service {
      description = "Build the system of ${host} and push it to the cache";
      inherit script user timeout;
      place = "host/${host}";
      credentials =
        credential "deploy-key" deployKeyFile
        ++ credential "signing-key" signingKeyFile
        ++ credential "netrc" netrcFile;
      unit = {
        Wants = [ "network-online.target" ] ++ updates;
        After = [ "network-online.target" ] ++ updates ++ before;
      };
    };

  # Pushes what the post-build-hook leaves in the queue.
  push =
    {
      command,
      # The caches' addresses.
      to,
      # Beneath the builder's state directory.
      queue,
      user,
      signingKeyFile,
      netrcFile,
      extraArgs,
    }:
    let
      key = credential "signing-key" signingKeyFile;
      netrc = credential "netrc" netrcFile;
    in
    {
      Unit = {
        Description = "Push what is built here to the cache";
        Wants = [ "network-online.target" ];
        After = [ "network-online.target" ];
      };
      Service = sandbox // {
        Type = "notify";
        # systemd-notify speaks for it.
        NotifyAccess = "all";
        ExecStart = concatStringsSep " " (
          [
            command
            "--config /dev/null push-daemon"
            "--queue %S/narrowcast-builder/${queue}"
            "--spool-dir %S/narrowcast-builder/spool"
          ]
          ++ (if key == [ ] then [ ] else [ "--key-file %d/signing-key" ])
          ++ (if netrc == [ ] then [ ] else [ "--netrc-file %d/netrc" ])
          ++ map word extraArgs
          ++ [ "--to" ]
          ++ map word to
        );
        User = user;
        Group = user;
        StateDirectory = [
          "narrowcast-builder"
          "narrowcast-builder/${queue}"
        ];
        LoadCredential = key ++ netrc;
        Restart = "always";
        RestartSec = 5;
        WatchdogSec = 60;
      };
    };
}
