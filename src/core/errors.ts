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
  CSV_UNUSABLE: (d) => `${d.file}, line ${d.line}: ${d.problem}.`,
  BROKER_UNREACHABLE: (d) =>
    `the MQTT broker at ${d.url} can't be used (${d.reason}); start it, or set mqttUrl to where it listens, with user and password if it wants them.`,
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
