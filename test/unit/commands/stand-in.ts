import { once } from 'node:events';
import { createServer } from 'node:net';
import { serve } from '../../../agent/commands/serve.ts';

// Runs `serve` around an agent that behaves as the first word says; two more are an option.
const [behaviour, key, value = ''] = process.argv.slice(2);

await serve({ options: key === undefined ? [] : [[key, value]] }, async (_config, log) => {
  const server = createServer();
  const terminated = once(process, 'SIGTERM');
  const broken = Object.assign(new Error('http://user:hunter2@host/'), { code: 'E_BROKEN' });
  return {
    async start() {
      if (behaviour === 'finds-port-in-use') {
        throw new Error('no start', { cause: Object.assign(new Error('listen'), { code: 'EADDRINUSE' }) });
      }
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      setImmediate(() => {
        if (behaviour === 'throws') throw broken;
        if (behaviour === 'rejects') Promise.reject(broken);
      });
      return { urls: ['http://127.0.0.1:1/', 'http://[::1]:1/'] };
    },
    networkChanged() {},
    async stop() {
      if (behaviour === 'never-stops') await new Promise(() => {});
      if (behaviour === 'stops-after-sigterm') await terminated;
      server.close();
      log.info('all done');
    },
  };
});
process.exit(0);
