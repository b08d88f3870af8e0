# The type of one flake that the builder builds.
{
  lib,
  # Makes an option for a file that is to be secret, of its description.
  secret,
  # The cache for its hosts, unless it says another.
  to,
}:
let
  inherit (lib) mkOption types;

  # A name that is a file's, a unit's and a root's alike.
  name = types.strMatching "[A-Za-z0-9][A-Za-z0-9_.-]*";
in
types.submodule {
  options = {
    url = mkOption {
      type = types.str;
      example = "ssh://git@example.org/systems.git";
      description = "The Git repository with the flake, as `git clone` takes it.";
    };
    branch = mkOption {
      type = types.strMatching "[A-Za-z0-9][A-Za-z0-9_./-]*";
      default = "main";
      description = "The branch that is built.";
    };
    hosts = mkOption {
      type = types.listOf name;
      description = "Which of the flake's `nixosConfigurations` are built. Each is a root of its name in the cache.";
    };
    update = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Update all inputs first, with a commit to the branch. When that fails, the hosts are built with the inputs they had.
      '';
    };
    deployKeyFile = secret "The SSH key by which the repository is read and, with `update`, written.";
    to = mkOption {
      type = types.str;
      default = to;
      defaultText = lib.literalExpression "config.services.narrowcast.builder.to";
      description = "The cache for these hosts.";
    };
    startAt = mkOption {
      type = types.str;
      default = "02:00";
      description = "When to build, as systemd.time(7) has it.";
    };
  };
}
