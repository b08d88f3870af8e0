import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLoopbackHost, isPublicAddress, unbracketed } from '../../../agent/source/address.ts';

describe('an address', () => {
  test.for([
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.0.1',
    '223.255.255.255',
    '2606:4700::1',
    '::ffff:1.1.1.1',
    '64:ff9b::1.1.1.1',
  ])('of the internet: %s', (address) => expect(isPublicAddress(address)).toBe(true));

  test.for([
    '0.0.0.0',
    '10.255.255.255',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '198.18.0.1',
    '224.0.0.251',
    '255.255.255.255',
    '::',
    '::1',
    '::10.0.0.1',
    '::ffff:10.0.0.1',
    '::ffff:127.0.0.1',
    '64:ff9b::10.0.0.1',
    '64:ff9b::127.0.0.1',
    '64:ff9b:1::1',
    '2002:0a00:0001::1',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::fb',
    'localhost',
    '',
    '1.1.1',
  ])('of anything else: %s', (address) => expect(isPublicAddress(address)).toBe(false));

  test('means the same written as IPv4, mapped into IPv6, and behind NAT64', () => {
    fc.assert(
      fc.property(fc.ipV4().filter(isIPv4), (address) => {
        expect(isPublicAddress(`::ffff:${address}`)).toBe(isPublicAddress(address));
        expect(isPublicAddress(`64:ff9b::${address}`)).toBe(isPublicAddress(address));
      }),
    );
  });
});

test.for([
  ['localhost', true],
  ['cache.localhost', true],
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['[::1]', true],
  ['[::ffff:127.0.0.1]', true],
  ['localhost.example', false],
  ['128.0.0.1', false],
  ['[::2]', false],
  ['192.168.0.1', false],
] as const)('%s is this machine: %s', ([host, expected]) => expect(isLoopbackHost(host)).toBe(expected));

test('net and dns want IPv6 without brackets', () => {
  expect([unbracketed('[::1]'), unbracketed('127.0.0.1'), unbracketed('a.b')]).toEqual([
    '::1',
    '127.0.0.1',
    'a.b',
  ]);
});
