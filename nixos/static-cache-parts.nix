# What a cache without an agent is made of: nginx shows the directory, avahi announces it, narrowcast clears it up.
let
  inherit (builtins) concatStringsSep mapAttrs;
in
{
  # nginx's locations. Interrupted downloads and damaged NARs lie beside the cache's own files, and are nobody's business.
  locations =
    dir:
    mapAttrs (_: extraConfig: { inherit extraConfig; }) {
      "/" = "return 404;";
      "= /nix-cache-info" = "root ${dir};";
      "~ \"^/[0-9a-z]{32}\\.(narinfo|ls)$\"" = "root ${dir};";
      "~ \"^/(nar|log)/[^/]+$\"" = "root ${dir};";
    };

  # A service file of avahi: %h is the host's name.
  announcement =
    port:
    concatStringsSep "\n" [
      "<?xml version=\"1.0\" standalone=\"no\"?>"
      "<!DOCTYPE service-group SYSTEM \"avahi-service.dtd\">"
      "<service-group>"
      "  <name replace-wildcards=\"yes\">Nix cache on %h</name>"
      "  <service>"
      "    <type>_http._tcp</type>"
      "    <port>${toString port}</port>"
      "    <txt-record>path=/</txt-record>"
      "    <txt-record>nix-cache=1</txt-record>"
      "  </service>"
      "</service-group>"
      ""
    ];

  # The service that removes what was not used for long.
  cleaning =
    {
      command,
      configFile,
      dir,
      mountPoint,
      user,
      group,
    }:
    {
      Unit = {
        Description = "Remove from the Nix cache what was not used for long";
      }
      // (import ./disk.nix).requires mountPoint dir;
      Service =
        import ./hardening.nix
        // (import ./cache-unit.nix { inherit dir mountPoint; }).Service
        // {
          Type = "oneshot";
          ExecStart = "${command} gc --config ${configFile}";
          User = user;
          Group = group;
          ReadWritePaths = [ dir ];
          UMask = "0022";
          Nice = 10;
          IOSchedulingClass = "idle";
          PrivateNetwork = true;
          RestrictAddressFamilies = [ "AF_UNIX" ];
        };
    };
}
