# What nix.conf says when narrowcast is the substituter. The times are in seconds.
{
  url,
  # Those that narrowcast cannot fetch from.
  kept ? [ ],
}:
{
  # Not to be overridden one by one: a cache beside narrowcast, when it is away, fails what narrowcast would have saved.
  forced = {
    substituters = [ url ] ++ kept;
    extra-substituters = [ ];
  };

  defaults = {
    # narrowcast alone knows what is where at this moment. Zero would make Nix ask thrice.
    narinfo-cache-negative-ttl = 30;
    narinfo-cache-positive-ttl = 30;
    fallback = true;
    connect-timeout = 5;
    builders-use-substitutes = true;
  };
}
