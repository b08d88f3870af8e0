# The builder's units: one that brings a flake up to date, and one that builds a host.
let
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
      Service = import ./hardening.nix // {
        Type = "oneshot";
        ExecStart = script;
        User = user;
        Group = user;
        StateDirectory = [
          "narrowcast-builder"
          "narrowcast-builder/${place}"
        ];
        StateDirectoryMode = "0750";
        WorkingDirectory = "/var/lib/narrowcast-builder/${place}";
        LoadCredential = credentials;
        TimeoutStartSec = timeout;
        Nice = 10;
        # Nix wants a larger stack than it is given.
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
        # Git's and Nix's files of the builder, and links that the Nix daemon follows.
        UMask = "0027";
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
}
