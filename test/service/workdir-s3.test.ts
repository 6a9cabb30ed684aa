import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '../../actions/shared/workdir/open-store.ts';
import { keyFor, put, storeContract } from '../actions/workdir/store-contract.ts';
import { describeWith } from '../support/programs.ts';
import { startVersitygw, type Versitygw } from '../support/versitygw.ts';

describeWith(['versitygw'], 's3: a real S3 server', () => {
  let server: Versitygw;
  let buckets = 0;
  beforeAll(async () => {
    server = await startVersitygw([]);
  });
  afterAll(() => server.stop());

  async function prepare() {
    const bucket = `bucket-${++buckets}`;
    await mkdir(join(server.folder, bucket));
    return {
      url: `s3:${server.url}/${bucket}/flare/v1`,
      secrets: { s3AccessKeyId: server.accessKeyId, s3SecretAccessKey: server.secretAccessKey },
      // The server keeps an object's metadata when its file is written to.
      alter: (key: string, bytes: Buffer) => writeFile(join(server.folder, bucket, 'flare/v1', key), bytes),
      bucket,
    };
  }

  storeContract(prepare);

  it('lies as FLARE names it, with its digest beside', async () => {
    const { url, secrets, bucket } = await prepare();
    await put(await openStore(url, secrets), keyFor('a'), Buffer.from('archive'));
    const object = join(server.folder, bucket, 'flare/v1', keyFor('a'));
    expect(await readFile(object, 'utf8')).toBe('archive');
    expect(await readFile(`${object}.sha256`, 'utf8')).toMatch(
      /^[0-9a-f]{64} {2}fcre_20200522_a_workingdirectory.tar.gz\n$/,
    );
  });

  it('finds the parts of an upload that never ended, and removes them', async () => {
    const { url, secrets, bucket } = await prepare();
    const store = await openStore(url, secrets);
    await put(store, keyFor('a'), Buffer.from('whole'));
    const client = new S3Client({
      endpoint: server.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    });
    const object = { Bucket: bucket, Key: `flare/v1/${keyFor('b')}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
    await client.send(new UploadPartCommand({ ...object, UploadId, PartNumber: 1, Body: Buffer.alloc(6_000_000) }));
    expect(await store.remains(Date.now() - 60_000)).toEqual([]);
    const [remain] = await store.remains(Date.now() + 60_000);
    expect(remain).toMatchObject({ size: 6_000_000 });
    await remain!.remove();
    expect(await store.remains(Date.now() + 60_000)).toEqual([]);
    expect(await store.exists(keyFor('a'))).toBe(true);
  });

  it('tells a wrong secret, a bucket that is not there and a server that is not, without the secret', async () => {
    const { url, secrets } = await prepare();
    const failures = [
      await openStore(url, { ...secrets, s3SecretAccessKey: 'planted-wrong' }),
      await openStore(`s3:${server.url}/no-such-bucket`, secrets),
      await openStore('s3:http://127.0.0.1:1/bucket', secrets),
    ].map((store) => store.get(keyFor('a')).catch((error: Error) => error));
    for (const failure of failures) {
      const error = await failure;
      expect(error).toMatchObject({ code: 'STORE_FAILED' });
      expect(JSON.stringify(error) + String(error)).not.toContain('planted');
    }
  });
});
