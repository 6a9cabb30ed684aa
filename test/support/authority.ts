import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { onTestFinished } from 'vitest';

/** Files of a certificate and its private key. */
export interface Certified {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority of a test's own, made by the openssl program. */
export class Authority {
  readonly certFile: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name = 'authority') {
    this.#folder = folder;
    this.#name = name;
    this.certFile = join(folder, `${name}.pem`);
    openssl(
      'req',
      '-x509',
      ...newKey(this.#file('own.key')),
      '-out',
      this.certFile,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  }

  /** @param hosts subject alternative names, e.g. `IP:127.0.0.1` or `DNS:example.org` */
  issue(name: string, hosts: string): Certified {
    const [certFile, keyFile, request] = [
      this.#file(`${name}.pem`),
      this.#file(`${name}.key`),
      this.#file(`${name}.csr`),
    ];
    openssl('req', ...newKey(keyFile), '-out', request, '-subj', `/CN=${name}`);
    const extensions = this.#file(`${name}.ext`);
    writeFileSync(extensions, `subjectAltName=${hosts}\n`);
    const signer = ['-CA', this.certFile, '-CAkey', this.#file('own.key'), '-CAcreateserial'];
    openssl('x509', '-req', '-in', request, ...signer, '-out', certFile, '-days', '2', '-extfile', extensions);
    return { certFile, keyFile };
  }

  #file(name: string): string {
    return join(this.#folder, `${this.#name}-${name}`);
  }
}

/** Ends TLS before a plain service on a loopback port; the port that it listens on. */
export async function tlsBefore(port: number, { certFile, keyFile }: Certified): Promise<number> {
  const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (client) => {
    const service = connect(port, '127.0.0.1');
    client.pipe(service).pipe(client);
    client.on('error', () => service.destroy());
    service.on('error', () => client.destroy());
  });
  server.on('tlsClientError', () => {}); // a client that does not trust us
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file];
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
