import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type InterfaceAddress, systemInterfaces } from '../../../discovery/interfaces.ts';
import { type NetworkChange, watchNetwork } from '../../../discovery/network.ts';
import { FakeClock } from './fake-clock.ts';

const wifi: InterfaceAddress = {
  name: 'wlan0',
  index: 3,
  carrierChanges: 2,
  family: 'IPv4',
  address: '192.168.0.7',
  netmask: '255.255.255.0',
  tunnel: false,
};
const global6: InterfaceAddress = {
  ...wifi,
  family: 'IPv6',
  address: '2001:db8:0:7:1c1f:aa:bb:cc',
  netmask: 'ffff:ffff:ffff:ffff::',
};

function watched(first: readonly InterfaceAddress[]) {
  const clock = new FakeClock();
  const state = { addresses: first, broken: false };
  const watch = watchNetwork({
    clock,
    readInterfaces: () => {
      if (state.broken) throw new Error('netlink is forbidden');
      return state.addresses;
    },
  });
  const changes: NetworkChange[] = [];
  watch.on('changed', (change) => changes.push(change));
  return { clock, state, watch, changes };
}

describe('the network watch', () => {
  it('knows before it starts whether the machine is online', () => {
    expect(watched([]).watch.online).toBe(false);
    expect(watched([wifi]).watch.online).toBe(true);
    expect(watched([global6]).watch.online).toBe(true);
  });

  it('tells within a second that the last interface went and that it came back', async () => {
    const { clock, state, watch, changes } = watched([wifi]);
    watch.start();
    state.addresses = [];
    await clock.pass(1_000);
    expect([watch.online, changes]).toEqual([false, ['interfaces']]);
    state.addresses = [wifi];
    await clock.pass(1_000);
    expect([watch.online, changes]).toEqual([true, ['interfaces', 'interfaces']]);
  });

  it.each<[string, InterfaceAddress]>([
    ['another address', { ...wifi, address: '192.168.0.8' }],
    ['another netmask', { ...wifi, netmask: '255.255.0.0' }],
    ['another adapter of the same name and address', { ...wifi, index: 4 }],
    ['a cable pulled and plugged between two looks', { ...wifi, carrierChanges: 4 }],
  ])('sees %s', async (_what, after) => {
    const { clock, state, watch, changes } = watched([wifi]);
    watch.start();
    state.addresses = [after];
    await clock.pass(1_000);
    expect(changes).toEqual(['interfaces']);
    expect(watch.addresses).toEqual([after]);
  });

  it('keeps quiet while nothing changes, whatever the order, and when IPv6 changes its privacy address', async () => {
    const { clock, state, watch, changes } = watched([wifi, global6]);
    watch.start();
    state.addresses = [
      { ...global6, address: '2001:db8:0:7::5' },
      { ...global6, address: '2001:db8::7:1:2:3:4' },
      wifi,
    ];
    await clock.pass(10_000);
    expect(changes).toEqual([]);
    state.addresses = [{ ...global6, address: '2001:db8:0:8::5' }, wifi];
    await clock.pass(1_000);
    expect(changes).toEqual(['interfaces']);
  });

  it('looks at once when poked', () => {
    const { state, watch, changes } = watched([wifi]);
    state.addresses = [];
    watch.poke();
    expect([watch.online, changes]).toEqual([false, ['interfaces']]);
  });

  it('tells of a change when told of one, and that the machine slept all the same', async () => {
    const { clock, state, watch, changes } = watched([wifi]);
    watch.start();
    watch.tell();
    expect(changes).toEqual(['told']);
    state.addresses = [];
    clock.sleep(10_000);
    watch.tell();
    expect([watch.online, changes]).toEqual([false, ['told', 'told']]);
    await clock.pass(1_000);
    expect(changes).toEqual(['told', 'told', 'resumed']);
  });

  it('tells that the machine slept, even where it wakes with the same address', async () => {
    const { clock, watch, changes } = watched([wifi]);
    watch.start();
    clock.sleep(10_000);
    await clock.pass(1_000);
    expect(changes).toEqual(['resumed']);
    await clock.pass(5_000);
    expect(changes).toEqual(['resumed']);
  });

  it('takes the time while it was stopped for no sleep', async () => {
    const { clock, watch, changes } = watched([wifi]);
    watch.start();
    watch.stop();
    await clock.pass(60_000);
    watch.start();
    await clock.pass(5_000);
    expect(changes).toEqual([]);
  });

  it('does not call the machine offline where its interfaces cannot be listed', async () => {
    const { clock, state, watch, changes } = watched([]);
    state.broken = true;
    watch.start();
    expect([watch.online, watch.addresses]).toEqual([true, []]);
    state.broken = false;
    state.addresses = [wifi];
    await clock.pass(1_000);
    expect(changes.at(-1)).toBe('interfaces');
  });

  it('starts and stops as often as it is told, and leaves no timer behind', async () => {
    const { clock, state, watch, changes } = watched([wifi]);
    watch.start();
    watch.start();
    expect(clock.pending).toBe(1);
    watch.stop();
    watch.stop();
    expect(clock.pending).toBe(0);
    state.addresses = [];
    await clock.pass(5_000);
    expect(changes).toEqual([]);
    watch.start();
    expect(changes).toEqual(['interfaces']);
  });
});

describe("this machine's interfaces", () => {
  it('leave out loopback and IPv6 link-local, and carry the numbers of the kernel', () => {
    const expected = Object.values(networkInterfaces())
      .flatMap((infos) => infos ?? [])
      .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address))
      .map(({ address }) => address);
    const read = systemInterfaces();
    expect(read.map(({ address }) => address)).toEqual(expected);
    if (process.platform === 'linux') for (const { index } of read) expect(index).toBeGreaterThan(0);
  });
});
