# The units' sections. systemd holds the socket: while the agent restarts, connections wait instead of being refused.
{
  # The program and its configuration file.
  command,
  configFile,
  # As in that file.
  settings,
  ipv6 ? true,
}:
let
  inherit (builtins) elemAt match;
  listen = match "(localhost|127[0-9.]+|\\[::1]):([0-9]+)" settings.listen;
  host = elemAt listen 0;
  port = elemAt listen 1;
  hosts =
    if host != "localhost" then [ host ] else [ "127.0.0.1" ] ++ (if ipv6 then [ "[::1]" ] else [ ]);
  netrc = settings.netrc-file;
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
    Service = {
      Type = "notify";
      # systemd-notify speaks for the agent.
      NotifyAccess = "all";
      ExecStart =
        "${command} serve --config ${configFile}"
        + (if netrc == "" then "" else " --option netrc-file %d/netrc");
      Restart = "always";
      RestartSec = "250ms";
      WatchdogSec = 60;
      # What is in flight is given 10 s.
      TimeoutStopSec = 20;

      DynamicUser = true;
      CacheDirectory = elemAt (match "/var/cache/(.*)" settings.cache.dir) 0;
      LoadCredential = if netrc == "" then [ ] else [ "netrc:${netrc}" ];

      # No MemoryDenyWriteExecute: V8 compiles at run time.
      CapabilityBoundingSet = "";
      DevicePolicy = "closed";
      LockPersonality = true;
      NoNewPrivileges = true;
      PrivateDevices = true;
      PrivateTmp = true;
      PrivateUsers = true;
      ProcSubset = "pid";
      ProtectClock = true;
      ProtectControlGroups = true;
      ProtectHome = true;
      ProtectHostname = true;
      ProtectKernelLogs = true;
      ProtectKernelModules = true;
      ProtectKernelTunables = true;
      ProtectProc = "invisible";
      ProtectSystem = "strict";
      RemoveIPC = true;
      # Netlink tells which interfaces there are.
      RestrictAddressFamilies = [
        "AF_INET"
        "AF_INET6"
        "AF_NETLINK"
        "AF_UNIX"
      ];
      RestrictNamespaces = true;
      RestrictRealtime = true;
      RestrictSUIDSGID = true;
      SystemCallArchitectures = "native";
      SystemCallErrorNumber = "EPERM";
      SystemCallFilter = [
        "@system-service"
        "~@privileged @resources"
      ];
      UMask = "0077";
    };
    Install.WantedBy = [ "multi-user.target" ];
  };
}
