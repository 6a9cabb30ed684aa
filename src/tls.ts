import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, rootCertificates, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Config } from './config.ts';
import { FogwhiskError } from './core/errors.ts';

/**
 * What a site's connections trust, and the certificate that it shows to its broker. Where nothing is configured the
 * contexts are undefined, and Node.js trusts the authorities that it comes with. Nothing turns verification off.
 */
export interface Tls {
  /** The authorities of `tlsCaFile`, PEM. */
  readonly ca?: string;
  /** For CouchDB and OpenWhisk. Made once: it takes some 10 ms to read all the authorities. */
  readonly secureContext?: SecureContext;
  /** For MQTT brokers, with the client certificate. */
  readonly brokerSecureContext?: SecureContext;
}

/** @throws FogwhiskError `FILE_UNREADABLE` or `TLS_FILE_UNUSABLE` */
export async function loadTls({ tlsCaFile, mqttTlsCertFile, mqttTlsKeyFile }: Config): Promise<Tls> {
  const ca = tlsCaFile === undefined ? undefined : await readCertificates(tlsCaFile, 'tlsCaFile');
  const trust = ca === undefined ? {} : { ca: [...rootCertificates, ca] };
  const secureContext = ca === undefined ? undefined : createSecureContext(trust);
  // One file may hold both.
  const certFile = mqttTlsCertFile ?? mqttTlsKeyFile;
  const brokerSecureContext =
    certFile === undefined ? secureContext : await clientContext(trust, certFile, mqttTlsKeyFile ?? certFile);
  return {
    ...(ca !== undefined && { ca }),
    ...(secureContext && { secureContext }),
    ...(brokerSecureContext && { brokerSecureContext }),
  };
}

async function clientContext(trust: SecureContextOptions, certFile: string, keyFile: string): Promise<SecureContext> {
  const cert = await readCertificates(certFile, 'mqttTlsCertFile');
  const key = await read(keyFile);
  try {
    return createSecureContext({ ...trust, cert, key });
  } catch (error) {
    throw unusable(keyFile, 'mqttTlsKeyFile', `the PEM key of the certificate in ${certFile}`, error);
  }
}

/** OpenSSL passes over what it can't read in a file of authorities, so each certificate is read once before. */
async function readCertificates(file: string, setting: string): Promise<string> {
  const text = await read(file);
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  try {
    if (!certificates) throw new Error('there is none');
    for (const each of certificates) new X509Certificate(each);
    return text;
  } catch (error) {
    throw unusable(file, setting, 'PEM certificates', error);
  }
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FogwhiskError('FILE_UNREADABLE', { file, reason: error.code ?? error.message }, { cause: error });
  });
}

function unusable(file: string, setting: string, wanted: string, error: unknown): FogwhiskError {
  const { code, message } = error as { code?: string; message: string };
  return new FogwhiskError('TLS_FILE_UNUSABLE', { file, setting, wanted, reason: code ?? message }, { cause: error });
}
