import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { CheckedContent, digestLine, digestsIn } from './checked-content.ts';
import type { ContentFacts, Entry, Remain, Stored, StoreSecrets, WorkdirStore } from './store.ts';
import { noSuchKey, segmentsOf, storeFailed, storeInvalid } from './store-errors.ts';

/**
 * Archives as objects. An object carries its digest as metadata, so both change in one step; for other programs the
 * digest also lies beside it as `.sha256`, and counts where somebody's copy has lost the metadata.
 */

const DIGEST_SUFFIX = '.sha256';
const PART_BYTES = 8 * 2 ** 20;
const MOST_PARTS = 10_000;

/** @param url `s3:https://HOST/BUCKET/PREFIX?region=REGION`; the region is `us-east-1` where none is given */
export function openS3Store(url: string, { s3AccessKeyId, s3SecretAccessKey }: StoreSecrets): WorkdirStore {
  const address = url.slice('s3:'.length);
  const parsed = URL.canParse(address) ? new URL(address) : undefined;
  const [bucket, ...prefix] = parsed?.pathname.split('/').filter(Boolean) ?? [];
  if (!parsed || !/^https?:$/.test(parsed.protocol) || !bucket || parsed.username || parsed.password) {
    throw storeInvalid('workdir_store s3: must be s3:https://HOST/BUCKET, without a user name or password');
  }
  if (!s3AccessKeyId || !s3SecretAccessKey) {
    throw storeInvalid(
      'the s3: store needs workdir_s3_access_key_id_file and workdir_s3_secret_access_key_file (or …_env)',
    );
  }
  const client = new S3Client({
    endpoint: parsed.origin,
    region: parsed.searchParams.get('region') ?? 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: s3AccessKeyId, secretAccessKey: s3SecretAccessKey },
    // Our own digest says more than the checksum of one transfer.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
  });
  const root = prefix.map((part) => `${part}/`).join('');
  return new S3Store(`s3:${parsed.origin}${parsed.pathname}`, client, bucket, root);
}

class S3Store implements WorkdirStore {
  readonly name: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #root: string;

  constructor(name: string, client: S3Client, bucket: string, root: string) {
    this.name = name;
    this.#client = client;
    this.#bucket = bucket;
    this.#root = root;
  }

  async put(key: string, content: Readable, { size, sha256 }: ContentFacts): Promise<void> {
    const object = this.#object(key);
    const checked = new CheckedContent(key, { size, sha256: [sha256] });
    const upload = new Upload({
      client: this.#client,
      params: { ...object, Body: checked, Metadata: { sha256 } },
      partSize: Math.max(PART_BYTES, Math.ceil(size / (MOST_PARTS - 1))),
      queueSize: 2,
    });
    await this.#attempt(async () => {
      const uploaded = upload.done().catch((error) => {
        checked.destroy(); // or nobody would ever read it
        throw error;
      });
      const [sent, read] = await Promise.allSettled([uploaded, pipeline(content, checked)]);
      if (sent.status === 'rejected') throw sent.reason;
      if (read.status === 'rejected') throw read.reason;
      const beside = { ...object, Key: object.Key + DIGEST_SUFFIX, Body: digestLine(sha256, key) };
      await this.#client.send(new PutObjectCommand(beside));
    });
  }

  async get(key: string): Promise<Stored> {
    return this.#attempt(async () => {
      const object = this.#object(key);
      const found = await this.#client.send(new GetObjectCommand(object)).catch(absent);
      if (!found) throw noSuchKey(this.name, key);
      const checked = new CheckedContent(key, {
        size: found.ContentLength ?? 0,
        sha256: found.Metadata?.sha256 ? [found.Metadata.sha256] : await this.#digestsBeside(object.Key),
      });
      pipeline(found.Body as Readable, checked).catch(() => {});
      return { size: found.ContentLength ?? 0, content: checked };
    });
  }

  async exists(key: string): Promise<boolean> {
    const head = new HeadObjectCommand(this.#object(key));
    return this.#attempt(async () => (await this.#client.send(head).catch(absent)) !== undefined);
  }

  async lakes(): Promise<string[]> {
    const lakes: string[] = [];
    await this.#attempt(async () => {
      const request = { Bucket: this.#bucket, Prefix: this.#root, Delimiter: '/' };
      for await (const page of paginateListObjectsV2({ client: this.#client }, request)) {
        for (const { Prefix = '' } of page.CommonPrefixes ?? []) lakes.push(Prefix.slice(this.#root.length, -1));
      }
    });
    return lakes;
  }

  async list(prefix: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    await this.#attempt(async () => {
      const request = { Bucket: this.#bucket, Prefix: this.#root + prefix };
      for await (const page of paginateListObjectsV2({ client: this.#client }, request)) {
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
          if (Key.endsWith(DIGEST_SUFFIX) || Key.endsWith('/')) continue;
          entries.push({ key: Key.slice(this.#root.length), size: Size, publishedAt: LastModified?.getTime() ?? 0 });
        }
      }
    });
    return entries;
  }

  async remove(key: string): Promise<void> {
    const object = this.#object(key);
    await this.#attempt(async () => {
      await this.#client.send(new DeleteObjectCommand(object)).catch(absent);
      await this.#client.send(new DeleteObjectCommand({ ...object, Key: object.Key + DIGEST_SUFFIX })).catch(absent);
    });
  }

  /** Parts of uploads that were never completed: S3 keeps, and charges for, them. */
  async remains(before: number): Promise<Remain[]> {
    return this.#attempt(async () => {
      const remains: Remain[] = [];
      const list = new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: this.#root });
      // One page, the oldest thousand: the next clean-up sees the others.
      for (const { Key, UploadId, Initiated } of (await this.#client.send(list)).Uploads ?? []) {
        if (!Key || !UploadId || !Initiated || Initiated.getTime() >= before) continue;
        const upload = { Bucket: this.#bucket, Key, UploadId };
        const { Parts = [] } = await this.#client.send(new ListPartsCommand(upload));
        remains.push({
          name: `${Key.slice(this.#root.length)} (upload ${UploadId})`,
          size: Parts.reduce((sum, { Size = 0 }) => sum + Size, 0),
          remove: async () => {
            await this.#attempt(() => this.#client.send(new AbortMultipartUploadCommand(upload)).catch(absent));
          },
        });
      }
      return remains;
    });
  }

  async #digestsBeside(key: string): Promise<string[]> {
    const beside = new GetObjectCommand({ Bucket: this.#bucket, Key: key + DIGEST_SUFFIX });
    const found = await this.#client.send(beside).catch(absent);
    return found ? digestsIn(await text(found.Body as Readable)) : [];
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#root + segmentsOf(key).join('/') };
  }

  /** Tells errors of the service and of the network as those of the store. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { name, code } = error as Error & { code?: string };
      if (error instanceof S3ServiceException) {
        throw storeFailed(this.name, `it answered ${error.$metadata.httpStatusCode} ${name}`);
      }
      throw error instanceof Error && 'syscall' in error ? storeFailed(this.name, `${code}`) : error;
    }
  }
}

/** @throws unless the error says that there is no such object */
function absent(error: unknown): undefined {
  if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404) {
    if (error.name !== 'NoSuchBucket') return undefined;
  }
  throw error;
}
