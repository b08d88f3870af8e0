# An attribute set as TOML: strings, integers, booleans, lists of them, and tables.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    isAttrs
    isList
    match
    toJSON
    ;

  key = name: if match "[A-Za-z0-9_-]+" name == null then toJSON name else name;
  commas = concatStringsSep ", ";

  # TOML writes these as JSON does, but for tables within lists.
  value =
    given:
    if isList given then
      "[${commas (map value given)}]"
    else if isAttrs given then
      "{ ${commas (map (assignment given) (attrNames given))} }"
    else
      toJSON given;
  assignment = table: name: "${key name} = ${value table.${name}}";

  lines =
    place: table:
    let
      isTable = name: isAttrs table.${name};
      names = attrNames table;
      section =
        name:
        let
          inner = place ++ [ (key name) ];
        in
        [ "[${concatStringsSep "." inner}]" ] ++ lines inner table.${name};
    in
    map (assignment table) (filter (name: !isTable name) names)
    ++ concatMap section (filter isTable names);
in
table: concatStringsSep "\n" (lines [ ] table) + "\n"
