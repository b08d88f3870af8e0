{
  description = "A relay agent for Nix binary caches on low-bandwidth networks";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forEachSystem =
        outputs:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: outputs nixpkgs.legacyPackages.${system});
      narrowcastOf = pkgs: pkgs.callPackage ./nixos/package.nix { };
    in
    {
      packages = forEachSystem (pkgs: rec {
        narrowcast = narrowcastOf pkgs;
        default = narrowcast;
      });

      apps = forEachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (narrowcastOf pkgs);
          meta.description = "Run narrowcast";
        };
      });

      overlays.default = final: _: { narrowcast = narrowcastOf final; };

      nixosModules = {
        default = self.nixosModules.laptop;
        laptop = ./nixos/laptop.nix;
        cache = ./nixos/cache.nix;
        static-cache = ./nixos/static-cache.nix;
        builder = ./nixos/builder.nix;
      };

      checks = forEachSystem (
        pkgs:
        let
          # NixOS validates nix.conf as it is built, and the package the configuration file.
          machine =
            name: configuration:
            (lib.nixosSystem {
              modules = [
                self.nixosModules.${name}
                {
                  nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
                  system.stateVersion = lib.trivial.release;
                  boot.isContainer = true;
                  services.narrowcast = configuration;
                }
              ];
            }).config.system.build.etc;
          machines = lib.mapAttrs machine {
            laptop.enable = true;
            cache.cache.enable = true;
            static-cache.staticCache.enable = true;
            builder.builder = {
              enable = true;
              to = "http://pi:6271";
              flakes.systems = {
                url = "https://example.org/systems.git";
                hosts = [ "laptop" ];
                update = true;
              };
            };
          };
          tests = import ./nixos/tests.nix {
            inherit pkgs;
            modules = self.nixosModules;
          };
        in
        machines // tests // { package = narrowcastOf pkgs; }
      );

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.nix
            pkgs.nginx
            pkgs.python3
            pkgs.xz
            pkgs.zstd
          ];
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
