# Which disk a directory is on, and what its unit must know of it: an absent one must not fill the root file system.
{
  # The innermost of these mount points that the directory is beneath; null when that is the root.
  mountPointOf =
    mountPoints: dir:
    let
      inherit (builtins) filter stringLength substring;
      beneath =
        mountPoint:
        mountPoint != "/" && substring 0 (stringLength mountPoint + 1) "${dir}/" == "${mountPoint}/";
      longer = one: other: if one == null || stringLength other > stringLength one then other else one;
    in
    builtins.foldl' longer null (filter beneath mountPoints);

  # The [Unit] section.
  requires =
    mountPoint: dir:
    {
      RequiresMountsFor = [ dir ];
    }
    // (if mountPoint == null then { } else { AssertPathIsMountPoint = mountPoint; });
}
