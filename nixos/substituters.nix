# Who fetches from which of the former substituters: `moved` are narrowcast's from now on, `kept` stay with Nix, because
# narrowcast speaks http, https and file only. Its own address is in neither.
{ port }:

former:
let
  inherit (builtins) filter match;
  isOwn = url: match "http://(localhost|127[0-9.]+|\\[::1]):${toString port}/?([?].*)?" url != null;
  isFetchable =
    url: match "(https?://[^/?#@]+|file://)(/[^?#]*)?([?]priority=[0-9]{1,9})?" url != null;
  others = filter (url: !isOwn url) former;
in
{
  moved = filter isFetchable others;
  kept = filter (url: !isFetchable url) others;
}
