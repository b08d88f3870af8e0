import { Nginx } from '../../e2e/harness/nginx.ts';
import { compiled } from '../compiled.ts';
import { narinfoTree } from '../material/narinfo-tree.ts';
import { NixClient } from '../nix-client.ts';
import { Relay } from '../relay.ts';
import type { Row } from '../report.ts';
import { inTurn } from '../rounds.ts';
import { SlowLink } from '../slow-link.ts';
import { Tls } from '../tls.ts';
import { tried } from '../tried.ts';
import type { Measure } from './measure.ts';

const far = { roundTrip: 100 };

/** What look-ahead is worth: all narinfos of a closure from far away. */
export const lookups: Measure = {
  name: 'lookups',
  async take({ short, rounds }) {
    const paths = short ? 100 : 1_000;
    const { directory, publicKey, top } = await narinfoTree(paths);
    const program = await compiled();
    await using tls = await Tls.create();
    const { certificate } = tls;
    await using nginx = await Nginx.start(directory, { config: tls.directives });
    const client = new NixClient(publicKey, certificate);
    const over = async (target: string, protocol: string): Promise<Row> => {
      const direct = async () => {
        await using link = await SlowLink.start(target, far);
        return await client.askForAll(link.url, top);
      };
      const relayed = async () => {
        await using link = await SlowLink.start(target, far);
        await using relay = await Relay.start({ program, substituter: link.url, publicKey, certificate });
        return await client.askForAll(relay.url, top);
      };
      const results = await inTurn(rounds, { relayed, direct });
      return {
        what: `${paths.toLocaleString('en')} narinfos, ${protocol}`,
        unit: 's',
        relay: results.map(({ relayed }) => relayed),
        beside: [{ name: 'direct', samples: results.map(({ direct }) => direct) }],
        aim: { beside: 'direct', atMost: 0.3, tried: tried.lookups },
      };
    };
    return {
      name: 'lookups',
      method: `Real Nix asks for the narinfos of ${paths.toLocaleString('en')} paths, three references each, over a round trip of ${far.roundTrip} ms (\`nix-store --realise --dry-run\`), straight and through a relay that knows none of them.`,
      rows: [
        await over(`https://127.0.0.1:${tls.port}`, 'TLS and HTTP/2'),
        await over(nginx.url, 'HTTP/1.1'),
      ],
    };
  },
};
