import { loadConfig } from '../config.ts';
import { mqttEndpoint } from '../embedded-site.ts';
import { loadTls } from '../tls.ts';
import { configFile } from './config-file.ts';
import { replay } from './replay.ts';
import { ownTopic } from './station.ts';

export interface ReplayCommandOptions {
  readonly config?: string;
  readonly time?: string;
  readonly rate?: number;
  readonly topic?: string;
  readonly device?: string;
}

/** `fogwhisk replay FILE.csv`: exit code 0 only if every message was acknowledged. */
export async function replayCommand(file: string, options: ReplayCommandOptions): Promise<void> {
  const config = loadConfig(configFile(options.config), process.env);
  const { time, rate, device, topic = ownTopic(config) } = options;
  const { isEmbedded, url, username, password } = mqttEndpoint(config.mqttUrl);
  const { brokerSecureContext: secureContext } = await loadTls(config);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  const { published, acknowledged } = await replay({
    file,
    brokerUrl: isEmbedded ? `mqtt://127.0.0.1:${config.embeddedMqttPort}` : url,
    ...(username !== undefined && password !== undefined && { credentials: { username, password } }),
    secureContext,
    topic,
    datacenterId: config.datacenterId,
    ...(time !== undefined && { timeColumn: time }),
    ...(rate !== undefined && { rate }),
    ...(device !== undefined && { device }),
    out: process.stdout,
    signal: interrupted.signal,
  });
  if (acknowledged < published || interrupted.signal.aborted) process.exitCode = 1;
}
