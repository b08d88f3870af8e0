# The units' sections. systemd holds the socket: while the agent restarts, connections wait instead of being refused.
{
  # The program and its configuration file.
  command,
  configFile,
  # As in that file.
  settings,
  ipv6 ? true,
  # Who owns the cache directory, which others may read then; null: a user that exists only while the agent runs.
  user ? null,
}:
let
  inherit (builtins)
    concatStringsSep
    elemAt
    filter
    match
    ;
  listen = match "(localhost|127[0-9.]+|\\[::1]):([0-9]+)" settings.listen;
  host = elemAt listen 0;
  port = elemAt listen 1;
  hosts =
    if host != "localhost" then [ host ] else [ "127.0.0.1" ] ++ (if ipv6 then [ "[::1]" ] else [ ]);

  # systemd makes the directory, and takes over one that is there for the user.
  place = match "/var/(cache|lib)/(.*)" settings.cache.dir;
  directory = if elemAt place 0 == "lib" then "StateDirectory" else "CacheDirectory";
  # What Node makes of the sources, for the next start.
  compiled = "narrowcast-compiled";
  owner =
    if user == null then
      { DynamicUser = true; }
    else
      {
        User = user;
        Group = user;
        UMask = "0022";
        "${directory}Mode" = "0755";
      };

  # Files that the user may not read: systemd gives it copies.
  secrets = filter ({ file, ... }: file != "") [
    {
      key = "netrc-file";
      file = settings.netrc-file;
    }
    {
      key = "upload.tokens-file";
      file = settings.upload.tokens-file or "";
    }
  ];
in
{
  socket = {
    Unit.Description = "Connections to narrowcast from the Nix of this machine";
    Socket = {
      ListenStream = map (address: "${address}:${port}") hosts;
      FileDescriptorName = "local";
    };
    Install.WantedBy = [ "sockets.target" ];
  };

  service = {
    Unit = {
      Description = "Relay for Nix binary caches";
      Requires = [ "narrowcast.socket" ];
      After = [
        "narrowcast.socket"
        "network.target"
      ];
      # Connections wait for an agent that starts again. For one that never starts they shall not: after ten tries systemd
      # gives the socket up, and Nix, refused at once, goes on without.
      StartLimitIntervalSec = 120;
      StartLimitBurst = 10;
    };
    Service =
      import ./hardening.nix
      // {
        Type = "notify";
        # systemd-notify speaks for the agent.
        NotifyAccess = "all";
        ExecStart = concatStringsSep " " (
          [ "${command} serve --config ${configFile}" ]
          ++ map ({ key, ... }: "--option ${key} %d/${key}") secrets
        );
        Restart = "always";
        RestartSec = "250ms";
        WatchdogSec = 60;
        # What is in flight is given 10 s.
        TimeoutStopSec = 20;
        LoadCredential = map ({ key, file }: "${key}:${file}") secrets;
        Environment = "NODE_COMPILE_CACHE=%C/${compiled}";
        CacheDirectory = compiled;
      }
      // {
        ${directory} =
          if directory == "CacheDirectory" then "${elemAt place 1} ${compiled}" else elemAt place 1;
      }
      // owner;
    Install.WantedBy = [ "multi-user.target" ];
  };
}
