import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

interface CpuProfile {
  readonly nodes: ReadonlyArray<{
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }>;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SHOWN = 25;

/** Where the time of all CPU profiles in a folder went: functions by their own time, as Markdown. */
export function topOfProfiles(folder: string): string {
  const microseconds = new Map<string, number>();
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.cpuprofile'))) {
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile;
    const byId = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
    samples.forEach((id, n) => {
      const { functionName, url, lineNumber } = byId.get(id)!;
      const place = url === '' ? '' : ` ${shortUrl(url)}:${lineNumber + 1}`;
      const key = `${functionName || '(anonymous)'}${place}`;
      if (key !== '(idle)') microseconds.set(key, (microseconds.get(key) ?? 0) + timeDeltas[n]!);
    });
  }
  const total = [...microseconds.values()].reduce((sum, each) => sum + each, 0);
  const top = [...microseconds].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  const rows = top.map(([name, time]) => `| ${((time / total) * 100).toFixed(1)} | ${name} |`);
  return ['| % of busy time | function |', '|---|---|', ...rows, ''].join('\n');
}

function shortUrl(url: string): string {
  return url.split('/').slice(-3, -1).concat(basename(url)).join('/');
}
