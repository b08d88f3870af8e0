/**
 * The DNS-SD types under which Nix binary caches announce themselves: narrowcast, harmonia-like servers and
 * avahi service files; nix-serve; two cache proxies with types of their own; and plain HTTP servers that say
 * `nix-cache=1` in their TXT record.
 */
export const serviceTypes = [
  '_nix-cache._tcp',
  '_nix-serve._tcp',
  '_nix_binary_cache._tcp',
  '_nixcache._tcp',
  '_http._tcp',
] as const;

/** One of `serviceTypes`. */
export type ServiceType = (typeof serviceTypes)[number];

/** The type under which narrowcast announces itself. */
export const ownServiceType: ServiceType = '_nix-cache._tcp';

/** The name by which instances of a type are asked for, such as `_nix-cache._tcp.local`. */
export function browseName(type: ServiceType): string {
  return `${type}.local`;
}

/** An instance's name taken apart: `Pi._nix-cache._tcp.local` is the label `Pi` of the type `_nix-cache._tcp`. */
export interface InstanceName {
  readonly label: string;
  readonly type: ServiceType;
}

/** Takes an instance's name apart; undefined when it is of no type that is browsed. */
export function parseInstanceName(name: string): InstanceName | undefined {
  const lower = name.toLowerCase();
  const type = serviceTypes.find((candidate) => lower.endsWith(`.${browseName(candidate)}`));
  if (type === undefined) return undefined;
  const label = name.slice(0, -browseName(type).length - 1);
  return label === '' ? undefined : { label, type };
}

/** Whether a service of this type with this TXT record is a Nix cache; undefined TXT means that none is known yet. */
export function isCache(type: ServiceType, txt: ReadonlyMap<string, string> | undefined): boolean {
  return type !== '_http._tcp' || txt?.get('nix-cache') === '1';
}
