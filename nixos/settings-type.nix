# The type of a configuration file: every known key has its type, its default and its meaning; others pass, for the package
# checks the file.
{ lib }:
let
  inherit (lib) mkOption types;

  known = (builtins.fromTOML (builtins.readFile ./settings.toml)).key;

  value =
    with types;
    oneOf [
      bool
      int
      str
      (listOf value)
      (attrsOf value)
    ]
    // {
      description = "TOML value";
    };
  typeOf =
    type:
    if builtins.isList type then
      types.enum type
    else
      {
        array = types.listOf types.str;
        boolean = types.bool;
        number = types.int;
        string = types.str;
      }
      .${type};
  knownOption =
    key:
    lib.setAttrByPath (lib.splitString "." key.name) (mkOption {
      type = typeOf key.type;
      inherit (key) default;
      description = "${key.description}.";
    });
in
types.submodule {
  freeformType = types.attrsOf value;
  options = lib.foldl' lib.recursiveUpdate { } (map knownOption known);
}
