# What the builder runs, as text for sh. The working directory is each script's own and stays. The keys are where systemd puts
# credentials: `deploy-key`, `signing-key` and `netrc`.
let
  inherit (builtins) concatStringsSep readFile replaceStrings;

  quoted = text: "'" + replaceStrings [ "'" ] [ "'\\''" ] text + "'";
  words = concatStringsSep " ";

  nix = "nix --extra-experimental-features 'nix-command flakes'";

  # Leaves the branch's newest commit in ./source, whatever a run before this one left there.
  checkout =
    { url, branch, ... }:
    ''
      set -eu
      if [ -e "''${CREDENTIALS_DIRECTORY-}/deploy-key" ]; then
        GIT_SSH_COMMAND="ssh -i $CREDENTIALS_DIRECTORY/deploy-key -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new"
        export GIT_SSH_COMMAND
      fi
      [ -d source/.git ] || git init --quiet source
      cd source
      git fetch --quiet ${quoted url} ${quoted "refs/heads/${branch}"}
      git checkout --quiet --force --detach FETCH_HEAD
      git clean --quiet -ffdx
    '';
in
{
  # Nix's post-build-hook.
  hook = queue: "export NARROWCAST_QUEUE=${quoted queue}\n" + readFile ../docs/post-build-hook;

  # Brings the flake's inputs up to date, in a commit on its branch.
  update =
    { url, branch }@flake:
    checkout flake
    + ''
      export GIT_AUTHOR_NAME=narrowcast GIT_AUTHOR_EMAIL=narrowcast@localhost
      export GIT_COMMITTER_NAME=narrowcast GIT_COMMITTER_EMAIL=narrowcast@localhost
      ${nix} flake update --commit-lock-file
      git push --quiet ${quoted url} ${quoted "HEAD:refs/heads/${branch}"}
    '';

  # Builds one host's system and brings it to the cache, where it is that host's root. ./result keeps it from the garbage
  # collector here, so that the next build and the next push find what has not changed.
  build =
    {
      url,
      branch,
      host,
      # The program, the cache's address, and words for `narrowcast push` beside these.
      narrowcast,
      to,
      extraArgs ? [ ],
    }@given:
    checkout given
    + ''
      cd ..
      ${nix} build --print-build-logs --no-write-lock-file --out-link result \
        "git+file://$PWD/source#nixosConfigurations.\"${host}\".config.system.build.toplevel"
      # Two pushes do not share what waits to be sent.
      set -- --spool-dir "$PWD/spool"
      [ ! -e "''${CREDENTIALS_DIRECTORY-}/signing-key" ] || set -- "$@" --key-file "$CREDENTIALS_DIRECTORY/signing-key"
      [ ! -e "''${CREDENTIALS_DIRECTORY-}/netrc" ] || set -- "$@" --netrc-file "$CREDENTIALS_DIRECTORY/netrc"
      exec ${
        words (
          map quoted [
            narrowcast
            # The defaults: what cache.nixos.org has signed needs no other signature, the rest gets this builder's.
            "--config"
            "/dev/null"
            "push"
            "--to"
            to
            "--root"
            host
          ]
          ++ map quoted extraArgs
        )
      } "$@" "$(readlink -f result)"
    '';
}
