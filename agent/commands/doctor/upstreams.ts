import { type Finding, fault, ok, skipped, warning } from './finding.ts';

/** One substituter of the agent, by its URL; `trouble` says why it cannot be used. */
export interface Upstream {
  readonly id: string;
  readonly trouble: string | undefined;
}

/** Whether the substituters of the agent answer as Nix caches. */
export function checkUpstreams(upstreams: readonly Upstream[], online: boolean): Finding {
  if (upstreams.length === 0)
    return warning('narrowcast has no substituters: it gives what the LAN has, and nothing else.', {
      cure: 'in the configuration of narrowcast: substituters = ["https://cache.nixos.org"]',
      nixos: 'services.narrowcast.settings.substituters = [ "https://cache.nixos.org" ];',
    });
  const away = upstreams.flatMap(({ id, trouble }) => (trouble === undefined ? [] : [{ id, trouble }]));
  if (away.length === 0) return ok(`${upstreams.map(({ id }) => id).join(' and ')} can be reached.`);
  if (!online) return skipped('This machine is offline; narrowcast gives what it keeps.');
  const cure = [
    ...away.map(({ id }) => `see: curl -v ${id}/nix-cache-info`),
    'log in to the network if it wants that, or correct substituters',
  ];
  const facts = away.map(({ trouble }) => `${trouble}.`).join(' ');
  return away.length === upstreams.length ? fault(facts, { cure }) : warning(facts, { cure });
}
