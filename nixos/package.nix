# narrowcast from this repository. Node runs its TypeScript as it is; only lzma-native is compiled, against nixpkgs' liblzma,
# because the liblzma that it brings along takes half as long again to decode.
{
  lib,
  stdenv,
  runtimeShell,
  installShellFiles,
  cacert,
  nodejs_24,
  xz,
}:

let
  nodejs = nodejs_24;
  manifest = builtins.fromJSON (builtins.readFile ../package.json);
  lock = builtins.fromJSON (builtins.readFile ../package-lock.json);

  # What is needed to run, by its place in node_modules.
  modules = lib.filterAttrs (
    place: module:
    place != "" && !(module.dev or false || module.optional or false || module.devOptional or false)
  ) lock.packages;

  # The lock file has no addresses: npm, asked by name and version, knows where its registry keeps the tarball.
  tarball =
    place: module:
    let
      name = lib.last (lib.splitString "node_modules/" place);
    in
    stdenv.mkDerivation {
      name = "${lib.replaceStrings [ "@" "/" ] [ "" "-" ] name}-${module.version}.tgz";
      outputHash = module.integrity;
      outputHashMode = "flat";
      nativeBuildInputs = [ nodejs ];
      SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
      impureEnvVars = lib.fetchers.proxyImpureEnvVars;
      buildCommand = ''
        export HOME=$TMPDIR
        npm pack --silent ${name}@${module.version}
        mv *.tgz "$out"
      '';
    };

  tarballs = lib.mapAttrs tarball modules;
in
stdenv.mkDerivation {
  pname = manifest.name;
  inherit (manifest) version;

  src = builtins.path {
    name = "narrowcast-source";
    path = ../.;
    filter =
      path: _:
      builtins.any (part: lib.hasPrefix (toString part) path) [
        ../agent
        ../discovery
        ../package.json
      ];
  };

  nativeBuildInputs = [ installShellFiles ];
  buildInputs = [ xz ];

  buildPhase = ''
    runHook preBuild
    unpack() {
      mkdir -p "$1"
      tar -xzf "$2" -C "$1" --strip-components=1 --no-same-owner
    }
    ${lib.concatStrings (lib.mapAttrsToList (place: file: "unpack ${place} ${file}\n") tarballs)}
    chmod -R u+rwX node_modules
    pushd node_modules/lzma-native
    rm -r prebuilds deps
    mkdir -p build/Release
    $CXX -std=c++17 -O2 -fPIC -shared -DNODE_GYP_MODULE_NAME=lzma_native \
      -I${nodejs}/include/node -I../node-addon-api \
      src/*.cpp -llzma -o build/Release/lzma_native.node
    popd
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/narrowcast $out/bin $out/libexec
    cp -r agent discovery node_modules package.json $out/lib/narrowcast

    cat > $out/bin/narrowcast <<EOF
    #!${runtimeShell}
    # Memory that was freed goes back to the system: docs/decisions/memory.md.
    export MALLOC_ARENA_MAX=\''${MALLOC_ARENA_MAX-1}
    export MALLOC_MMAP_THRESHOLD_=\''${MALLOC_MMAP_THRESHOLD_-65536}
    export MALLOC_TRIM_THRESHOLD_=\''${MALLOC_TRIM_THRESHOLD_-131072}
    exec ${nodejs}/bin/node --max-semi-space-size=4 $out/lib/narrowcast/agent/main.ts "\$@"
    EOF
    cat > $out/libexec/check-config <<EOF
    #!${runtimeShell}
    exec ${nodejs}/bin/node --input-type=module --eval '
      import { loadConfig } from "$out/lib/narrowcast/agent/config/load.ts";
      try {
        await loadConfig({ file: process.argv[1] });
      } catch (error) {
        console.error(error.message);
        process.exit(1);
      }
    ' "\$@"
    EOF
    chmod +x $out/bin/narrowcast $out/libexec/check-config
    runHook postInstall
  '';

  # Made by the program itself, so where it can run.
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    $out/bin/narrowcast man > narrowcast.1
    installManPage narrowcast.1
    for shell in bash zsh fish; do
      $out/bin/narrowcast completions $shell > narrowcast.$shell
      installShellCompletion --cmd narrowcast --$shell narrowcast.$shell
    done
  '';

  doInstallCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  installCheckPhase = ''
    runHook preInstallCheck
    [[ $($out/bin/narrowcast --version) == ${manifest.version} ]]
    liblzma=$(${nodejs}/bin/node --print 'require(process.argv[1]).versionString()' $out/lib/narrowcast/node_modules/lzma-native)
    [[ $liblzma == ${xz.version} ]]
    runHook postInstallCheck
  '';

  passthru = { inherit tarballs; };

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = "narrowcast";
    platforms = lib.platforms.linux;
  };
}
