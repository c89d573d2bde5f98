/** A network that fails on command: a proxy on loopback that resets its connections, as a lost network does. */

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Network {
  /** The server's address over this network. */
  readonly url: string;
  /** Resets every open connection on both sides; returns their number. */
  cut(): number;
  /** Silently carries no more data on the open connections. */
  freeze(): void;
  /** Accepts no more connections, and ends the open ones. */
  close(): void;
}

/** Opens a network to the server at `target`, on the local port `at`; 0 means any free port. */
export async function openNetwork(target: string, at = 0): Promise<Network> {
  const { hostname, port } = new URL(target);
  const open = new Set<readonly [Socket, Socket]>();
  const proxy = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair = [near, far] as const;
    open.add(pair);
    for (const [here, there] of [[near, far], [far, near]] as const) {
      here.setNoDelay(true);
      here.pipe(there);
      here.on('error', () => there.destroy());
      here.on('close', () => {
        there.destroy();
        open.delete(pair);
      });
    }
  });
  await new Promise<void>((listening) => proxy.listen(at, '127.0.0.1', listening));

  const cut = (): number => {
    const pairs = [...open];
    for (const [near, far] of pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
    return pairs.length;
  };
  const freeze = (): void => {
    for (const [near, far] of open) {
      near.unpipe(far).pause();
      far.unpipe(near).pause();
    }
  };
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cut,
    freeze,
    close: () => {
      proxy.close();
      cut();
    },
  };
}
