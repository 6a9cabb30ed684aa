/**
 * Every error that a person is expected to act on: a code, one sentence on what happened to what and why,
 * and what to do. Programs decide by `code`, never by text.
 */
const catalogue = {
  PORT_TAKEN: (d) =>
    `${d.host}:${d.port} is already in use by another program; stop that one, or set ${d.setting} to a free port (0 = any).`,
  PORT_REFUSED: (d) =>
    `${d.host}:${d.port} can't be listened on (${d.reason}); set ${d.setting} to a port and host that this user may open.`,
  DATA_FOLDER_UNUSABLE: (d) =>
    `the data folder ${d.folder} can't be written (${d.reason}); set dataDir to a folder that this user may write.`,
  DATA_FOLDER_HELD: (d) =>
    `the data folder ${d.folder} is in use by process ${d.pid}; stop that one, or set dataDir to another folder.`,
  LOG_VERSION_UNKNOWN: (d) =>
    `${d.file} was written by a newer fogwhisk (format ${d.version}, this one knows ${d.known}); start that version, or set dataDir to another folder.`,
  FILE_UNREADABLE: (d) => `${d.file} can't be read (${d.reason}); name a file that this user may read.`,
  TLS_FILE_UNUSABLE: (d) => `${d.file} does not hold ${d.wanted} (${d.reason}); set ${d.setting} to a file that does.`,
  CSV_UNUSABLE: (d) => `${d.file}, line ${d.line}: ${d.problem}.`,
  BROKER_UNREACHABLE: (d) =>
    `the MQTT broker at ${d.url} can't be used (${d.reason}); start it, or set mqttUrl to where it listens, with user and password if it wants them.`,
  SHARED_KEY_MISSING: (d) =>
    `${d.field} of ${d.document} is secret, and without a shared key nothing secret is written to CouchDB; set sharedKey_FILE to the key file that the sites and the center share.`,
  SEALING_KEY_UNKNOWN: (d) =>
    `${d.field} of ${d.document} is sealed with the key ${d.key}, which this site does not have; add that key to the file of sharedKey, or set the secret anew.`,
  SEALED_VALUE_DAMAGED: (d) =>
    `${d.field} of ${d.document} can't be opened (it was changed, or sealed for another place); set the secret anew.`,
  SECRET_UNKNOWN: (d) =>
    `${d.field} of ${d.document} refers to the secret ${d.name}, which this site does not have; put it into the file ${d.name} in secretsDir, or into the environment variable secret_${d.name}.`,
} satisfies Record<string, (details: Record<string, unknown>) => string>;

export type ErrorCode = keyof typeof catalogue;

export class FogwhiskError extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(catalogue[code](details), options);
    this.name = 'FogwhiskError';
    this.code = code;
    this.details = details;
  }
}
