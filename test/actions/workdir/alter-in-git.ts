import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Puts other bytes under an archive's name in a repository, and leaves the rest of its branch as it is. @param repository path with `{lake}` */
export function alterInGit(repository: string): (key: string, bytes: Buffer) => Promise<void> {
  return async (key, bytes) => {
    const [lake, , file] = key.split('/') as [string, string, string];
    const folder = repository.replace('{lake}', lake);
    const git = async (args: string[], input?: Buffer | string) => {
      const child = spawn('git', ['-C', folder, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
      if (input !== undefined) child.stdin.end(input);
      const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
      if (code !== 0) throw new Error(`git ${args[0]} ended with ${code}`);
      return output.trim();
    };
    const { stdout } = await run('git', ['-C', folder, 'for-each-ref', '--format=%(refname)', 'refs/heads/']);
    const branch = stdout.trim().split('\n')[0]!;
    const blob = await git(['hash-object', '-w', '--stdin'], bytes);
    const tree = (await git(['ls-tree', branch])).replace(new RegExp(`[0-9a-f]{40}(?=\\t${file}$)`, 'm'), blob);
    const commit = await git([
      ...['-c', 'user.name=vandal', '-c', 'user.email=v@localhost', 'commit-tree', '-m', 'altered'],
      await git(['mktree'], `${tree}\n`),
    ]);
    await git(['update-ref', branch, commit]);
  };
}
