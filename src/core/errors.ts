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
  DEPLOY_FAILED: (d) =>
    `nothing more could be deployed on the OpenWhisk at ${d.url} (${d.reason}); what is there stays, and the command can be repeated. Its place is set by apiHost, its keys by owAuth and owSystemAuth.`,
  DEPLOY_POINTLESS: () =>
    'the configuration has an embedded OpenWhisk, which is deployed to at each start; set apiHost to deploy to another one.',
  LAKES_INVALID: (d) =>
    `${d.file} does not describe workflows of lakes:\n${(d.problems as string[]).map((problem) => `  ${problem}`).join('\n')}`,
  STEP_UNKNOWN: (d) =>
    `${d.file} has no step ${d.container} to run for a lake ${d.lake}; it has the lakes ${(d.lakes as string[]).join(', ')} and the steps ${(d.steps as string[]).join(', ')}.`,
  SITE_NAME_INVALID: (d) =>
    `${d.name} can't be the name of a site: it becomes a Kubernetes namespace; use at most 63 of a-z, 0-9 and -, a letter first.`,
  SITE_EXISTS: (d) => `${d.folder} is there already; change it by hand, or remove it first.`,
  SECRETS_NOT_GIVEN: (d) =>
    `not given: ${d.keys}, and there is no terminal to ask at; put each into a file and name that in the site's file as KEY_FILE.`,
  PERIOD_INVALID: (d) =>
    `from ${d.from} to ${d.to} is no period: give dates (2018-08-29) or ISO 8601 times, the earlier one first.`,
  KIND_UNKNOWN: (d) =>
    `${d.file} does not tell by its name what runs it (known are ${d.known}); name the kind, as in --kind nodejs:20.`,
  TRIGGER_UNKNOWN: (d) => `the OpenWhisk at ${d.url} has no trigger ${d.trigger}; create it first, or check its name.`,
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
