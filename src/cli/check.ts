import { describeConfig, loadConfig } from '../config.ts';
import { configFile } from './config-file.ts';

/** `fogwhisk check`: prints the effective configuration. @throws ConfigError with every problem */
export function check(options: { config?: string }): void {
  const file = configFile(options.config);
  process.stdout.write(`${describeConfig(loadConfig(file, process.env))}\n`);
}
