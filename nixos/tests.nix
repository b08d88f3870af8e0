# Whole machines on virtual networks. They need KVM and a whole nixpkgs, which CI has not: there this file is parsed, and its
# machines are evaluated with nixpkgs' library alone (test/unit/nixos/vm-tests.test.ts). `nix flake check` runs them.
{
  pkgs,
  # The flake's nixosModules.
  modules,
}:
let
  # For these tests only.
  secretKey = pkgs.writeText "secret-key" "narrowcast-test-1:NLTj3vr0YjbajaBMdz2YlVMdTm3k17v1UgPs1J94C378LB0jiY8RIqrdxST7FyEDEZuLIUqtLJaQRDQzr8QyYg==";
  publicKey = "narrowcast-test-1:/CwdI4mPESKq3cUk+xchAxGbiyFKrSyWkEQ0M6/EMmI=";

  thing = name: pkgs.runCommand name { } "head -c 4000000 /dev/urandom > $out";
  near = thing "near";
  far = thing "far";
  # A path's name, with which the path itself does not come along.
  nameOf = path: builtins.unsafeDiscardStringContext "${path}";

  copy =
    path: dir:
    "nix --extra-experimental-features nix-command copy --to 'file://${dir}?secret-key=${secretKey}' ${nameOf path}";
  realise = path: "timeout 60 nix-store --realise ${nameOf path}";

  # cache.nixos.org's part.
  upstream = {
    services.nginx = {
      enable = true;
      virtualHosts.upstream.root = "/srv/cache";
    };
    networking.firewall.allowedTCPPorts = [ 80 ];
    virtualisation.additionalPaths = [
      near
      far
      secretKey
    ];
  };

  narrowcast = {
    services.narrowcast = {
      openFirewall = true;
      settings.substituters = [ "http://upstream" ];
    };
    nix.settings.trusted-public-keys = [ publicKey ];
    virtualisation.writableStore = true;
  };
  laptop = {
    imports = [
      modules.laptop
      narrowcast
    ];
    services.narrowcast.enable = true;
  };
in
builtins.mapAttrs (name: test: pkgs.testers.runNixOSTest (test // { name = "narrowcast-${name}"; }))
  {
    lan = {
      nodes = {
        inherit upstream laptop;
        pi = {
          imports = [
            modules.cache
            narrowcast
          ];
          services.narrowcast.cache.enable = true;
        };
      };
      testScript = ''
        start_all()
        upstream.wait_for_unit("nginx")
        upstream.succeed("${copy near "/srv/cache"}", "${copy far "/srv/cache"}")
        pi.wait_for_open_port(6271)
        laptop.wait_until_succeeds("narrowcast peers | grep 6271")

        with subtest("the Pi fetches for the laptop, and has it when the internet is away"):
            narinfo = "${builtins.substring 11 32 (nameOf near)}.narinfo"
            pi.wait_until_succeeds(f"curl --fail http://localhost:6271/{narinfo}")
            laptop.succeed("${realise near}")
            upstream.shutdown()
            laptop.succeed("nix-store --delete ${nameOf near}", "systemctl stop narrowcast")
            laptop.succeed("rm -r /var/cache/private/narrowcast/nar /var/cache/private/narrowcast/*.narinfo")
            laptop.succeed("systemctl start narrowcast")
            laptop.wait_until_succeeds("narrowcast peers | grep 6271")
            laptop.succeed("${realise near}")

        with subtest("what nobody has is not here, at once"):
            laptop.fail("${realise far}")

        with subtest("a restart refuses no connection"):
            laptop.succeed("systemctl restart --no-block narrowcast && curl --fail http://localhost:6270/nix-cache-info")
      '';
    };

    roaming = {
      nodes = {
        upstream = {
          imports = [ upstream ];
          virtualisation.vlans = [ 2 ];
        };
        pi = {
          imports = [ modules.static-cache ];
          services.narrowcast.staticCache.enable = true;
          virtualisation = {
            vlans = [ 1 ];
            additionalPaths = [
              near
              secretKey
            ];
          };
        };
        laptop = {
          imports = [ laptop ];
          virtualisation.vlans = [
            1
            2
          ];
        };
      };
      testScript = ''
        start_all()
        upstream.wait_for_unit("nginx")
        upstream.succeed("${copy far "/srv/cache"}")
        pi.wait_for_unit("nginx")
        pi.wait_for_unit("avahi-daemon")
        pi.succeed("${copy near "/var/lib/static-nix-cache"}")

        with subtest("at home the laptop finds the Pi by avahi's announcement"):
            laptop.wait_until_succeeds("narrowcast peers | grep nix-cache")
            laptop.succeed("${realise near}")

        with subtest("away from home it fetches from the internet"):
            laptop.succeed("ip link set eth1 down")
            laptop.succeed("${realise far}")

        with subtest("on a plane it has what it had"):
            laptop.succeed("ip link set eth2 down")
            for path in ["${nameOf near}", "${nameOf far}"]:
                laptop.succeed(f"nix-store --delete {path}", f"timeout 60 nix-store --realise {path}")
      '';
    };
  }
