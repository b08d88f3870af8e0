# As much of nixpkgs as nixos/package.nix needs, made of Debian's programs. Tarballs are packed from node_modules, because
# tests do not reach beyond this machine: so they are derivations without an output hash.
{
  # Directories with `node` and with `node_api.h`, and the repository's node_modules.
  node,
  headers,
  nodeModules,
  # The version of this machine's liblzma.
  liblzma,
}:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    isList
    isString
    map
    split
    ;

  lib = rec {
    concatStrings = concatStringsSep "";
    filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
    hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
    last = list: builtins.elemAt list (builtins.length list - 1);
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    optionalString = wanted: text: if wanted then text else "";
    splitString = separator: text: filter isString (split separator text);
    inherit (builtins) mapAttrs replaceStrings;
    fetchers.proxyImpureEnvVars = [ ];
    licenses.mit = { };
    platforms.linux = [ ];
  };

  # A builder that ends by becoming a program is killed by Nix if that program closes its output before it ends: hence the
  # last word.
  run = ''
    set -euo pipefail
    runHook() { [[ $1 != postInstall ]] || eval "''${postInstall-}"; }
    # Where nixpkgs' installShellFiles puts them.
    installManPage() { install -Dt $out/share/man/man''${1##*.} "$1"; }
    installShellCompletion() {
      case $3 in
        --bash) install -D "$4" $out/share/bash-completion/completions/$2.bash ;;
        --zsh) install -D "$4" $out/share/zsh/site-functions/_$2 ;;
        --fish) install -D "$4" $out/share/fish/vendor_completions.d/$2.fish ;;
      esac
    }
    export HOME=$PWD CXX=g++
    if [[ -n ''${buildCommand-} ]]; then
      eval "$buildCommand"
    else
      cp -r "$src" source && chmod -R u+w source && cd source
      eval "$buildPhase" && eval "$installPhase"
      [[ -z $doInstallCheck ]] || eval "$installCheckPhase"
    fi
    exit
  '';

  directory =
    name: attrs:
    derivation (
      {
        inherit name;
        system = builtins.currentSystem;
        builder = "/bin/bash";
        args = [
          "-c"
          run
        ];
        PATH = "/usr/bin:/bin";
      }
      // attrs
    );

  mkDerivation =
    attrs:
    directory (attrs.name or "${attrs.pname}-${attrs.version}") (
      removeAttrs attrs [
        "meta"
        "passthru"
        "outputHash"
        "outputHashMode"
        "nativeBuildInputs"
        "buildInputs"
      ]
      // {
        PATH = "${npm}:/usr/bin:/bin";
      }
    )
    // attrs.passthru or { }
    // {
      # What nixpkgs' fetching would hold the tarball to.
      promised = attrs.outputHash or null;
      inherit attrs;
    };

  # `npm pack --silent NAME@VERSION`
  npm = directory "npm" {
    buildCommand = "mkdir $out && printf %s \"$script\" > $out/npm && chmod +x $out/npm";
    script = ''
      #!/bin/bash
      name=''${3%@*} version=''${3##*@}
      for place in ${nodeModules}/"$name" ${nodeModules}/*/node_modules/"$name"; do
        if grep -qs "\"version\": \"$version\"" "$place/package.json"; then
          exec tar -czf packed.tgz -C "$place" --exclude=./node_modules --transform='s,^\.,package,' .
        fi
      done
      exit 1
    '';
  };

  nodejs = directory "nodejs" {
    buildCommand = "mkdir -p $out/include && ln -s ${node} $out/bin && ln -s ${headers} $out/include/node";
  };
in
{
  inherit lib;
  stdenv = {
    inherit mkDerivation;
    buildPlatform.canExecute = _: true;
    hostPlatform = { };
  };
  runtimeShell = "/bin/sh";
  installShellFiles = null;
  cacert = "/etc";
  nodejs_24 = nodejs;
  xz.version = liblzma;
}
