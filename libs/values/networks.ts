import { BlockList, isIP } from 'node:net';

/** Tells whether an address is of a set of networks; false for what is no address. */
export type Networks = (address: string) => boolean;

/**
 * @param list addresses and CIDR ranges
 * @param setting where they stand in the configuration
 * @throws Error naming an entry that is neither
 */
export function createNetworks(list: readonly string[], setting: string): Networks {
  const known = new BlockList();
  for (const entry of list) addEntry(known, entry, setting);
  return (address) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && known.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  };
}

/** True for an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  return isIP(plainAddress(text)) !== 0;
}

/** An IPv4 address that came over an IPv6 socket, as itself. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

function addEntry(list: BlockList, entry: string, setting: string): void {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const bits = prefix === undefined ? most : Number(prefix);
  // A short prefix of an IPv4 address that is written as IPv6 would be all of IPv4.
  const isMapped = /^::ffff:.*\./i.test(address);
  if (family === 0 || bits > most || (isMapped && bits < 96)) {
    throw new Error(`${setting}: "${entry}" is neither an address nor a range such as 10.0.0.0/8`);
  }
  list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
}
