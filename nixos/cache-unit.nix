# What the unit of a machine that serves the LAN has beside nixos/units.nix.
{ dir, mountPoint }:
{
  Unit = (import ./disk.nix).requires mountPoint dir;
  # A Raspberry Pi has 1 GB and other work to do. Without a limit the pages of a large NAR would push that out.
  Service = {
    MemoryHigh = "50%";
    MemoryMax = "70%";
  };
}
